//! The columns of candle files, and their names.

/// At which index of a row each column is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    pub(super) time: usize,
    /// In the order of [`VALUES`].
    pub(super) values: [usize; VALUES.len()],
}

/// The names that a time column can have, the most specific first.
const TIME_NAMES: &[&str] = &["open_time", "timestamp", "time", "date", "datetime"];

/// The names of the other columns, as messages write them.
pub(super) const VALUES: [&str; 5] = ["open", "high", "low", "close", "volume"];

const VALUE_NAMES: [&[&str]; VALUES.len()] = [&["open"], &["high"], &["low"], &["close"], &["volume"]];

impl Columns {
    /// The order of the columns in Binance's files.
    pub(super) const BINANCE: Self = Self { time: 0, values: [1, 2, 3, 4, 5] };

    /// Finds the columns among `names`. The error is the list of names of which one is needed and none is there.
    pub(super) fn named<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, &'static [&'static str]> {
        let names: Vec<String> = names.into_iter().map(plain_name).collect();
        let place = |wanted: &'static [&'static str]| {
            wanted.iter().find_map(|wanted| names.iter().position(|name| name == wanted)).ok_or(wanted)
        };
        let time = place(TIME_NAMES)?;
        let mut values = [0; VALUES.len()];
        for (value, wanted) in values.iter_mut().zip(VALUE_NAMES) {
            *value = place(wanted)?;
        }
        Ok(Self { time, values })
    }

    /// How many columns a row must have at least.
    pub(super) fn needed(&self) -> usize {
        self.values.iter().fold(self.time, |last, place| last.max(*place)) + 1
    }
}

/// The name in lower case, with `_` for blanks: `Open time` and `open_time` are the same name.
fn plain_name(name: &[u8]) -> String {
    String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase().replace(' ', "_")
}
