//! The candles of higher intervals. They are made from the minutes once, and grow with them.

use std::sync::OnceLock;

use sigbox_engine::{Candle, Interval};

/// The candles of each interval that a series was asked for. They follow from the minutes: if they were made again,
/// they would have the same bits.
#[derive(Clone, Debug, Default)]
pub(super) struct HigherIntervals {
    /// By [`Interval::index`].
    made: [OnceLock<Higher>; Interval::COUNT],
}

/// The candles of one interval: one for each slot of which every minute is there. Oldest first, none missing between
/// them.
#[derive(Clone, Debug)]
struct Higher {
    interval: Interval,
    candles: Vec<Candle>,
}

impl HigherIntervals {
    /// The candles of `interval`. `minutes` must be all minutes of the series.
    pub(super) fn get(&self, interval: Interval, minutes: &[Candle]) -> &[Candle] {
        let make = || {
            let mut higher = Higher { interval, candles: Vec::new() };
            higher.grow(minutes);
            higher
        };
        &self.made[interval.index()].get_or_init(make).candles
    }

    /// Adds the candles that new minutes complete. `minutes` must be all minutes of the series.
    pub(super) fn grow(&mut self, minutes: &[Candle]) {
        self.made.iter_mut().filter_map(OnceLock::get_mut).for_each(|higher| higher.grow(minutes));
    }

    /// Lets go of old candles. The last `count` of each interval stay.
    pub(super) fn let_go(&mut self, count: usize) {
        for Higher { candles, .. } in self.made.iter_mut().filter_map(OnceLock::get_mut) {
            candles.drain(..candles.len().saturating_sub(count));
        }
    }
}

impl Higher {
    /// Adds the candles that new minutes complete. `minutes` must be all minutes of the series.
    fn grow(&mut self, minutes: &[Candle]) {
        let Some(first) = minutes.first() else { return };
        let step_ms = self.interval.ms();
        let next_ms = match self.candles.last() {
            Some(last) => last.open_time_ms + step_ms,
            // A slot whose first minutes are not known never gets a candle.
            None => self.interval.slot(first.open_time_ms.saturating_add(step_ms - 1)),
        };
        let place = usize::try_from((next_ms - first.open_time_ms) / Interval::MINUTE.ms()).unwrap_or(usize::MAX);
        let new = minutes.get(place..).unwrap_or_default();
        self.candles.extend(new.chunks_exact(usize::from(self.interval.minutes())).map(merge));
    }
}

/// One candle that covers all of `minutes`, of which there is at least one. The volumes are added from left to right.
fn merge(minutes: &[Candle]) -> Candle {
    let mut whole = minutes[0];
    for minute in &minutes[1..] {
        whole.high = whole.high.max(minute.high);
        whole.low = whole.low.min(minute.low);
        whole.close = minute.close;
        whole.volume += minute.volume;
    }
    whole
}
