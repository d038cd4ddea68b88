//! What is held, compared and decided about while no run is under way.

use std::path::Path;

use sigbox_engine::signal::Pair;
use sigbox_events::{Event, Notice};
use sigbox_sandbox::{Live, Sandbox};
use sigbox_trading::{
    Comparison, Decision, Journal, Record, RunError, SEGMENT_BYTES, Sink as _, compare, decide, held_by_others,
    store::Stores,
};

use super::{JobError, live::now_ms};
use crate::{
    assemble::{self, Access, AssembleError, Claim, NewBinding, Resolve, Variable},
    binding::{BindingError, pairs},
    config::Config,
};

/// Compares the event record `events` with the stores, for every trader of the configuration and every other one that
/// holds something. Changes nothing, so it may be done while a run is under way.
///
/// # Errors
/// When the event file or a store cannot be read, or a document cannot be understood or belongs to another trader.
pub async fn check_state(
    config: &Config,
    events: &Path,
    sandbox: &Sandbox<Live>,
    resolve: &mut Resolve<'_>,
    variable: &Variable<'_>,
) -> Result<Vec<Comparison>, JobError> {
    let record = Record::read(events).map_err(|source| JobError::Events { file: events.to_path_buf(), source })?;
    let stores = assemble::stores(config, Access::Look, &record, sandbox, resolve, variable).await?;
    let compared = compare_all(config, &stores, &record).await;
    stores.close().await;
    compared
}

async fn compare_all(config: &Config, stores: &Stores, record: &Record) -> Result<Vec<Comparison>, JobError> {
    let mut traders = pairs(config);
    let others = held_by_others(stores, record, &traders).await.map_err(RunError::from)?;
    traders.extend(others.into_iter().filter(|pair| pair.exchange == config.exchange_name));
    Ok(compare(stores, &config.engine, record, &traders).await?)
}

/// Carries out a person's decision about what `pair` holds. The data directory and the event file belong to this process
/// meanwhile, so no run may be under way.
///
/// # Errors
/// When a run is under way, there is nothing to decide about, or a store or the event file cannot be read or written.
pub async fn decide_state(
    config: &Config,
    events: &Path,
    sandbox: &Sandbox<Live>,
    resolve: &mut Resolve<'_>,
    variable: &Variable<'_>,
    (pair, decision): (&Pair, &Decision),
) -> Result<String, JobError> {
    let now_ms = now_ms(config)?;
    let mut journal = Journal::open(events, SEGMENT_BYTES, now_ms, |_: &Event<'_>| {})?;
    let stores =
        assemble::stores(config, Access::Own { take_over: false }, journal.record(), sandbox, resolve, variable)
            .await?;
    let decided = decide(&stores, &config.engine, &mut journal, pair, decision, now_ms).await;
    stores.close().await;
    Ok(decided?)
}

/// Carries out a person's decision that the stores of the configuration keep the state from now on, although what the
/// stores of the last run hold cannot be told. The event record gets the decision, and keeps what it says is held: the
/// next start writes it to the new stores. Returns what was decided, for people.
///
/// # Errors
/// When a run is under way, there is nothing to decide, an old store can be read and holds what the new one does not
/// have, or a store or the event file cannot be read or written.
pub async fn rebind_state(
    config: &Config,
    events: &Path,
    sandbox: &Sandbox<Live>,
    resolve: &mut Resolve<'_>,
    variable: &Variable<'_>,
) -> Result<Vec<String>, JobError> {
    let now_ms = now_ms(config)?;
    let mut journal = Journal::open(events, SEGMENT_BYTES, now_ms, |_: &Event<'_>| {})?;
    let Claim { stores, doubts, binding } =
        assemble::claim(config, false, journal.record(), sandbox, resolve, variable).await?;
    let decided = record_decision(&mut journal, events, &doubts, &binding, now_ms);
    // They hold the lock of the data directory until here.
    stores.close().await;
    decided
}

fn record_decision<L: FnMut(&Event<'_>)>(
    journal: &mut Journal<L>,
    events: &Path,
    doubts: &[BindingError],
    binding: &NewBinding,
    now_ms: i64,
) -> Result<Vec<String>, JobError> {
    let decided: Vec<String> = doubts.iter().filter_map(BindingError::given_up).collect();
    if decided.is_empty() {
        let message = "there is nothing to decide: a start would accept the stores of the configuration";
        return Err(RunError::Setup(message.to_owned()).into());
    }
    for decision in &decided {
        journal.notice(now_ms, None, &Notice::Decided { decision: decision.clone() });
    }
    // The record of the old stores is replaced only when the decision is on the disk.
    journal.sync().map_err(|source| JobError::Events { file: events.to_path_buf(), source })?;
    binding.record().map_err(AssembleError::from)?;
    Ok(decided)
}
