//! The conversion of a candle file to another format, to a part of it, or to a higher interval.

use std::path::Path;

use sigbox_engine::{Candle, Interval};

use super::{
    Series,
    file::{CandleFileError, Existing, Gaps, read_candles, write_candles},
};

/// How to convert a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// What to do about missing minutes.
    pub gaps: Gaps,
    /// The first opening time that is kept, milliseconds since the Unix epoch; `None`: from the first candle on.
    pub from_ms: Option<i64>,
    /// The first opening time that is no longer kept; `None`: to the last candle.
    pub to_ms: Option<i64>,
    /// The interval of the candles that are written. Candles of a higher interval are aligned to the epoch. Those of
    /// which a minute is missing are left out.
    pub interval: Interval,
    /// What to do if the output file exists.
    pub existing: Existing,
}

/// Reads the one-minute candles of `input`, converts them as `conversion` says, and writes them to `output`, in the
/// format of its ending. Returns the candles that were written, at least one.
///
/// # Errors
/// When `input` cannot be read, when no candle is left, or when `output` cannot be written.
pub fn convert(input: &Path, output: &Path, conversion: &Conversion) -> Result<Vec<Candle>, CandleFileError> {
    let Conversion { gaps, from_ms, to_ms, interval, existing } = *conversion;
    let mut candles = read_candles(input, gaps)?;
    let whole_ms = (candles[0].open_time_ms, candles[candles.len() - 1].open_time_ms);
    candles.retain(|candle| {
        from_ms.is_none_or(|from_ms| candle.open_time_ms >= from_ms)
            && to_ms.is_none_or(|to_ms| candle.open_time_ms < to_ms)
    });
    if interval != Interval::MINUTE {
        let series = Series::new(candles).expect("what was read is consecutive and possible");
        candles = series.after_of(interval, i64::MIN, i64::MAX, usize::MAX).to_vec();
    }
    if candles.is_empty() {
        return Err(CandleFileError::NoneLeft { path: input.to_owned(), whole_ms, interval });
    }
    write_candles(output, &candles, existing)?;
    Ok(candles)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candles::{Recipe, generate};
    use sigbox_engine::MINUTE_MS;
    use tempfile::TempDir;

    /// 2024-01-01T00:03:00Z.
    const START: i64 = 1_704_067_380_000;

    const WHOLE: Conversion = Conversion {
        gaps: Gaps::Refuse,
        from_ms: None,
        to_ms: None,
        interval: Interval::MINUTE,
        existing: Existing::Keep,
    };

    #[test]
    fn from_format_to_format_nothing_is_lost() {
        let directory = TempDir::new().unwrap();
        let file = |name: &str| directory.path().join(name);
        let recipe = Recipe { seed: 1, start_ms: START, minutes: 100, price: 100.0, volatility_percent: 1.0 };
        let candles = generate(&recipe).unwrap();
        write_candles(&file("1.csv"), &candles, Existing::Keep).unwrap();
        for (from, to) in [("1.csv", "2.parquet"), ("2.parquet", "3.csv"), ("3.csv", "4.csv")] {
            assert_eq!(convert(&file(from), &file(to), &WHOLE).unwrap(), candles);
        }
        assert_eq!(std::fs::read(file("1.csv")).unwrap(), std::fs::read(file("4.csv")).unwrap());
        assert!(matches!(convert(&file("1.csv"), &file("2.parquet"), &WHOLE), Err(CandleFileError::Exists { .. })));
    }

    #[test]
    fn a_part_and_a_higher_interval_are_cut_out() {
        let directory = TempDir::new().unwrap();
        let (input, output) = (directory.path().join("minutes.csv"), directory.path().join("out.parquet"));
        let recipe = Recipe { seed: 1, start_ms: START, minutes: 100, price: 100.0, volatility_percent: 1.0 };
        write_candles(&input, &generate(&recipe).unwrap(), Existing::Keep).unwrap();
        // The first minute that is kept and the first that is not, both counted from the start; the interval; and the
        // minutes at which the written candles open.
        let cases = [
            ((None, None), "1m", (0..100).collect::<Vec<_>>()),
            ((Some(10), Some(13)), "1m", vec![10, 11, 12]),
            ((Some(-10), Some(1000)), "1m", (0..100).collect()),
            // The first and the last slot are not whole.
            ((None, None), "15m", vec![12, 27, 42, 57, 72]),
            ((Some(12), Some(42)), "15m", vec![12, 27]),
            ((Some(13), Some(42)), "15m", vec![27]),
        ];
        for ((from, to), interval, expected) in cases {
            let at = |minute: i64| START + minute * MINUTE_MS;
            let conversion = Conversion {
                from_ms: from.map(at),
                to_ms: to.map(at),
                interval: interval.parse().unwrap(),
                existing: Existing::Replace,
                ..WHOLE
            };
            let written = convert(&input, &output, &conversion).unwrap();
            let opened: Vec<i64> = written.iter().map(|candle| (candle.open_time_ms - START) / MINUTE_MS).collect();
            assert_eq!(opened, expected, "{conversion:?}");
        }
        for conversion in [
            Conversion { from_ms: Some(START + 100 * MINUTE_MS), ..WHOLE },
            Conversion { to_ms: Some(START), ..WHOLE },
            Conversion { interval: "2h".parse().unwrap(), ..WHOLE },
        ] {
            let refused = convert(&input, &directory.path().join("none.csv"), &conversion).unwrap_err();
            assert!(matches!(refused, CandleFileError::NoneLeft { .. }), "{refused}");
            assert!(!directory.path().join("none.csv").exists());
        }
    }
}
