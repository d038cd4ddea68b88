//! `sigbox state check`, and the decisions about what is held: `repair`, `adopt`, `close` and `forget`.

use std::{fmt, io};

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;
use sigbox::{
    binding::pairs,
    config::Config,
    job::{check_state, decide_state, events_file},
    sandbox::Live,
    trading::{Comparison, Decision, Finding},
};
use sigbox_engine::{State, signal::Pair};

use crate::{
    args::{Holder, StateCheck},
    exit::Usage,
    plugins,
};

/// The error when a store does not have what is held, or nobody knows what is held.
#[derive(Debug)]
pub(crate) struct NotKept(String);

impl fmt::Display for NotKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotKept {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    strategy_name: String,
    symbol: String,
    state: &'static str,
    /// Whether the configuration names the strategy and the symbol.
    configured: bool,
    finding: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

pub(super) fn check(command: &StateCheck) -> anyhow::Result<()> {
    let config = Config::load(&command.config.path)?;
    let events = command.events.clone().unwrap_or_else(|| events_file(&config));
    let sandbox = plugins::sandbox::<Live>(&config.limits, config.cache_dir.as_ref())?;
    let mut resolve = plugins::resolver();
    let check = check_state(&config, &events, &sandbox, &mut resolve, &plugins::variable);
    let compared = tokio::runtime::Runtime::new()?.block_on(check)?;

    let configured = pairs(&config);
    let count = |finding: fn(&Finding) -> bool| compared.iter().filter(|one| finding(&one.finding)).count();
    let lost = count(|finding| matches!(finding, Finding::Lost { .. }));
    let over = count(|finding| matches!(finding, Finding::Over { .. }));
    let contradictions = count(|finding| matches!(finding, Finding::Contradiction { .. }));
    let held = compared.iter().filter(|one| one.state != State::Idle).count();
    let rows: Vec<Row> = compared.into_iter().map(|compared| row(compared, &configured)).collect();
    let orphans = rows.iter().filter(|row| !row.configured && row.state != "flat").count();
    if command.json {
        serde_json::to_writer_pretty(io::stdout().lock(), &rows)?;
        println!();
    } else {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["strategy", "symbol", "state", "event record and store", ""]);
        for Row { strategy_name, symbol, state, configured, finding, detail } in rows {
            let detail = detail.unwrap_or_else(|| {
                let unknown = if configured { "" } else { "not in the configuration" };
                unknown.to_owned()
            });
            table.add_row([strategy_name, symbol, state.to_owned(), finding.to_owned(), detail]);
        }
        println!("{table}");
        println!(
            "{held} held; a start would rebuild {lost} that the store has lost, clear {over} that have ended, and stop \
             {contradictions}; {orphans} are not in the configuration."
        );
    }
    if lost + contradictions > 0 {
        let what = format!("{lost} positions or orders are not in their store, and {contradictions} are in doubt");
        return Err(NotKept(what).into());
    }
    Ok(())
}

fn row(Comparison { pair, state, finding }: Comparison, configured: &[Pair]) -> Row {
    let (finding, detail) = match finding {
        Finding::Kept => ("agree", None),
        Finding::Lost { found } => ("lost", Some(format!("the store has {found}"))),
        Finding::Over { found, reason } => ("ended", Some(format!("the store still has {found}, but {reason}"))),
        Finding::Contradiction { record, store } => {
            ("contradict", Some(format!("the event record has {record}, and the store has {store}")))
        }
        _ => ("unknown", None),
    };
    let configured = configured.contains(&pair);
    let Pair { symbol, strategy, .. } = pair;
    Row { strategy_name: strategy, symbol, state: super::name(&state), configured, finding, detail }
}

impl Holder {
    /// The trader, as `config` names its exchange.
    pub(super) fn pair(&self, config: &Config) -> Pair {
        Pair {
            symbol: self.symbol.clone(),
            strategy: self.strategy.clone(),
            exchange: config.exchange_name.clone(),
            frame: String::new(),
        }
    }
}

pub(super) fn decide(holder: &Holder, decision: &Decision) -> anyhow::Result<()> {
    let Holder { strategy, symbol, config, events } = holder;
    let config = Config::load(&config.path)?;
    let events = events.clone().unwrap_or_else(|| events_file(&config));
    let pair = holder.pair(&config);
    if let Decision::Adopt { strategy } = decision
        && !pairs(&config).contains(&Pair { strategy: strategy.clone(), ..pair.clone() })
    {
        let message = format!("the configuration has no strategy {strategy:?} on {symbol}, so nobody would watch it");
        return Err(Usage(message).into());
    }
    let sandbox = plugins::sandbox::<Live>(&config.limits, config.cache_dir.as_ref())?;
    let mut resolve = plugins::resolver();
    let decide = decide_state(&config, &events, &sandbox, &mut resolve, &plugins::variable, (&pair, decision));
    let done = tokio::runtime::Runtime::new()?.block_on(decide)?;
    println!("{strategy} on {symbol}: {done}.");
    Ok(())
}
