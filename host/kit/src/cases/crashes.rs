//! Instances that die in the middle of their work.
//!
//! A probe in the instance ends it at its n-th call to the host. What the instance did before that call has happened,
//! and nothing happens after it. This is done for n = 1, 2, 3 … until the work comes to its end without a kill.

use std::{collections::BTreeSet, sync::Arc};

use sigbox_sandbox::Probe;
use sigbox_trading::store::Address;

use crate::{
    case::{Case, Done, Group, Need, Stop, fail},
    scene::{Handle, Scene, document, shown_address, shown_value},
};

const GROUP: Group = Group::Crashes;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "killed while writing",
        proves: "Killed at any call to the host during a write, the old document or the new one is there, whole, and \
                 no other is touched.",
        group: GROUP,
        needs: Need::Kill,
        run: |scene| Box::pin(killed(scene, Work::Write)),
    },
    Case {
        name: "killed while removing",
        proves: "Killed at any call to the host during a removal, the document is there, whole, or gone, and no other \
                 is touched.",
        group: GROUP,
        needs: Need::Kill,
        run: |scene| Box::pin(killed(scene, Work::Remove)),
    },
    Case {
        name: "killed while starting",
        proves: "Killed at any call to the host during start or wait-for-init, the next start works and every document \
                 is there.",
        group: GROUP,
        needs: Need::Kill,
        run: |scene| Box::pin(killed_while_starting(scene)),
    },
];

/// If the work has more calls than this, only some of them are tried: evenly spread for a write or a removal, and fewer
/// and fewer for a start.
const MOST_KILLS: u64 = 500;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Write,
    Remove,
}

impl Work {
    const fn name(self) -> &'static str {
        match self {
            Self::Write => "a write",
            Self::Remove => "a removal",
        }
    }
}

/// The document that is worked on, and the documents that must not be touched.
struct Documents {
    at: Address,
    old: Vec<u8>,
    new: Vec<u8>,
    others: Vec<(Address, Vec<u8>)>,
}

impl Documents {
    fn new(scene: &Scene<'_>) -> Self {
        let at = scene.at("signal", "BTCUSDT", "BTCUSDT");
        let others = [
            Address { entity_id: "BTCUSD".to_owned(), ..at.clone() },
            Address { entity_id: "BTCUSDT2".to_owned(), ..at.clone() },
            Address { domain: "schedule".to_owned(), ..at.clone() },
            scene.at("signal", "BTCUSD", "BTCUSDT"),
        ];
        let other = |(number, at): (usize, Address)| (at, document(&format!("other {number}"), 300));
        Self {
            at,
            // The new document is shorter, so that a rest of the old one would be seen.
            old: document("old", 12_000),
            new: document("new", 9_000),
            others: others.into_iter().enumerate().map(other).collect(),
        }
    }

    async fn write(&self, store: &Handle) -> Done {
        for (at, value) in &self.others {
            store.write(at, value).await?;
        }
        Ok(store.write(&self.at, &self.old).await?)
    }

    /// Fails the case unless the other documents are unchanged, and the listing has exactly the ids that are there.
    async fn check_others(&self, store: &Handle, when: &str) -> Done {
        for (at, value) in &self.others {
            store.expect(at, Some(value), when).await?;
        }
        let is_there = store.has(&self.at).await?;
        let mut ids = BTreeSet::from(["BTCUSD", "BTCUSDT2"]);
        if is_there {
            ids.insert("BTCUSDT");
        }
        store.expect_keys(&self.at, &ids.into_iter().collect::<Vec<_>>(), when).await
    }
}

async fn killed(scene: &Scene<'_>, work: Work) -> Done {
    let documents = Documents::new(scene);
    let at = &documents.at;
    let mut store = scene.open().await?;
    documents.write(&store).await?;
    let calls = {
        store.close().await;
        let (probe, doomed) = begin(scene, at).await?;
        let before = probe.calls();
        carry_out(work, &doomed, &documents).await?;
        let calls = probe.calls() - before;
        doomed.close().await;
        calls
    };
    let step = calls.div_ceil(MOST_KILLS).max(1);
    let (mut nth, mut kills, mut before, mut after) = (1, 0_u64, 0_u64, 0_u64);
    loop {
        store = scene.recover("the kill before").await?;
        store.write(at, &documents.old).await?;
        store.close().await;

        let (probe, doomed) = begin(scene, at).await?;
        probe.end_after(nth - 1);
        let outcome = carry_out(work, &doomed, &documents).await;
        let was_killed = probe.has_ended();
        drop(doomed);

        let name = work.name();
        let when = if was_killed { format!("killed at call {nth} of {name}") } else { format!("after {name}") };
        store = scene.recover(&when).await?;
        let found = store.read(at).await?;
        let (old, new) = (Some(&documents.old), (work == Work::Write).then_some(&documents.new));
        if found.as_ref() == new {
            after += u64::from(was_killed);
        } else if was_killed && found.as_ref() == old {
            before += 1;
        } else {
            let neither = format!(
                "{}: {when}, read-value gave {}, which is neither the old ({}) nor the new ({})",
                shown_address(at),
                shown_value(found.as_deref()),
                shown_value(old.map(Vec::as_slice)),
                shown_value(new.map(Vec::as_slice))
            );
            return fail(neither);
        }
        documents.check_others(&store, &when).await?;
        store.close().await;
        if !was_killed {
            // The instance was not killed, so the work must have succeeded.
            outcome?;
            break;
        }
        kills += 1;
        nth += step;
    }
    let share = if step == 1 { "each".to_owned() } else { format!("one in {step}") };
    let tried = kills * step;
    scene
        .note(format!("killed at {share} of {tried} calls to the host: {before} times the old, {after} times the new"));
    Ok(())
}

/// An instance that is connected and knows the entity.
async fn begin(scene: &Scene<'_>, at: &Address) -> Result<(Arc<Probe>, Handle), Stop> {
    let probe = Arc::<Probe>::default();
    let opened = scene.component()?.open_probed(Arc::clone(&probe)).await;
    let doomed =
        scene.watch(opened).map_err(|trouble| Stop::Failed(format!("it does not open: {}", trouble.message)))?;
    doomed.read(at).await?;
    Ok((probe, doomed))
}

async fn carry_out(work: Work, store: &Handle, documents: &Documents) -> Done {
    match work {
        Work::Write => store.write(&documents.at, &documents.new).await?,
        Work::Remove => {
            store.remove(&documents.at).await?;
        }
    }
    Ok(())
}

async fn killed_while_starting(scene: &Scene<'_>) -> Done {
    let documents = Documents::new(scene);
    let store = scene.open().await?;
    documents.write(&store).await?;
    store.close().await;
    let (mut kills, mut step) = (0_u64, 1);
    let mut nth = 1;
    loop {
        let probe = Arc::<Probe>::default();
        probe.end_after(nth - 1);
        let fresh = scene.at("signal", &format!("fresh-{nth}"), "BTCUSDT");
        let opened = scene.component()?.open_probed(Arc::clone(&probe)).await;
        let outcome = match scene.watch(opened) {
            Ok(doomed) => {
                let known = doomed.init(&documents.at.domain, &documents.at.entity_name, false).await;
                match known {
                    Ok(()) => {
                        doomed.init(&fresh.domain, &fresh.entity_name, true).await.map_err(|failure| failure.message)
                    }
                    Err(failure) => Err(failure.message),
                }
            }
            Err(trouble) => Err(trouble.message),
        };
        let was_killed = probe.has_ended();
        let when = if was_killed { format!("killed at call {nth} of a start") } else { "after a start".to_owned() };
        let store = scene.recover(&when).await?;
        store.expect(&documents.at, Some(&documents.old), &when).await?;
        documents.check_others(&store, &when).await?;
        store.expect(&fresh, None, &when).await?;
        store.write(&fresh, "1").await?;
        store.expect(&fresh, Some(b"1"), &when).await?;
        store.close().await;
        if !was_killed {
            outcome.map_err(|message| Stop::Failed(format!("an undisturbed start failed: {message}")))?;
            break;
        }
        kills += 1;
        if kills % MOST_KILLS == 0 {
            step *= 2;
        }
        nth += step;
    }
    scene.note(format!("killed at {kills} calls to the host"));
    Ok(())
}
