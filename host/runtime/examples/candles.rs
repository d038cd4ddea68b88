//! Writes the candles a configuration describes to a file, so that other programs can work on the same ones:
//!
//! ```sh
//! cargo run --release --example candles -- bench/year.toml year.parquet
//! ```

use std::{env, error::Error, path::Path};

use sigbox::{
    assemble,
    config::Config,
    market::candles::{Existing, write_candles},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let config = Config::load(arguments.next().ok_or("name a configuration")?)?;
    let file = arguments.next().ok_or("name the file to write; its ending, .csv or .parquet, says how")?;
    let (_, series) = assemble::candles(&config)?.into_iter().next().ok_or("the configuration has no candles")?;
    write_candles(Path::new(&file), series.closed_before(i64::MAX), Existing::Replace)?;
    Ok(())
}
