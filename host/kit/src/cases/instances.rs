//! More than one instance, one after the other or at once.

use futures_util::future::join_all;
use sigbox_trading::store::Address;

use crate::{
    case::{Case, Done, Group, Need, check, fail},
    scene::{Scene, document, shown_value},
};

const GROUP: Group = Group::Instances;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "closed and opened again",
        proves: "After close another instance finds every document as it was left, and what was removed is gone.",
        group: GROUP,
        needs: Need::Durability,
        run: |scene| Box::pin(reopened(scene, true)),
    },
    Case {
        name: "dropped and opened again",
        proves: "What was acknowledged is there though close was never called: an instance may vanish at any time.",
        group: GROUP,
        needs: Need::Durability,
        run: |scene| Box::pin(reopened(scene, false)),
    },
    Case {
        name: "two instances",
        proves: "Two instances at once see each other's writes, removals and ids.",
        group: GROUP,
        needs: Need::TwoInstances,
        run: |scene| Box::pin(two_instances(scene)),
    },
    Case {
        name: "two writers",
        proves: "Of two instances that write one document at the same time, one wins as a whole; the other may be refused.",
        group: GROUP,
        needs: Need::TwoInstances,
        run: |scene| Box::pin(two_writers(scene)),
    },
];

async fn reopened(scene: &Scene<'_>, closed: bool) -> Done {
    let row = scene.at("signal", "BTCUSDT", "BTCUSDT");
    let null = Address { domain: "schedule".to_owned(), ..row.clone() };
    let gone = Address { entity_id: "gone".to_owned(), ..row.clone() };
    let value = document("reopened", 5_000);
    let mut last = b"[0]".to_vec();
    let mut store = scene.open().await?;
    store.write(&null, "null").await?;
    store.write(&gone, "1").await?;
    store.write(&row, &value).await?;
    store.remove(&gone).await?;
    let (how, times) =
        if closed { ("after close and another start", 3) } else { ("after a drop and another start", 3) };
    for round in 1..=times {
        if closed {
            store.close().await;
        } else {
            drop(store);
        }
        store = if closed { scene.open().await? } else { scene.recover("a drop").await? };
        store.init(&row.domain, &row.entity_name, false).await?;
        store.expect(&null, Some(b"null"), how).await?;
        store.expect(&gone, None, how).await?;
        store.expect(&row, Some(if round == 1 { &value } else { &last }), how).await?;
        store.expect_keys(&row, &["BTCUSDT"], how).await?;
        last = format!("[{round}]").into_bytes();
        store.write(&row, &last).await?;
    }
    Ok(())
}

async fn two_instances(scene: &Scene<'_>) -> Done {
    let (one, other) = (scene.open().await?, scene.open().await?);
    let row = scene.at("signal", "BTCUSDT", "BTCUSDT");
    one.init(&row.domain, &row.entity_name, true).await?;
    other.init(&row.domain, &row.entity_name, false).await?;
    other.expect(&row, None, "before either instance wrote").await?;
    for round in 0..3 {
        for (writer, reader) in [(&one, &other), (&other, &one)] {
            let value = document(&format!("{round}"), 1_000 - 300 * round);
            writer.write(&row, &value).await?;
            reader.expect(&row, Some(&value), "after the other instance wrote").await?;
            reader.expect_keys(&row, &["BTCUSDT"], "after the other instance wrote").await?;
            let removed = writer.remove(&row).await?;
            check(removed, || "remove-value said that there was nothing".to_owned())?;
            reader.expect(&row, None, "after the other instance removed it").await?;
            reader.expect_keys(&row, &[], "after the other instance removed it").await?;
        }
    }
    one.close().await;
    other.write(&row, "1").await?;
    other.expect(&row, Some(b"1"), "after the other instance was closed").await
}

async fn two_writers(scene: &Scene<'_>) -> Done {
    const ROUNDS: usize = 20;
    let row = scene.at("signal", "BTCUSDT", "BTCUSDT");
    let instances = [scene.open().await?, scene.open().await?];
    for instance in &instances {
        instance.init(&row.domain, &row.entity_name, false).await?;
    }
    for round in 0..ROUNDS {
        let values = ["one", "other"].map(|who| document(&format!("{who} {round}"), 20_000 + 1_000 * round));
        let writes = instances.iter().zip(&values).map(|(instance, value)| instance.write(&row, value));
        let mut refused = 0;
        for written in join_all(writes).await {
            match written {
                // A backend that compares before it writes notices the other writer, and is right to refuse.
                Err(failure) if !failure.retryable && !failure.broke => refused += 1,
                written => written?,
            }
        }
        check(refused < instances.len(), || "of two writes at once both were refused".to_owned())?;
        let mut found = Vec::new();
        for instance in &instances {
            found.push(instance.read(&row).await?);
        }
        for found in &found {
            if !values.iter().any(|value| found.as_ref() == Some(value)) {
                return fail(format!("after two writes at once read-value gave {}", shown_value(found.as_deref())));
            }
        }
        check(found[0] == found[1], || "after two writes at once the instances see different documents".to_owned())?;
    }
    Ok(())
}
