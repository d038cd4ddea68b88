//! The ids under an entity name.

use std::collections::BTreeSet;

use sigbox_trading::store::Address;

use crate::{
    case::{Case, Done, Group, Need, check, fail},
    scene::{Scene, shown},
};

const GROUP: Group = Group::Listings;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "listing order",
        proves: "Ids ascend by bytes, not by number, language or time, and those of other entities are not among them.",
        group: GROUP,
        needs: Need::Start,
        run: |scene| Box::pin(order(scene)),
    },
    Case {
        name: "10,000 keys",
        proves: "Over many pages, each no longer than asked for, every id is listed once, in order, and none is missing.",
        group: GROUP,
        needs: Need::Start,
        run: |scene| Box::pin(many(scene)),
    },
];

async fn order(scene: &Scene<'_>) -> Done {
    let store = scene.open().await?;
    let one = scene.at("signal", "e", "");
    let ids =
        ["b", "a", "Z", "10", "9", "ü", "z", "a.json", "a b", "%", "_", "aa", "a", "A", "é", "\u{ffff}", "🙂", "-1"];
    for id in ids {
        store.write(&Address { entity_id: id.to_owned(), ..one.clone() }, "1").await?;
    }
    let longer = format!("{}2", one.entity_name);
    store.write(&Address { entity_name: longer, entity_id: "elsewhere".to_owned(), ..one.clone() }, "1").await?;
    store
        .write(&Address { domain: "schedule".to_owned(), entity_id: "elsewhere".to_owned(), ..one.clone() }, "1")
        .await?;
    let expected: BTreeSet<&str> = ids.into_iter().collect();
    let expected: Vec<&str> = expected.into_iter().collect();
    for when in ["after the writes", "at the second listing"] {
        store.expect_keys(&one, &expected, when).await?;
    }
    Ok(())
}

/// Enough ids for eleven pages of a listing, as the host asks for them.
const MANY: usize = 10_050;

async fn many(scene: &Scene<'_>) -> Done {
    let store = scene.open().await?;
    let entity = scene.at("signal", "many", "");
    // The ids have different lengths. They are written in another order than that of their numbers, and sort in yet
    // another.
    let id = |number: usize| match number % 4 {
        0 => number.to_string(),
        1 => format!("é{number}"),
        2 => format!("K{number:05}"),
        _ => format!("id/{number}"),
    };
    for number in 0..MANY {
        let at = Address { entity_id: id(number * 7_919 % MANY), ..entity.clone() };
        store.write(&at, number.to_string()).await?;
    }
    let expected: BTreeSet<String> = (0..MANY).map(id).collect();
    let found = store.keys(&entity.domain, &entity.entity_name).await?;
    if let Some((first, second)) = found.iter().zip(found.iter().skip(1)).find(|(first, second)| first >= second) {
        return fail(format!("{} comes before {} in the listing", shown(first), shown(second)));
    }
    let found: BTreeSet<String> = found.into_iter().collect();
    let missing: Vec<&String> = expected.difference(&found).collect();
    let strange: Vec<&String> = found.difference(&expected).collect();
    check(missing.is_empty(), || {
        format!("{} of {MANY} ids are missing in the listing, the first is {}", missing.len(), shown(missing[0]))
    })?;
    check(strange.is_empty(), || format!("nobody wrote {} of the listing", shown(strange[0])))?;
    scene.note(format!("{MANY} ids"));
    Ok(())
}
