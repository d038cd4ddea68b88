//! Who holds a scope, and changes that only its holder makes.
//!
//! MongoDB compares and changes one row in one step. It cannot compare the epoch in one row and change another row in
//! the same step, because a single server has no transactions. So each row says which epoch may change it:
//!
//! | field of a row | what it says |
//! |---|---|
//! | `scope` | the scope that the document belongs to |
//! | `epoch` | the epoch that may change the document, in 20 digits |
//! | `checked` | `true`: some holder looked at the fence after the row had its scope, and then wrote |
//! | `value`, `when` | the document and its time. Without them there is none: it was removed, or not written yet |
//!
//! The *fence* is the row `fence/SCOPE` with the epoch, the owner and the time of the last claim. These are the calls:
//!
//! * A **claim** puts its epoch into the fence, if the epoch there is lower. Then it puts its epoch into each row of the
//!   scope whose epoch is lower.
//! * A **change** of a row that is checked is one update. Its filter names the scope, the epoch and `checked`.
//! * A change of **any other row** takes four commands. 1: look at the fence. 2: *take* the row: give it the scope and
//!   the epoch and remove `checked`, unless the row has the scope already and this epoch or a greater one. If there is no
//!   row, make one without a document. 3: look at the fence again. 4: change the document and set `checked`; the filter
//!   names the scope and the epoch. If the fence has another epoch in step 1 or 3, the call ends as refused.
//!
//! A removal takes the document out of its row. The row stays.
//!
//! # Why nothing of an older epoch is written after a claim
//!
//! A host may be paused between two commands, and the network may keep a command back for any time, also one that its
//! host has given up and sent again. So it is not asked when a command arrives. It is asked what its host had seen when
//! it sent the command. Take a claim that has returned, and call the moment at which it changed the fence *the turn*.
//!
//! 1. The epoch of a row of the scope never becomes lower, and the row never leaves the scope. Claims and takes only
//!    raise epochs. Nothing else changes `scope` and `epoch`.
//! 2. *Rows that were in the scope at the turn.* After the turn, the claim raised the epoch of each of them. By 1 they
//!    keep it. Every older change names a lower epoch, so it does not match the row any more.
//! 3. *Rows that came into the scope after the turn.* An older host can have brought them, by a take that arrived late.
//!    A take changes no document. Step 4 of an older host does not follow: the host sends it only if it has the answer to
//!    its take and after that sees its own epoch in the fence. Then the row was in the scope before the turn, and is one
//!    of 2. An older change in one update does not match either. It needs `checked`, and only step 4 sets that: an older
//!    host does not send it, and that of a newer host needs the newer epoch in the row.
//!
//! So after a claim has returned, no change of an older epoch matches any row, now or later.
//!
//! Two things are presumed. The contract says the first: a document belongs to one scope, and nobody changes it without
//! an epoch while somebody holds the scope. The second: an update of one row is atomic, and a look at the fence sees the
//! last claim that was answered. That holds for MongoDB, where changes wait for the majority and looks are linearizable.
//! It does not hold for FerretDB.

use bson::{RawDocument, RawDocumentBuf, cstr, raw::RawBsonRef, rawdoc};
use sigbox_sdk::persistence::{Failure, Holder};

use crate::{
    connection::{Connection, Trouble},
    failure::is_race,
    layout,
    rows::{RACES_MAX, change, find, has, not_ours, row, time, uncounted, with_value},
    settings::Settings,
};

/// So many digits have epochs, so that they are in the order of their bytes.
const EPOCH_DIGITS: usize = 20;

/// How often a row may get another scope between two steps of a change.
const TRIES: usize = 3;

/// The scope and the epoch of a change.
#[derive(Clone, Copy)]
pub(crate) struct Epoch<'a> {
    pub(crate) scope: &'a str,
    pub(crate) number: u64,
}

/// Refuses a server that is known not to keep hosts apart.
pub(crate) fn check_server(connection: &mut Connection) -> Result<(), Trouble> {
    if !connection.is_ferretdb()? {
        return Ok(());
    }
    let message = format!(
        "{} is FerretDB, whose conditional updates are not atomic, so nothing keeps two hosts apart",
        connection.server()
    );
    Err(Trouble::Refused(Failure::give_up("unsupported", message)))
}

/// Who holds the scope.
pub(crate) fn holder(settings: &Settings, connection: &mut Connection, scope: &str) -> Result<Option<Holder>, Trouble> {
    let id = layout::fence_id(scope);
    let found = find(settings, connection, &id, rawdoc! { "_id": 0 })?;
    let Some(row) = row(&found)? else { return Ok(None) };
    parse(row).map(Some).ok_or_else(|| not_ours(settings, &id))
}

fn parse(fence: &RawDocument) -> Option<Holder> {
    let Ok(Some(RawBsonRef::DateTime(since))) = fence.get("since") else { return None };
    Some(Holder {
        epoch: fence.get_str("epoch").ok()?.parse().ok()?,
        owner: fence.get_str("owner").ok()?.to_owned(),
        since_ms: u64::try_from(since.timestamp_millis()).ok()?,
    })
}

/// Makes `claim` the holder of the scope, and its epoch that of each row of the scope. What is done already is done once
/// more, so a claim that was interrupted can be repeated.
pub(crate) fn claim(
    settings: &Settings,
    connection: &mut Connection,
    scope: &str,
    claim: &Holder,
) -> Result<(), Trouble> {
    let mut races = 0;
    while !put_fence(settings, connection, scope, claim)? {
        let held = holder(settings, connection, scope)?;
        if !Holder::gives_way_to(held.as_ref(), claim) {
            return Err(Trouble::Refused(Holder::refusal(held.as_ref(), scope, claim.epoch)));
        }
        if held.is_some_and(|held| held.epoch == claim.epoch) {
            break;
        }
        if races == RACES_MAX {
            return Err(busy(&format!("scope {scope:?}: others keep claiming it")));
        }
        races += 1;
    }
    let digits = digits(claim.epoch);
    let older = || rawdoc! { "scope": scope, "epoch": { "$lt": digits.as_str() } };
    loop {
        let raise = rawdoc! { "q": older(), "u": { "$set": { "epoch": digits.as_str() } }, "multi": true };
        change(settings, connection, "update", raise)?;
        // A sharded cluster may pass over rows that move to another shard meanwhile.
        let command = rawdoc! {
            "find": settings.collection.as_str(),
            "filter": older(),
            "projection": { "_id": 1 },
            "limit": 1,
            "singleBatch": true,
            "maxTimeMS": connection.patience_ms(),
            "readConcern": { "level": "majority" },
        };
        if row(&connection.ask(&settings.database, command)?)?.is_none() {
            return Ok(());
        }
    }
}

/// Puts the claim into the fence; `false` if the epoch there is not lower.
fn put_fence(settings: &Settings, connection: &mut Connection, scope: &str, claim: &Holder) -> Result<bool, Trouble> {
    let epoch = digits(claim.epoch);
    let set = rawdoc! { "epoch": epoch.as_str(), "owner": claim.owner.as_str(), "since": time(claim.since_ms) };
    let lower = rawdoc! { "_id": layout::fence_id(scope), "epoch": { "$lt": epoch } };
    let put = rawdoc! { "q": lower, "u": { "$set": set }, "upsert": true };
    match change(settings, connection, "update", put) {
        // There is a fence that does not match, so a second one was to be made.
        Err(trouble) if is_race(&trouble) => Ok(false),
        Err(trouble) => Err(trouble),
        Ok(1) => Ok(true),
        Ok(_) => Err(uncounted()),
    }
}

/// Writes the document at the `_id`, if the epoch is that of its scope.
pub(crate) fn write(
    settings: &Settings,
    connection: &mut Connection,
    id: &str,
    value: &[u8],
    when_ms: u64,
    epoch: Epoch<'_>,
) -> Result<(), Trouble> {
    let mut set = with_value(value, when_ms);
    let at_once = rawdoc! { "q": checked(id, epoch), "u": { "$set": set.clone() } };
    if change(settings, connection, "update", at_once)? == 1 {
        return Ok(());
    }
    set.append(cstr!("checked"), true);
    in_steps(settings, connection, id, &rawdoc! { "$set": set }, epoch)
}

/// Removes the document at the `_id`, if the epoch is that of its scope; whether there was one.
pub(crate) fn remove(
    settings: &Settings,
    connection: &mut Connection,
    id: &str,
    epoch: Epoch<'_>,
) -> Result<bool, Trouble> {
    let mut with_document = checked(id, epoch);
    with_document.append(cstr!("value"), rawdoc! { "$exists": true });
    let at_once = rawdoc! { "q": with_document, "u": { "$unset": { "value": "", "when": "" } } };
    if change(settings, connection, "update", at_once)? == 1 {
        return Ok(true);
    }
    check(settings, connection, epoch)?;
    if !has(settings, connection, id)? {
        return Ok(false);
    }
    let unset = rawdoc! { "$unset": { "value": "", "when": "" }, "$set": { "checked": true } };
    in_steps(settings, connection, id, &unset, epoch)?;
    Ok(true)
}

/// Changes a row that is not known to be checked.
fn in_steps(
    settings: &Settings,
    connection: &mut Connection,
    id: &str,
    update: &RawDocument,
    epoch: Epoch<'_>,
) -> Result<(), Trouble> {
    for _ in 0..TRIES {
        check(settings, connection, epoch)?;
        take(settings, connection, id, epoch)?;
        check(settings, connection, epoch)?;
        let last = rawdoc! { "q": ours(id, epoch), "u": update.to_owned() };
        if change(settings, connection, "update", last)? == 1 {
            return Ok(());
        }
        // Another claim came in between, and the next look shows it; or the document belongs to two scopes.
    }
    Err(busy(&format!("the row {id:?} does not stay in scope {:?}: do two scopes use it?", epoch.scope)))
}

/// Refuses an epoch that is not that of the scope.
fn check(settings: &Settings, connection: &mut Connection, epoch: Epoch<'_>) -> Result<(), Trouble> {
    match holder(settings, connection, epoch.scope)? {
        Some(holder) if holder.epoch == epoch.number => Ok(()),
        held => Err(Trouble::Refused(Holder::refusal(held.as_ref(), epoch.scope, epoch.number))),
    }
}

/// Gives a row the scope and the epoch, or makes it, and leaves its document as it is.
fn take(settings: &Settings, connection: &mut Connection, id: &str, epoch: Epoch<'_>) -> Result<(), Trouble> {
    let Epoch { scope, number } = epoch;
    let digits = digits(number);
    let take = rawdoc! {
        "q": { "_id": id, "$or": [{ "scope": { "$ne": scope } }, { "epoch": { "$lt": digits.as_str() } }] },
        "u": { "$set": { "scope": scope, "epoch": digits.as_str() }, "$unset": { "checked": "" } },
        "upsert": true,
    };
    match change(settings, connection, "update", take) {
        // There is a row that does not match: it has the scope, and this epoch or a greater one.
        Err(trouble) if is_race(&trouble) => Ok(()),
        taken => taken.map(drop),
    }
}

/// The row at the `_id`, if it has the scope and the epoch.
fn ours(id: &str, Epoch { scope, number }: Epoch<'_>) -> RawDocumentBuf {
    rawdoc! { "_id": id, "scope": scope, "epoch": digits(number) }
}

/// The same, if it is checked.
fn checked(id: &str, epoch: Epoch<'_>) -> RawDocumentBuf {
    let mut ours = ours(id, epoch);
    ours.append(cstr!("checked"), true);
    ours
}

fn digits(epoch: u64) -> String {
    format!("{epoch:0EPOCH_DIGITS$}")
}

fn busy(message: &str) -> Trouble {
    Trouble::Refused(Failure::retry("unavailable", message))
}
