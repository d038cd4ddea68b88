//! What the columns of candle files are called.

/// Where in a row things are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    pub(super) time: usize,
    /// In the order of [`VALUES`].
    pub(super) values: [usize; VALUES.len()],
}

/// The names a time column goes by, the most specific first.
const TIME_NAMES: &[&str] = &["open_time", "timestamp", "time", "date", "datetime"];

/// The other columns, as messages call them.
pub(super) const VALUES: [&str; 5] = ["open", "high", "low", "close", "volume"];

const VALUE_NAMES: [&[&str]; VALUES.len()] = [&["open"], &["high"], &["low"], &["close"], &["volume"]];

impl Columns {
    /// Binance's order.
    pub(super) const BINANCE: Self = Self { time: 0, values: [1, 2, 3, 4, 5] };

    /// Finds the columns among `names`; or returns the names of one that is not there.
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

/// `Open time` and `open_time` are the same name.
fn plain_name(name: &[u8]) -> String {
    String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase().replace(' ', "_")
}
