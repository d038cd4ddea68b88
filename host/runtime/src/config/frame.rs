//! `[frame]`: the period of a backtest.

use serde_json::json;
use sigbox_engine::Interval;
use sigbox_trading::Frame;

use super::{
    reader::Section,
    schema::Expected,
    value::{Name, WholeMinuteMs},
};

pub(super) fn read(root: &Section<'_>) -> Frame {
    root.section("frame", "[frame]", |section| {
        let expected = Expected::new("a text without control characters", json!({ "type": "string" }));
        let name = section.get_if("name", expected, |name: &String| name.is_empty() || Name::is_fine(name));
        read_period(section, name.unwrap_or_default())
    })
}

/// Reads the rest of the frame called `name`.
pub(super) fn read_period(section: &Section<'_>, name: String) -> Frame {
    let time = |key| section.get::<WholeMinuteMs>(key).map(|time| time.0);
    let (start_ms, end_ms) = (time("start"), time("end"));
    if let (Some(start_ms), Some(end_ms)) = (start_ms, end_ms)
        && start_ms >= end_ms
    {
        section.refuse("end", "must be later than start");
    }
    Frame { name, start_ms, end_ms, interval: section.or("interval", Interval::MINUTE) }
}
