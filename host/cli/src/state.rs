//! `sigbox state`.

mod copy;
mod held;
mod memory;
mod rebind;
mod stores;

use std::io;

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;
use sigbox::{
    assemble::{self, Access},
    binding::pairs,
    config::{Config, StoreChoice},
    job::events_file,
    sandbox::Live,
    trading::{
        Decision, Record, held_by_others,
        store::{Address, Domain, FileStore, Stores},
        stored_state,
    },
};
use sigbox_engine::{State, signal::Pair};

use crate::{
    args::{self, StateCommand},
    plugins,
};

pub(crate) use held::NotKept;

pub(crate) fn run(command: &args::State) -> anyhow::Result<()> {
    match &command.command {
        StateCommand::Show(show) => {
            let config = Config::load(&show.config.path)?;
            tokio::runtime::Runtime::new()?.block_on(self::show(&config, show.json))
        }
        StateCommand::Path(path) => self::path(&Config::load(&path.config.path)?, path.json),
        StateCommand::Stores(command) => {
            let config = Config::load(&command.config.path)?;
            tokio::runtime::Runtime::new()?.block_on(stores::show(&config, command.json))
        }
        StateCommand::Copy(command) => {
            let config = Config::load(&command.config.path)?;
            tokio::runtime::Runtime::new()?.block_on(copy::run(&config, command))
        }
        StateCommand::Rebind(command) => rebind::run(command),
        StateCommand::Check(command) => held::check(command),
        StateCommand::Repair(command) => held::decide(&command.holder, &Decision::Repair { by: command.by }),
        StateCommand::Adopt(command) => {
            held::decide(&command.holder, &Decision::Adopt { strategy: command.strategy.clone() })
        }
        StateCommand::Close(command) => held::decide(&command.holder, &Decision::Close { price: command.price }),
        StateCommand::Forget(command) => held::decide(&command.holder, &Decision::Forget),
        StateCommand::Memory(command) => memory::run(command),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Held {
    strategy_name: String,
    symbol: String,
    exchange_name: String,
    state: &'static str,
    /// Whether the configuration names the strategy and the symbol.
    configured: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<serde_json::Value>,
}

async fn show(config: &Config, json: bool) -> anyhow::Result<()> {
    let sandbox = plugins::sandbox::<Live>(&config.limits, config.cache_dir.as_ref())?;
    let record = Record::read(&events_file(config))?;
    let mut resolve = plugins::resolver();
    let stores: Stores =
        assemble::stores(config, Access::Look, &record, &sandbox, &mut resolve, &plugins::variable).await?;
    let mut traders = pairs(config);
    let configured = traders.len();
    // What the configuration does not name any more is held all the same.
    let others = held_by_others(&stores, &record, &traders).await?;
    traders.extend(others.into_iter().filter(|pair| pair.exchange == config.exchange_name));
    let found = stored_state(&stores, &config.engine, &traders).await?;
    stores.close().await;
    let held: Vec<Held> = found
        .into_iter()
        .enumerate()
        .map(|(index, stored)| {
            let (state, row) = (name(&stored.state), stored.row());
            let Pair { symbol, strategy, exchange, .. } = stored.pair;
            let configured = index < configured;
            Held { strategy_name: strategy, symbol, exchange_name: exchange, state, configured, row }
        })
        .collect();
    if json {
        serde_json::to_writer_pretty(io::stdout().lock(), &held)?;
        println!();
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["strategy", "symbol", "state", "side", "entry", "take profit", "stop loss", "since"]);
    for Held { strategy_name, symbol, state, configured, row, .. } in held {
        let field = |name: &str| row.as_ref().and_then(|row| row.get(name)).map(plain).unwrap_or_default();
        let since = row.as_ref().and_then(|row| row.get("pendingAt")).and_then(serde_json::Value::as_i64);
        let since = since.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).map(|time| time.to_string());
        table.add_row([
            strategy_name,
            symbol,
            if configured { state.to_owned() } else { format!("{state}, not in the configuration") },
            field("position"),
            field("priceOpen"),
            field("priceTakeProfit"),
            field("priceStopLoss"),
            since.unwrap_or_default(),
        ]);
    }
    println!("{table}");
    Ok(())
}

const fn name(state: &State) -> &'static str {
    match state {
        State::Idle => "flat",
        State::Scheduled(_) => "scheduled",
        State::Open(_) => "open",
    }
}

fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    strategy_name: String,
    symbol: String,
    domain: &'static str,
    store: String,
    document: String,
}

fn file_of(config: &Config, at: &Address) -> String {
    // If a name is too long for a file, the message about this is shown in place of the path.
    FileStore::file_of(&config.persistence.data_dir, at).map_or_else(|error| error, |file| file.display().to_string())
}

fn address(at: &Address) -> String {
    format!("{}/{}/{}", at.domain, at.entity_name, at.entity_id)
}

fn path(config: &Config, json: bool) -> anyhow::Result<()> {
    let mut kept = Vec::new();
    for pair in pairs(config) {
        for domain in [Domain::Signal, Domain::Schedule, Domain::Partial, Domain::Memory] {
            let choice = config.persistence.stores.of(domain);
            let at = Address::of_pair(domain, &pair);
            let (store, document) = match choice {
                StoreChoice::File => ("file", file_of(config, &at)),
                StoreChoice::Memory => ("memory", address(&at)),
                StoreChoice::Plugin(store) => (store.as_str(), address(&at)),
            };
            kept.push(Kept {
                strategy_name: pair.strategy.clone(),
                symbol: pair.symbol.clone(),
                domain: domain.name(),
                store: store.to_owned(),
                document,
            });
        }
    }
    if json {
        serde_json::to_writer_pretty(io::stdout().lock(), &kept)?;
        println!();
    } else {
        for Kept { strategy_name, symbol, domain, store, document } in kept {
            println!("{strategy_name} on {symbol}: {domain} ({store}): {document}");
        }
    }
    Ok(())
}
