//! `[frame]`: the period of a backtest.

use sigbox_engine::Interval;

use super::{
    reader::Section,
    value::{Name, WholeMinuteMs},
};

/// The period of a backtest, and how often it decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// `frameName` of events; may be empty.
    pub name: String,
    /// The first minute boundary at which something is decided, milliseconds since the Unix epoch, a whole minute;
    /// none: the first one that has enough candles before it for the average price.
    pub start_ms: Option<i64>,
    /// The last minute boundary at which something is decided, later than the start; none: where the candles end.
    pub end_ms: Option<i64>,
    /// How far apart decisions are.
    pub interval: Interval,
}

pub(super) fn read(root: &Section<'_>) -> Frame {
    root.section("frame", "[frame]", |section| {
        let time = |key| section.get::<WholeMinuteMs>(key).map(|time| time.0);
        let (start_ms, end_ms) = (time("start"), time("end"));
        if let (Some(start_ms), Some(end_ms)) = (start_ms, end_ms)
            && start_ms >= end_ms
        {
            section.refuse("end", "must be later than start");
        }
        let name = section.get_if("name", "a text without control characters", |name: &String| {
            name.is_empty() || Name::is_fine(name)
        });
        Frame { name: name.unwrap_or_default(), start_ms, end_ms, interval: section.or("interval", Interval::MINUTE) }
    })
}
