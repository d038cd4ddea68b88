//! `[candles]`: where the one-minute candles of each symbol come from.

use std::{collections::BTreeMap, path::PathBuf};

use sigbox_market::candles::{Gaps, Recipe};

use super::{
    reader::{Item, Section},
    value::{Name, WholeMinuteMs},
};

/// The candles of a backtest, and those the live replay feed replays.
#[derive(Clone, Debug, PartialEq)]
pub struct Candles {
    /// What to do about minutes that are missing, in a file or at an exchange.
    pub gaps: Gaps,
    /// Where the candles of each symbol come from. There may be more symbols than are traded: strategies can look at
    /// all of them.
    pub sources: BTreeMap<String, CandleSource>,
}

/// Where the candles of one symbol come from.
#[derive(Clone, Debug, PartialEq)]
pub enum CandleSource {
    /// A CSV or Parquet file. It is not opened until it is needed.
    File(PathBuf),
    /// Generated from a recipe.
    Generated(Recipe),
}

/// The message when a strategy trades a symbol without candles.
pub(super) fn no_candles(symbol: &str) -> String {
    format!("[candles] has none of {symbol}; add it to [candles.files], or a [candles.generate.{symbol}]")
}

const MINUTES_A_DAY: u64 = 24 * 60;

/// [`Recipe::MOST_MINUTES`] in days.
const DAYS_MAX: u64 = Recipe::MOST_MINUTES as u64 / MINUTES_A_DAY;

/// The default seed. Another seed makes another market.
const SEED: u64 = 1;

/// The default volatility, about that of Bitcoin.
const VOLATILITY_PERCENT: f64 = 0.05;

pub(super) fn read(root: &Section<'_>) -> Candles {
    root.section("candles", "[candles]", |candles| {
        let files = candles.named_values::<Name>("files", "[candles.files]");
        let generated = candles.named_sections("generate", "[candles.generate.NAME]", |section, symbol| {
            if let Some(Item { offset, .. }) = files.get(symbol) {
                section.complain(&format!(
                    "makes up candles that [candles.files] has on line {}; keep one of them",
                    section.line(*offset)
                ));
            }
            CandleSource::Generated(read_recipe(section))
        });
        let in_files =
            files.iter().map(|(symbol, path)| (symbol.clone(), CandleSource::File(candles.in_folder(&path.value.0))));
        Candles { gaps: candles.or("gaps", Gaps::Refuse), sources: in_files.chain(generated).collect() }
    })
}

fn read_recipe(section: &Section<'_>) -> Recipe {
    let start = section.required::<WholeMinuteMs>("start");
    let days = section.required_whole("days", 1..=DAYS_MAX);
    let price = section.required_number("price", Recipe::LOWEST_PRICE..=Recipe::HIGHEST_PRICE);
    let volatility_percent = section.number("volatility-percent", 0.0..=Recipe::MOST_VOLATILE_PERCENT);
    Recipe {
        seed: section.or("seed", SEED),
        start_ms: start.unwrap_or(WholeMinuteMs(0)).0,
        minutes: usize::try_from(days.unwrap_or(1) * MINUTES_A_DAY).unwrap_or(Recipe::MOST_MINUTES),
        price: price.unwrap_or(Recipe::LOWEST_PRICE),
        volatility_percent: volatility_percent.unwrap_or(VOLATILITY_PERCENT),
    }
}
