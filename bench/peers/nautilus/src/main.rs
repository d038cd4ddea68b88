//! nautilus_trader, Rust crates: a bracket of orders, the first filled at the close of the candle that crossed. Prints
//! one line of JSON.
//!
//! It has slippage by ticks only, so that is charged as a fee. The strategy is its own example `EmaCross` with bars for
//! quotes, running sums for exponential averages, a bracket for a market order, and an end after four hours.

#[path = "../../plain/src/candles.rs"]
mod candles;

use std::{env, error::Error, fmt, time::Instant};

use nautilus_backtest::{
    config::{BacktestEngineConfig, SimulatedVenueConfig},
    engine::BacktestEngine,
};
use nautilus_common::actor::DataActor;
use nautilus_execution::models::fee::{FeeModelAny, MakerTakerFeeModel};
use nautilus_model::{
    data::{Bar, BarType, Data},
    enums::{AccountType, BookType, OmsType, OrderSide},
    identifiers::{InstrumentId, StrategyId, Symbol, Venue},
    instruments::{CryptoPerpetual, InstrumentAny},
    types::{Currency, Money, Price, Quantity},
};
use nautilus_trading::{
    nautilus_strategy,
    strategy::{Strategy, StrategyConfig, StrategyCore},
};
use rust_decimal::Decimal;

use candles::Candle;

const FAST: usize = 20;
const SLOW: usize = 60;
const TAKE_PROFIT: f64 = 0.01;
const STOP_LOSS: f64 = 0.005;
const MINUTES: u32 = 240;
const MINUTE_NS: u64 = 60_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let candles = candles::read(&arguments.next().ok_or("name a Parquet file of candles")?)?;
    let every_minutes = arguments.next().ok_or("say how many minutes lie between two looks")?.parse()?;

    let venue = Venue::from("SIM");
    let instrument_id = InstrumentId::from("BTCUSDT.SIM");
    let bar_type = BarType::from("BTCUSDT.SIM-1-MINUTE-LAST-EXTERNAL");
    let config = BacktestEngineConfig::builder().bypass_logging(true).run_analysis(false).build();
    let mut engine = BacktestEngine::new(config)?;
    let costs = Decimal::new(2, 3); // 0.2 % a side
    engine.add_venue(
        SimulatedVenueConfig::builder()
            .venue(venue)
            .oms_type(OmsType::Hedging)
            .account_type(AccountType::Margin)
            .book_type(BookType::L1_MBP)
            .starting_balances(vec![Money::from("1_000_000_000 USDT")])
            .fee_model(FeeModelAny::MakerTaker(MakerTakerFeeModel::new(costs, costs)).into())
            .build()?,
    )?;
    engine.add_instrument(&instrument(instrument_id)?)?;
    engine.add_strategy(SmaCross::new(instrument_id, bar_type, every_minutes))?;
    let bars = candles.iter().map(|candle| Data::Bar(bar(bar_type, candle))).collect();
    engine.add_data(bars, None, true, true)?;

    let started = Instant::now();
    engine.run(None, None, None, false)?;
    let seconds = started.elapsed().as_secs_f64();
    let trades = engine.kernel().cache.borrow().positions_closed_count(None, None, None, None, None);
    println!(r#"{{"seconds": {seconds}, "candles": {}, "trades": {trades}}}"#, candles.len());
    Ok(())
}

fn bar(bar_type: BarType, candle: &Candle) -> Bar {
    let close_ns = (candle.open_time_ms as u64) * 1_000_000 + MINUTE_NS;
    let price = |value| Price::new(value, 2);
    Bar::new(
        bar_type,
        price(candle.open),
        price(candle.high),
        price(candle.low),
        price(candle.close),
        Quantity::new(candle.volume, 3),
        close_ns.into(),
        close_ns.into(),
    )
}

fn instrument(id: InstrumentId) -> Result<InstrumentAny, Box<dyn Error>> {
    let perpetual = CryptoPerpetual::builder()
        .instrument_id(id)
        .raw_symbol(Symbol::from("BTCUSDT"))
        .base_currency(Currency::from("BTC"))
        .quote_currency(Currency::from("USDT"))
        .settlement_currency(Currency::from("USDT"))
        .is_inverse(false)
        .price_precision(2)
        .size_precision(3)
        .price_increment(Price::from("0.01"))
        .size_increment(Quantity::from("0.001"))
        .margin_init(Decimal::new(1, 2))
        .margin_maint(Decimal::new(1, 2))
        .ts_event(0.into())
        .ts_init(0.into())
        .build()?;
    Ok(InstrumentAny::CryptoPerpetual(perpetual))
}

struct SmaCross {
    core: StrategyCore,
    instrument_id: InstrumentId,
    bar_type: BarType,
    every_ns: u64,
    /// The last closes, and where in them the oldest one is.
    closes: [f64; SLOW],
    seen: usize,
    fast: f64,
    slow: f64,
    was_above: bool,
    held: u32,
}

impl SmaCross {
    fn new(instrument_id: InstrumentId, bar_type: BarType, every_minutes: u64) -> Self {
        let config = StrategyConfig {
            strategy_id: Some(StrategyId::from("SMA_CROSS-001")),
            order_id_tag: Some("001".to_owned()),
            ..StrategyConfig::default()
        };
        Self {
            core: StrategyCore::new(config),
            instrument_id,
            bar_type,
            every_ns: every_minutes * MINUTE_NS,
            closes: [0.0; SLOW],
            seen: 0,
            fast: 0.0,
            slow: 0.0,
            was_above: false,
            held: 0,
        }
    }

    /// Takes in a close; whether the fast average is above the slow one now.
    fn above(&mut self, close: f64) -> bool {
        let place = self.seen % SLOW;
        self.slow += close - self.closes[place];
        // Zero while there are not so many.
        self.fast += close - self.closes[(self.seen + SLOW - FAST) % SLOW];
        self.closes[place] = close;
        self.seen += 1;
        self.fast / FAST as f64 > self.slow / SLOW as f64
    }

    fn enter(&mut self, close: f64, side: OrderSide) -> anyhow::Result<()> {
        let towards_profit = if side == OrderSide::Buy { 1.0 } else { -1.0 };
        let orders = self
            .order()
            .bracket()
            .instrument_id(self.instrument_id)
            .order_side(side)
            .quantity(Quantity::from("1.000"))
            .tp_price(Price::new(close * (1.0 + towards_profit * TAKE_PROFIT), 2))
            .tp_post_only(false)
            .sl_trigger_price(Price::new(close * (1.0 - towards_profit * STOP_LOSS), 2))
            .call();
        self.submit_order_list(orders, None, None, None)
    }
}

nautilus_strategy!(SmaCross);

impl fmt::Debug for SmaCross {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmaCross").finish_non_exhaustive()
    }
}

impl DataActor for SmaCross {
    fn on_start(&mut self) -> anyhow::Result<()> {
        self.subscribe_bars(self.bar_type, None, None);
        Ok(())
    }

    fn on_bar(&mut self, bar: &Bar) -> anyhow::Result<()> {
        let close = bar.close.as_f64();
        let above = self.above(close);
        let crossed = self.seen > SLOW && above != self.was_above;
        self.was_above = above;
        let instrument_id = self.instrument_id;
        if !self.portfolio().is_net_flat(&instrument_id) {
            self.held += 1;
            if self.held >= MINUTES {
                self.cancel_all_orders(instrument_id, None, None, false, None)?;
                self.close_all_positions(instrument_id, None, None, None, None, None, None, None)?;
            }
        } else if crossed && bar.ts_event.as_u64() % self.every_ns == 0 {
            self.held = 0;
            self.enter(close, if above { OrderSide::Buy } else { OrderSide::Sell })?;
        }
        Ok(())
    }
}
