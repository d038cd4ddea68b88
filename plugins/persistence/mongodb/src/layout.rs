//! Where documents are: the `_id` of a row, and a page of the ids under an entity name.

use std::ops::Range;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sigbox_sdk::persistence::{Address, Page};

/// Everything but letters, digits and `-._~`: no encoded part has a `/`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// All ids of a page together, which is far below what the host takes from one call. Only names of many thousand bytes
/// come to it.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// The `_id` of a row: `{domain}/{entity name}/{entity id}`. The id is as it is: what follows the second `/` has one
/// meaning only, and strings sort by their bytes.
pub(crate) fn id(at: &Address) -> String {
    format!("{}{}", prefix(&at.domain, &at.entity_name), at.entity_id)
}

/// What the rows of an entity name have in common.
pub(crate) fn prefix(domain: &str, entity_name: &str) -> String {
    let (domain, entity_name) = (utf8_percent_encode(domain, ESCAPED), utf8_percent_encode(entity_name, ESCAPED));
    format!("{domain}/{entity_name}/")
}

/// The `_id` of the row that says who holds a scope. No document has it: theirs have two `/`.
pub(crate) fn fence_id(scope: &str) -> String {
    format!("fence/{}", utf8_percent_encode(scope, ESCAPED))
}

/// From the first `_id` with the prefix to that which follows the last: `0` comes after `/`.
pub(crate) fn range(prefix: &str) -> Range<String> {
    let end = prefix.strip_suffix('/').unwrap_or(prefix);
    prefix.to_owned()..format!("{end}0")
}

/// A page of at most `limit` of the `ids`, which are in order. `has_more`: there are ids after these.
pub(crate) fn page(mut ids: Vec<String>, limit: usize, has_more: bool) -> Page {
    let mut bytes = 0;
    let fit = ids.iter().take(limit).take_while(|id| {
        let is_first = bytes == 0;
        bytes += id.len();
        is_first || bytes <= PAGE_BYTES_MAX
    });
    let fit = fit.count();
    let has_more = has_more || fit < ids.len();
    ids.truncate(fit);
    Page { next: has_more.then(|| ids.last().cloned()).flatten(), entity_ids: ids }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn at(domain: &str, entity_name: &str, entity_id: &str) -> Address {
        let [domain, entity_name, entity_id] = [domain, entity_name, entity_id].map(str::to_owned);
        Address { domain, entity_name, entity_id }
    }

    const PARTS: &[&str] =
        &["", "/", "a", "a/", "/a", "a/b", "%", "%2F", "%252F", "$a", "A", "a\0", "\0", "a b", "é", "e\u{301}", "0"];

    #[test]
    fn usual_names_are_readable() {
        assert_eq!(id(&at("signal", "BTCUSDT_sma-cross", "BTCUSDT")), "signal/BTCUSDT_sma-cross/BTCUSDT");
    }

    #[test]
    fn rows_of_different_addresses_differ() {
        let mut ids = BTreeSet::new();
        for domain in PARTS {
            for name in PARTS {
                for entity_id in PARTS {
                    assert!(ids.insert(id(&at(domain, name, entity_id))), "{domain:?} {name:?} {entity_id:?}");
                }
            }
        }
        for scope in PARTS {
            assert!(ids.insert(fence_id(scope)), "{scope:?}");
        }
    }

    #[test]
    fn a_range_has_the_rows_of_its_entity_name_and_no_others() {
        for domain in PARTS {
            for name in PARTS {
                let range = range(&prefix(domain, name));
                for (other, entity_id) in PARTS.iter().flat_map(|other| PARTS.iter().map(move |id| (other, id))) {
                    assert!(range.contains(&id(&at(domain, name, entity_id))));
                    assert_eq!(range.contains(&id(&at(domain, other, entity_id))), name == other);
                    assert_eq!(range.contains(&id(&at(other, name, entity_id))), domain == other);
                    assert!(!range.contains(&fence_id(other)));
                }
            }
        }
    }

    #[test]
    fn a_page_says_whether_it_is_the_last() {
        let ids = |count: usize| vec!["a".to_owned(); count];
        for (count, limit, has_more, kept, is_last) in
            [(0, 2, false, 0, true), (2, 2, false, 2, true), (3, 2, false, 2, false), (1, 2, true, 1, false)]
        {
            let page = page(ids(count), limit, has_more);
            assert_eq!((page.entity_ids.len(), page.next.is_none()), (kept, is_last));
        }
    }

    #[test]
    fn a_page_of_long_ids_is_short_and_never_empty() {
        let long = |bytes: usize| "x".repeat(bytes);
        let ids = vec![long(PAGE_BYTES_MAX + 1), long(1)];
        assert_eq!(page(ids, 9, false).entity_ids.len(), 1);
        let ids = vec![long(PAGE_BYTES_MAX - 1), long(1), long(1)];
        let page = page(ids, 9, false);
        assert_eq!((page.entity_ids.len(), page.next), (2, Some(long(1))));
    }
}
