//! Where documents are: the key of an entity, and a page of its ids.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sigbox_sdk::persistence::Page;

/// Everything but letters, digits and `-._~`: no encoded part has a `:`, or the braces of Redis Cluster.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The key of the hash that holds an entity's documents: `{prefix}:{domain}:{entity name}`. Read from its end it has
/// one meaning only, whatever the prefix: the last two parts have no `:`.
pub(crate) fn key(prefix: &str, domain: &str, entity_name: &str) -> String {
    let (domain, entity_name) = (utf8_percent_encode(domain, ESCAPED), utf8_percent_encode(entity_name, ESCAPED));
    format!("{prefix}:{domain}:{entity_name}")
}

/// The key of the hash that says who holds a scope. No document's key has a `/`.
pub(crate) fn fence_key(prefix: &str, scope: &str) -> String {
    format!("{prefix}:fence/{}", utf8_percent_encode(scope, ESCAPED))
}

/// At most `limit` of an entity's ids, those after `cursor`, ascending by bytes.
pub(crate) fn page(mut ids: Vec<String>, cursor: Option<&str>, limit: usize) -> Page {
    ids.retain(|id| cursor.is_none_or(|cursor| id.as_str() > cursor));
    ids.sort_unstable();
    let has_more = ids.len() > limit;
    ids.truncate(limit);
    Page { next: has_more.then(|| ids.last().cloned()).flatten(), entity_ids: ids }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_readable() {
        assert_eq!(key("sigbox", "signal", "BTCUSDT_sma-cross"), "sigbox:signal:BTCUSDT_sma-cross");
    }

    #[test]
    fn keys_of_different_entities_differ() {
        let parts = ["", ":", "a", "a:", ":a", "a:b", "%", "%3A", "%253A", "{a}", "A", "a\0", "a b", "é", "e\u{301}"];
        let mut keys = std::collections::BTreeSet::new();
        for prefix in ["p", "p:a", "p:a:b"] {
            for domain in parts {
                for name in parts {
                    assert!(keys.insert(key(prefix, domain, name)), "{prefix:?} {domain:?} {name:?}");
                }
                assert!(keys.insert(fence_key(prefix, domain)), "{prefix:?} {domain:?}");
            }
        }
    }

    #[test]
    fn no_name_chooses_its_slot_of_a_cluster() {
        assert_eq!(key("p", "{x}", "{x}"), "p:%7Bx%7D:%7Bx%7D");
    }

    #[test]
    fn pages_follow_one_another_by_bytes() {
        let ids = ["b", "a", "", "B", "é", "\0", "aa"].map(str::to_owned).to_vec();
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let Page { entity_ids, next } = page(ids.clone(), cursor.as_deref(), 3);
            assert!(entity_ids.len() <= 3);
            seen.extend(entity_ids);
            let Some(next) = next else { break };
            cursor = Some(next);
        }
        assert_eq!(seen, ["", "\0", "B", "a", "aa", "b", "é"]);
    }

    #[test]
    fn a_page_that_holds_all_is_the_last() {
        let ids = ["a", "b"].map(str::to_owned).to_vec();
        assert_eq!(page(ids.clone(), None, 2).next, None);
        assert_eq!(page(ids, None, 1).next.as_deref(), Some("a"));
        assert_eq!(page(Vec::new(), Some("a"), 2).next, None);
    }
}
