//! What is held, compared and decided about while no run is under way.

use std::path::Path;

use sigbox_engine::signal::Pair;
use sigbox_events::Event;
use sigbox_sandbox::{Live, Sandbox};
use sigbox_trading::{
    Comparison, Decision, Journal, Record, SEGMENT_BYTES, compare, decide, held_by_others, store::Stores,
};

use super::{JobError, live::now_ms};
use crate::{
    assemble::{self, Access, Resolve, Variable},
    binding::pairs,
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
    let stores = assemble::stores(config, Access::Look, sandbox, resolve, variable).await?;
    let compared = compare_all(config, &stores, &record).await;
    stores.close().await;
    compared
}

async fn compare_all(config: &Config, stores: &Stores, record: &Record) -> Result<Vec<Comparison>, JobError> {
    let mut traders = pairs(config);
    let others = held_by_others(stores, record, &traders).await.map_err(sigbox_trading::RunError::from)?;
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
    let stores = assemble::stores(config, Access::Own { take_over: false }, sandbox, resolve, variable).await?;
    let decided = decide(&stores, &config.engine, &mut journal, pair, decision, now_ms).await;
    stores.close().await;
    Ok(decided?)
}
