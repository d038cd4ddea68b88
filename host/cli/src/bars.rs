//! The prices that a report draws.

use std::collections::BTreeMap;

use sigbox::{
    config::Config,
    job::recorded_market,
    market::{Market, candles::Series},
};
use sigbox_engine::{Interval, MINUTE_MS};
use sigbox_report::{Bars, Report};

/// About the most bars of one symbol: a page cannot show more, and each one makes it larger.
const MOST_BARS: i64 = 2000;

/// The prices of every symbol that has outcomes, if `market` has them.
pub(crate) fn of(report: &Report, market: &Market) -> BTreeMap<String, Bars> {
    let Some(period_ms) = report.run.period_ms else { return BTreeMap::new() };
    let symbols = report.tally.symbols.keys();
    let bars = symbols.filter_map(|symbol| {
        let series = market.series(symbol)?;
        Some((symbol.clone(), resampled(&series.read(), period_ms)?))
    });
    bars.collect()
}

/// The candles of the run that `report` describes, as the configuration has them now; none when they cannot be read.
pub(crate) fn market(config: &Config, report: &Report) -> Market {
    recorded_market(config, &report.run).unwrap_or_else(|error| none(&error))
}

/// No candles, because of `error`: the report is made without prices.
pub(crate) fn none(error: &dyn std::error::Error) -> Market {
    tracing::warn!("the report has no prices: {error:#}");
    Market::default()
}

/// The candles of a period, in the shortest interval that makes few enough of them; `None` when the period has none.
fn resampled(series: &Series, (from_ms, to_ms): (i64, i64)) -> Option<Bars> {
    let minutes = (to_ms - from_ms) / MINUTE_MS;
    let few_enough = |interval: &Interval| minutes / i64::from(interval.minutes()) < MOST_BARS;
    let interval = Interval::all().find(few_enough).or_else(|| Interval::all().last())?;
    // Only whole bars: from the first to the last bar of which every minute is known.
    let first_ms = series.first_open_ms()?;
    let first_whole_ms = interval.slot(first_ms + interval.ms() - MINUTE_MS);
    let from_ms = interval.slot(from_ms).max(first_whole_ms);
    let until_ms = interval.slot((interval.slot(to_ms) + interval.ms()).min(series.end_ms()?));
    let count = usize::try_from((until_ms - from_ms) / interval.ms()).ok().filter(|count| *count > 0)?;
    let bars = series.last_closed_of(interval, until_ms, count)?.to_vec();
    Some(Bars { interval, bars })
}

#[cfg(test)]
mod tests {
    use sigbox::market::candles::{Recipe, generate};

    use super::*;

    #[test]
    fn bars_are_whole_and_few_and_cover_the_period() {
        let start_ms = 1_704_067_200_000 + 7 * MINUTE_MS;
        let recipe = Recipe { seed: 1, start_ms, minutes: 10_000, price: 100.0, volatility_percent: 0.1 };
        let series = Series::new(generate(&recipe).unwrap()).unwrap();
        let end_ms = series.end_ms().unwrap();
        let minute = |minute: i64| start_ms + minute * MINUTE_MS;
        for (from_ms, to_ms, name) in [
            (minute(5), minute(100), "1m"),
            (minute(5), minute(2000), "1m"),
            (minute(5), minute(2010), "3m"),
            (minute(5), end_ms - 2 * MINUTE_MS, "5m"),
        ] {
            let Bars { interval, bars } = resampled(&series, (from_ms, to_ms)).unwrap();
            assert_eq!(interval.name(), name);
            assert!(bars.len() <= 2001, "{}", bars.len());
            let (first, last) = (bars.first().unwrap(), bars.last().unwrap());
            assert!((first.open_time_ms - from_ms).abs() < interval.ms(), "{name}: {first:?} {from_ms}");
            assert!(last.open_time_ms + 2 * interval.ms() > to_ms, "{name}: {last:?} {to_ms}");
            assert!(last.open_time_ms + interval.ms() <= end_ms, "{name}: {last:?} is not whole");
        }
        assert_eq!(resampled(&series, (end_ms + 10 * MINUTE_MS, end_ms + 20 * MINUTE_MS)), None);
        assert_eq!(resampled(&Series::empty(), (0, MINUTE_MS)), None);
    }
}
