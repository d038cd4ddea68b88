//! Runs the plain loop over a Parquet file and prints one line of JSON:
//!
//! ```sh
//! cargo run --release -- year.parquet 1        # look for an entry every minute
//! ```

mod candles;
mod sma_cross;

use std::{env, error::Error, hint::black_box, time::Instant};

use candles::{Candle, read};

/// A pass takes a few milliseconds, so one alone says little. The mean of many has its share of the interruptions that a
/// longer run has.
const PASSES: u32 = 101;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let file = arguments.next().ok_or("name a Parquet file of candles")?;
    let every_minutes = arguments.next().ok_or("say how many minutes lie between two looks")?.parse()?;
    let candles = read(&file)?;

    let mut result = sma_cross::Result::default();
    let started = Instant::now();
    for _ in 0..PASSES {
        result = black_box(sma_cross::run(black_box(&candles), every_minutes));
    }
    let seconds = (started.elapsed() / PASSES).as_secs_f64();
    println!(
        r#"{{"seconds": {seconds}, "candles": {}, "trades": {}, "pnl_percent": {}}}"#,
        candles.len(),
        result.trades,
        result.pnl_percent
    );
    Ok(())
}
