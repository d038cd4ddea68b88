//! Two hosts that were given the same place, where the storage keeps them apart.
//!
//! Each case claims the scope `kit`, with epochs that follow those of the runs before. So a run leaves one row behind:
//! who held that scope last.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use futures_util::future::join;
use sigbox_sandbox::Probe;
use sigbox_trading::store::{Address, FENCED, Holder};

use crate::{
    case::{Case, Done, Group, Need, Stop, check},
    scene::{Handle, Scene, document, shown_value},
};

const GROUP: Group = Group::Hosts;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "an old epoch",
        proves: "Once a greater epoch is claimed, a write and a removal of the old one are refused as fenced, for \
                 good and with the new holder's name, and change nothing.",
        group: GROUP,
        needs: Need::Fence,
        run: |scene| Box::pin(old_epoch(scene)),
    },
    Case {
        name: "the same epoch",
        proves: "The holder repeats its claim, also from another instance, and goes on writing; the same or a lower \
                 epoch of another owner is refused.",
        group: GROUP,
        needs: Need::Fence,
        run: |scene| Box::pin(same_epoch(scene)),
    },
    Case {
        name: "a claim stays",
        proves: "A claim is there after its instance vanished, and so is a release; until then the scope has the \
                 holder before.",
        group: GROUP,
        needs: Need::Fence,
        run: |scene| Box::pin(claim_stays(scene)),
    },
    Case {
        name: "a claim among writes",
        proves: "Once a claim has returned no write of the old epoch happens, not even one under way, and what was \
                 acknowledged before is there.",
        group: GROUP,
        needs: Need::Fence,
        run: |scene| Box::pin(claim_among_writes(scene)),
    },
    Case {
        name: "scopes apart",
        proves: "A claim of one scope does not concern another one.",
        group: GROUP,
        needs: Need::Fence,
        run: |scene| Box::pin(scopes_apart(scene)),
    },
    Case {
        name: "killed while claiming",
        proves: "Killed at any call to the host during a claim, the scope has the old holder or the new one, and \
                 the claim can be repeated.",
        group: GROUP,
        needs: Need::Fence,
        run: |scene| Box::pin(killed_while_claiming(scene)),
    },
];

const SCOPE: &str = "kit";

/// The time of every claim, for people.
const SINCE_MS: i64 = 1_700_000_000_000;

fn bitcoin(scene: &Scene<'_>) -> Address {
    scene.at("signal", "BTCUSDT", "BTCUSDT")
}

fn holder(epoch: u64, owner: &str) -> Holder {
    Holder { epoch, owner: owner.to_owned(), since_ms: SINCE_MS }
}

/// An epoch that is greater than the one that is stored.
async fn next_epoch(store: &Handle, scope: &str) -> Result<u64, Stop> {
    Ok(store.holder(scope).await?.map_or(1, |holder| holder.epoch + 1))
}

/// Fails the case unless the call was refused as fenced, by a message that has `name`.
fn refused<T>(answer: Result<T, crate::scene::Failure>, what: &str, name: &str) -> Done {
    let Err(failure) = answer else { return Err(Stop::Failed(format!("{what} was not refused"))) };
    if failure.broke {
        return Err(failure.into());
    }
    check(failure.code == FENCED && !failure.retryable, || {
        format!("{what} was refused, but not for good as {FENCED:?}: {}: {}", failure.code, failure.message)
    })?;
    check(failure.message.contains(name), || {
        format!("{what} was refused without naming who holds the scope, {name:?}: {}", failure.message)
    })
}

async fn old_epoch(scene: &Scene<'_>) -> Done {
    let (old, new, at) = (scene.open().await?, scene.open().await?, bitcoin(scene));
    let (ours, theirs) = (scene.unique("old"), scene.unique("new"));
    let epoch = next_epoch(&old, SCOPE).await?;
    old.claim(SCOPE, &holder(epoch, &ours)).await?;
    old.write(&at, "1").await?;
    new.claim(SCOPE, &holder(epoch + 1, &theirs)).await?;
    for value in [b"2".as_slice(), &document("old", 20_000)] {
        refused(old.write(&at, value).await, "a write of the old epoch", &theirs)?;
        new.expect(&at, Some(b"1"), "after a write of the old epoch").await?;
    }
    refused(old.remove(&at).await, "a removal of the old epoch", &theirs)?;
    new.expect(&at, Some(b"1"), "after a removal of the old epoch").await?;
    let fresh = Address { entity_id: "ETHUSDT".to_owned(), ..at.clone() };
    refused(old.write(&fresh, "2").await, "a first write of the old epoch", &theirs)?;
    new.expect(&fresh, None, "after a first write of the old epoch").await?;
    new.expect_keys(&at, &[&at.entity_id], "after a first write of the old epoch").await?;

    new.write(&at, "3").await?;
    new.expect(&at, Some(b"3"), "after a write of the new epoch").await?;
    old.expect(&at, Some(b"3"), "as the old host reads it").await?;
    check(new.remove(&at).await?, || "a removal of the new epoch said that there was nothing".to_owned())?;
    new.expect(&at, None, "after a removal of the new epoch").await
}

async fn same_epoch(scene: &Scene<'_>) -> Done {
    let (one, other, at) = (scene.open().await?, scene.open().await?, bitcoin(scene));
    let (ours, theirs) = (scene.unique("ours"), scene.unique("theirs"));
    let epoch = next_epoch(&one, SCOPE).await?;
    for _ in 0..2 {
        one.claim(SCOPE, &holder(epoch, &ours)).await?;
        other.claim(SCOPE, &holder(epoch, &ours)).await?;
    }
    for (round, store) in [&one, &other, &one].into_iter().enumerate() {
        let value = round.to_string();
        // A backend that compares before it writes must know what the other instance wrote.
        store.read(&at).await?;
        store.write(&at, &value).await?;
        store.expect(&at, Some(value.as_bytes()), "after a write of the epoch that is stored").await?;
    }
    refused(other.claim(SCOPE, &holder(epoch, &theirs)).await, "the same epoch of another owner", &ours)?;
    refused(other.claim(SCOPE, &holder(epoch - 1, &theirs)).await, "a lower epoch", &ours)?;
    let found = one.holder(SCOPE).await?;
    check(found == Some(holder(epoch, &ours)), || format!("after claims that were refused, the holder is {found:?}"))?;
    one.read(&at).await?;
    one.write(&at, "last").await?;
    one.expect(&at, Some(b"last"), "after claims that were refused").await
}

async fn claim_stays(scene: &Scene<'_>) -> Done {
    let store = scene.open().await?;
    let unknown = scene.unique("never claimed");
    let found = store.holder(&unknown).await?;
    check(found.is_none(), || format!("a scope that was never claimed is held by {found:?}"))?;

    let (at, owner) = (bitcoin(scene), scene.unique("owner"));
    let epoch = next_epoch(&store, SCOPE).await?;
    store.write(&at, "0").await?;
    store.claim(SCOPE, &holder(epoch, &owner)).await?;
    store.write(&at, "1").await?;
    drop(store);
    let store = scene.recover("a drop").await?;
    let found = store.holder(SCOPE).await?;
    check(found == Some(holder(epoch, &owner)), || {
        format!("after the instance that claimed the scope was dropped, the holder is {found:?}")
    })?;
    store.expect(&at, Some(b"1"), "after the instance that claimed the scope was dropped").await?;

    store.claim(SCOPE, &holder(epoch, &owner)).await?;
    store.write(&at, "2").await?;
    let other = scene.open().await?;
    other.claim(SCOPE, &holder(epoch + 1, "")).await?;
    drop(other);
    let found = store.holder(SCOPE).await?;
    check(found == Some(holder(epoch + 1, "")), || format!("after a release, the holder is {found:?}"))?;
    refused(store.write(&at, "3").await, "a write after a release", "")?;
    store.expect(&at, Some(b"2"), "after a release").await
}

async fn claim_among_writes(scene: &Scene<'_>) -> Done {
    const ROUNDS: u64 = 20;
    let at = bitcoin(scene);
    let mut old = scene.open().await?;
    let mut acknowledged_in_all = 0;
    for round in 0..ROUNDS {
        let new = scene.open().await?;
        let epoch = next_epoch(&new, SCOPE).await?;
        old.claim(SCOPE, &holder(epoch, &format!("old {round}"))).await?;
        old.write(&at, "0").await?;
        let (last, is_claimed) = (AtomicU64::new(0), AtomicBool::new(false));
        let writing = async {
            for number in 1_u64.. {
                match old.write(&at, number.to_string()).await {
                    Ok(()) => last.store(number, Ordering::SeqCst),
                    Err(failure) if failure.code == FENCED => return Ok::<u64, Stop>(number),
                    Err(failure) => return Err(failure.into()),
                }
                // The write that was under way is done; one that began after the claim was to be refused.
                if is_claimed.swap(false, Ordering::SeqCst) {
                    return match old.write(&at, "stale").await {
                        Ok(()) => Err(Stop::Failed("after a claim, a write of the old epoch was done".to_owned())),
                        Err(_) => Ok(number + 1),
                    };
                }
            }
            unreachable!("it returns when it is refused")
        };
        let claiming = async {
            while last.load(Ordering::SeqCst) < round % 4 {
                tokio::task::yield_now().await;
            }
            new.claim(SCOPE, &holder(epoch + 1, &format!("new {round}"))).await?;
            let seen = new.read(&at).await?;
            is_claimed.store(true, Ordering::SeqCst);
            Ok::<_, Stop>(seen)
        };
        let (written, seen) = join(writing, claiming).await;
        let (refused_at, seen) = (written?, seen?);
        let found = new.read(&at).await?;
        check(found == seen, || {
            format!(
                "after a claim returned, read-value gave {}, and once the old host's write was done {}",
                shown_value(seen.as_deref()),
                shown_value(found.as_deref())
            )
        })?;
        let acknowledged = last.load(Ordering::SeqCst);
        let kept = [acknowledged, refused_at].map(|number| number.to_string().into_bytes());
        check(found.as_ref().is_some_and(|found| kept.contains(found)), || {
            format!(
                "{acknowledged} was acknowledged before a claim, and after it read-value gave {}",
                shown_value(found.as_deref())
            )
        })?;
        acknowledged_in_all += acknowledged;
        old = new;
    }
    scene.note(format!("{ROUNDS} claims among {acknowledged_in_all} writes"));
    Ok(())
}

async fn scopes_apart(scene: &Scene<'_>) -> Done {
    let (one, other, at) = (scene.open().await?, scene.open().await?, bitcoin(scene));
    let second = format!("{SCOPE}/2");
    let (own, others) = (next_epoch(&one, SCOPE).await?, next_epoch(&other, &second).await?);
    one.claim(SCOPE, &holder(own, "one")).await?;
    one.write(&at, "1").await?;
    other.claim(&second, &holder(others.max(own) + 1, "other")).await?;
    let elsewhere = Address { entity_id: "ETHUSDT".to_owned(), ..at.clone() };
    other.write(&elsewhere, "2").await?;
    one.write(&at, "3").await?;
    one.expect(&at, Some(b"3"), "after another scope was claimed").await?;
    one.expect(&elsewhere, Some(b"2"), "after a write in another scope").await?;
    let found = one.holder(SCOPE).await?;
    check(found == Some(holder(own, "one")), || format!("after another scope was claimed, the holder is {found:?}"))
}

async fn killed_while_claiming(scene: &Scene<'_>) -> Done {
    let at = bitcoin(scene);
    let (mut nth, mut kills) = (0, 0);
    loop {
        let old = scene.recover("the kill before").await?;
        let epoch = next_epoch(&old, SCOPE).await?;
        old.claim(SCOPE, &holder(epoch, "old")).await?;
        old.read(&at).await?;
        old.write(&at, "1").await?;

        let probe = Arc::<Probe>::default();
        let doomed = scene.watch(scene.component()?.open_probed(Arc::clone(&probe)).await);
        let doomed = doomed.map_err(|trouble| Stop::Failed(format!("it does not open: {}", trouble.message)))?;
        doomed.read(&at).await?;
        probe.end_after(nth);
        let claim = holder(epoch + 1, "new");
        let claimed = doomed.claim(SCOPE, &claim).await;
        let was_killed = probe.has_ended();
        drop(doomed);

        let when =
            if was_killed { format!("killed at call {} of a claim", nth + 1) } else { "after a claim".to_owned() };
        let store = scene.recover(&when).await?;
        let found = store.holder(SCOPE).await?;
        let is_old = was_killed && found == Some(holder(epoch, "old"));
        check(is_old || found.as_ref() == Some(&claim), || format!("{when}, the holder is {found:?}"))?;
        store.claim(SCOPE, &claim).await?;
        store.expect(&at, Some(b"1"), &when).await?;
        refused(old.write(&at, "2").await, "a write of the old epoch", "new")?;
        store.write(&at, "3").await?;
        store.expect(&at, Some(b"3"), &when).await?;
        if !was_killed {
            claimed?;
            break;
        }
        kills += 1;
        nth += 1 + nth / 20;
    }
    scene.note(format!("killed at {kills} calls to the host"));
    Ok(())
}
