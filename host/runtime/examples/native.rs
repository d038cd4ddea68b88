//! A strategy in Rust inside the engine, without a sandbox: what a plugin is measured against. Prints one line of JSON.
//!
//! ```sh
//! cargo run --release --example native -- year.parquet 1m     # asked every minute
//! ```

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::{
    env,
    error::Error,
    ops::ControlFlow,
    path::Path,
    time::{Duration, Instant},
};

use sigbox::{
    market::{
        Market, SharedSeries,
        candles::{Gaps, Series, read_candles},
    },
    trading::{Backtest, Question, RunError, SeatSetup, Setup, Strategy},
};
use sigbox_engine::{
    Interval, Proposal, Settings, Side,
    stats::{Statistics, Tally},
    trader::Answer,
};

const SYMBOL: &str = "BTCUSDT";

/// A run takes some hundredths of a second, so one alone says little.
const RUNS: u32 = 9;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let file = arguments.next().ok_or("name a file of candles")?;
    let interval = arguments.next().ok_or("say how often the strategy is asked: 1m, 5m")?;
    let interval: Interval = interval.parse().map_err(|error| format!("{interval}: {error}"))?;
    let series = Series::new(read_candles(Path::new(&file), Gaps::Refuse)?)?;
    let candles = series.len();
    let market = Market::new([(SYMBOL.to_owned(), series)]);

    let mut tally = Tally::default();
    let mut took = Duration::ZERO;
    for _ in 0..RUNS {
        let backtest = backtest(&market, interval)?;
        tally = Tally::default();
        let started = Instant::now();
        backtest.run(&mut tally, |_| ControlFlow::Continue(()))?;
        took += started.elapsed();
    }
    let seconds = (took / RUNS).as_secs_f64();
    let Statistics { trades, total_pnl, .. } = tally.total.returns.statistics();
    let total_pnl = total_pnl.unwrap_or(0.0);
    println!(r#"{{"seconds": {seconds}, "candles": {candles}, "trades": {trades}, "pnl_percent": {total_pnl}}}"#);
    Ok(())
}

/// A run of the strategy over everything in `market`, asked every `interval`, on the terms of `bench/year.toml`.
pub(crate) fn backtest(market: &Market, interval: Interval) -> Result<Backtest<SmaCross>, RunError> {
    let series = market.series(SYMBOL).ok_or_else(|| RunError::Setup(format!("there are no candles of {SYMBOL}")))?;
    let settings = Settings { min_stoploss_distance_percent: 0.4, ..Settings::default() };
    let setup = Setup::new("made-up", market.clone(), settings);
    let seat = SeatSetup::new(setup.assign("sma-cross", SYMBOL), interval, SmaCross::new(series.clone()));
    Backtest::new(setup.seat(seat))
}

/// Buys when the average of the last 20 closes crosses above that of the last 60, sells when it crosses below: the
/// sample plugin `sma-cross`, with running sums.
pub(crate) struct SmaCross {
    series: SharedSeries,
    /// Candles that are in the sums.
    seen: usize,
    fast: f64,
    slow: f64,
    /// Whether the fast average was above the slow one, at the last candle and at the one before.
    above: [bool; 2],
}

const FAST: usize = 20;
const SLOW: usize = 60;

impl SmaCross {
    fn new(series: SharedSeries) -> Self {
        Self { series, seen: 0, fast: 0.0, slow: 0.0, above: [false; 2] }
    }

    /// Takes in what has closed since it was last asked.
    #[expect(clippy::cast_precision_loss, reason = "there are a few dozen candles in an average")]
    fn catch_up(&mut self, now_ms: i64) {
        let series = self.series.read();
        let closed = series.closed_before(now_ms);
        for index in self.seen..closed.len() {
            self.fast += closed[index].close;
            self.slow += closed[index].close;
            if index >= FAST {
                self.fast -= closed[index - FAST].close;
            }
            if index >= SLOW {
                self.slow -= closed[index - SLOW].close;
            }
            self.above = [self.fast / FAST as f64 > self.slow / SLOW as f64, self.above[0]];
        }
        self.seen = closed.len();
    }
}

impl Strategy for SmaCross {
    fn answer(&mut self, row: &[Question]) -> Option<(usize, Answer)> {
        row.iter().enumerate().find_map(|(index, question)| match self.ask(question.now_ms, question.price) {
            Answer::Nothing => None,
            answer => Some((index, answer)),
        })
    }
}

impl SmaCross {
    fn ask(&mut self, now_ms: i64, price: f64) -> Answer {
        self.catch_up(now_ms);
        let side = match self.above {
            _ if self.seen <= SLOW => return Answer::Nothing,
            [true, false] => Side::Long,
            [false, true] => Side::Short,
            [true, true] | [false, false] => return Answer::Nothing,
        };
        let towards_profit = match side {
            Side::Long => 1.0,
            Side::Short => -1.0,
        };
        Answer::Trade(Proposal {
            id: None,
            symbol: None,
            side,
            price_open: None,
            price_take_profit: price * (1.0 + towards_profit * 0.01),
            price_stop_loss: price * (1.0 - towards_profit * 0.005),
            minute_estimated_time: Some(240.0),
            cost: None,
            multiplier: None,
            isolated: None,
            note: None,
        })
    }
}
