//! Candle files: CSV in the columns of Binance's klines.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use csv::ByteRecord;
use serde::Deserialize;
use sigbox_engine::{Candle, MINUTE_MS, candle::CandleFault};

use super::time::{iso_8601, parse_time, written_time};

/// What to do about minutes that a file does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gaps {
    /// A gap is an error.
    #[default]
    Refuse,
    /// A gap of up to a week is filled with flat candles at the close before it, in which nobody traded.
    Fill,
}

/// Why a candle file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CandleFileError {
    /// The file cannot be opened, or a read fails.
    #[error("cannot read candles from {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file cannot be made, or a write fails.
    #[error("cannot write candles to {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is no row in the file, or only a header.
    #[error("{} has no candles", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A row cannot be used.
    #[error("{}:{line}: {problem}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Line of the row, counted from 1.
        line: u64,
        /// What is wrong with it.
        problem: RowProblem,
    },
}

/// Why a row of a candle file cannot be used. Texts of the file are shortened to their beginning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowProblem {
    /// The header does not name a column that is needed.
    #[error("the header names no column {}: `{header}`", wanted.join(" or "))]
    MissingColumn {
        /// The names that would do, in lower case.
        wanted: &'static [&'static str],
        /// The header.
        header: String,
    },
    /// The row ends too early.
    #[error("the row has {found} columns and needs {needed}: `{row}`")]
    TooFewColumns {
        /// How many columns there are.
        found: usize,
        /// How many there must be.
        needed: usize,
        /// The row.
        row: String,
    },
    /// The time column does not hold a time.
    #[error(
        "`{text}` is not a time; write seconds, milliseconds or microseconds since 1970, or ISO 8601 as in \
         2023-03-01T00:00:00Z"
    )]
    NotATime {
        /// What it holds.
        text: String,
    },
    /// A price or the volume is not a number.
    #[error("{column} is not a number: `{text}`")]
    NotANumber {
        /// `open`, `high`, `low`, `close` or `volume`.
        column: &'static str,
        /// What it holds.
        text: String,
    },
    /// A bar that cannot have happened.
    #[error("impossible candle: {fault}: `{row}`")]
    Impossible {
        /// Why.
        fault: CandleFault,
        /// The row.
        row: String,
    },
    /// The row is earlier than the one before it.
    #[error("{} comes after {}; sort the file by time", iso_8601(*found_ms), iso_8601(*previous_ms))]
    Disorder {
        /// Opening time of the row before.
        previous_ms: i64,
        /// Opening time of the row.
        found_ms: i64,
    },
    /// The row has the time of the one before it.
    #[error("{} is there twice; remove one of the rows", iso_8601(*open_time_ms))]
    Duplicate {
        /// The opening time of both.
        open_time_ms: i64,
    },
    /// Minutes are missing before the row.
    #[error(
        "{} missing before this row, from {} to {}; get the missing candles, or set gaps to \"fill\" to have flat ones",
        counted_minutes(*missing),
        iso_8601(*from_ms),
        iso_8601(*to_ms)
    )]
    Gap {
        /// How many minutes.
        missing: i64,
        /// When the first one that is missing would have opened.
        from_ms: i64,
        /// When the last one that is missing would have opened.
        to_ms: i64,
    },
    /// Minutes are missing before the row, and too many to fill.
    #[error(
        "{} missing before this row, from {} to {}; gaps of more than {LONGEST_FILLED_GAP_MINUTES} minutes are not \
         filled",
        counted_minutes(*missing),
        iso_8601(*from_ms),
        iso_8601(*to_ms)
    )]
    GapTooLong {
        /// How many minutes.
        missing: i64,
        /// When the first one that is missing would have opened.
        from_ms: i64,
        /// When the last one that is missing would have opened.
        to_ms: i64,
    },
}

/// Reads one-minute candles from the CSV file at `path`: consecutive, each one possible, at least one.
///
/// With a header, columns are found by name, in any order and letter case: `open`, `high`, `low`, `close`, `volume` and
/// for the time `open_time`, `timestamp`, `time`, `date` or `datetime`, the first of these that is there. A first row
/// without any number in it is the header. Without one, the first six columns are open time, open, high, low, close and
/// volume, which is Binance's order. Other columns are ignored.
///
/// Times are those that open the candles: integer seconds, milliseconds or microseconds since 1970, told apart by their
/// size row by row, or ISO 8601, in UTC unless it names an offset.
///
/// # Errors
/// At the first row that cannot be used, with its line; when the file cannot be read; when it has no candles.
pub fn read_csv(path: &Path, gaps: Gaps) -> Result<Vec<Candle>, CandleFileError> {
    let unreadable = |source| CandleFileError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        // Rows of different length are for us to report, in our words.
        .flexible(true)
        // A carriage return before it counts as a blank. The reader's own notion of a line end loses count of the
        // lines there, and at empty lines.
        .terminator(csv::Terminator::Any(b'\n'))
        .buffer_capacity(READ_BUFFER_BYTES)
        // Now every row ends with one, so the line of a row is the one before the reader's.
        .from_reader(file.chain(b"\n".as_slice()));

    let mut columns = None;
    let mut candles = Vec::new();
    let mut row = ByteRecord::new();
    while reader.read_byte_record(&mut row).map_err(|error| unreadable(error.into()))? {
        if is_blank(&row) {
            continue;
        }
        let used = match &columns {
            Some(columns) => append(&mut candles, &row, columns, gaps),
            None if is_header(&row) => Columns::named_by(&row).map(|found| columns = Some(found)),
            None => append(&mut candles, &row, columns.insert(Columns::BINANCE), gaps),
        };
        used.map_err(|problem| CandleFileError::Row {
            path: path.to_owned(),
            line: reader.position().line() - 1,
            problem,
        })?;
    }
    if candles.is_empty() {
        return Err(CandleFileError::Empty { path: path.to_owned() });
    }
    Ok(candles)
}

/// Writes `candles` to the CSV file at `path`, replacing it: a header and Binance's first six columns, times in
/// milliseconds. [`read_csv`] reads back the same candles to the last bit.
///
/// # Errors
/// When the file cannot be written; part of it may then be there.
pub fn write_csv(path: &Path, candles: &[Candle]) -> Result<(), CandleFileError> {
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        writeln!(file, "open_time,open,high,low,close,volume")?;
        for Candle { open_time_ms, open, high, low, close, volume } in candles {
            // Numbers and times never need quotes.
            writeln!(file, "{},{open},{high},{low},{close},{volume}", written_time(*open_time_ms))?;
        }
        file.flush()
    };
    write().map_err(|source| CandleFileError::Unwritable { path: path.to_owned(), source })
}

/// The longest gap that is filled: one week. Exchanges stop for hours, markets for a long weekend; beyond that it is a
/// wrong file or a wrong time, and flat prices would only hide it.
const LONGEST_FILLED_GAP_MINUTES: i64 = 7 * 24 * 60;

/// Large enough that reading costs little, small enough to stay in the processor's cache.
const READ_BUFFER_BYTES: usize = 128 * 1024;

/// How much of a row or field a message shows.
const EXCERPT_CHARS: usize = 120;

/// The names a time column goes by, the most specific first.
const TIME_NAMES: &[&str] = &["open_time", "timestamp", "time", "date", "datetime"];

/// What the other columns are called, in the order of [`Columns::values`].
const VALUE_NAMES: [&[&str]; 5] = [&["open"], &["high"], &["low"], &["close"], &["volume"]];

/// Where in a row things are.
#[derive(Debug)]
struct Columns {
    time: usize,
    /// Open, high, low, close, volume.
    values: [usize; 5],
    /// How many columns a row must have at least.
    needed: usize,
}

impl Columns {
    const BINANCE: Self = Self { time: 0, values: [1, 2, 3, 4, 5], needed: 6 };

    fn named_by(header: &ByteRecord) -> Result<Self, RowProblem> {
        let names: Vec<String> = header.iter().map(column_name).collect();
        let place = |wanted: &'static [&'static str]| {
            let found = wanted.iter().find_map(|wanted| names.iter().position(|name| name == wanted));
            found.ok_or_else(|| RowProblem::MissingColumn { wanted, header: row_excerpt(header) })
        };
        let time = place(TIME_NAMES)?;
        let mut values = [0; 5];
        for (value, wanted) in values.iter_mut().zip(VALUE_NAMES) {
            *value = place(wanted)?;
        }
        let needed = values.iter().fold(time, |last, place| last.max(*place)) + 1;
        Ok(Self { time, values, needed })
    }

    fn candle(&self, row: &ByteRecord) -> Result<Candle, RowProblem> {
        if row.len() < self.needed {
            return Err(RowProblem::TooFewColumns { found: row.len(), needed: self.needed, row: row_excerpt(row) });
        }
        let text = row[self.time].trim_ascii();
        let open_time_ms = parse_time(text).ok_or_else(|| RowProblem::NotATime { text: excerpt(text) })?;
        let mut values = [0.0; 5];
        for (index, value) in values.iter_mut().enumerate() {
            let text = &row[self.values[index]];
            *value = parse_number(text)
                .ok_or_else(|| RowProblem::NotANumber { column: VALUE_NAMES[index][0], text: excerpt(text) })?;
        }
        let [open, high, low, close, volume] = values;
        let candle = Candle { open_time_ms, open, high, low, close, volume };
        match candle.fault() {
            None => Ok(candle),
            Some(fault) => Err(RowProblem::Impossible { fault, row: row_excerpt(row) }),
        }
    }
}

/// Adds the candle in `row`, and before it those that are missing if they are to be filled.
fn append(candles: &mut Vec<Candle>, row: &ByteRecord, columns: &Columns, gaps: Gaps) -> Result<(), RowProblem> {
    let candle = columns.candle(row)?;
    if let Some(previous) = candles.last().copied() {
        let (previous_ms, found_ms) = (previous.open_time_ms, candle.open_time_ms);
        if found_ms < previous_ms {
            return Err(RowProblem::Disorder { previous_ms, found_ms });
        }
        if found_ms == previous_ms {
            return Err(RowProblem::Duplicate { open_time_ms: found_ms });
        }
        let missing = (found_ms - previous_ms) / MINUTE_MS - 1;
        if missing > 0 {
            let (from_ms, to_ms) = (previous.close_time_ms(), found_ms - MINUTE_MS);
            match gaps {
                Gaps::Refuse => return Err(RowProblem::Gap { missing, from_ms, to_ms }),
                Gaps::Fill if missing > LONGEST_FILLED_GAP_MINUTES => {
                    return Err(RowProblem::GapTooLong { missing, from_ms, to_ms });
                }
                Gaps::Fill => candles.extend((1..=missing).map(|minute| flat_after(&previous, minute))),
            }
        }
    }
    candles.push(candle);
    Ok(())
}

/// The candle `minutes` after `previous` if nobody trades.
fn flat_after(previous: &Candle, minutes: i64) -> Candle {
    let price = previous.close;
    Candle {
        open_time_ms: previous.open_time_ms + minutes * MINUTE_MS,
        open: price,
        high: price,
        low: price,
        close: price,
        volume: 0.0,
    }
}

fn is_blank(row: &ByteRecord) -> bool {
    row.len() == 1 && row[0].trim_ascii().is_empty()
}

/// A row of candles has prices; a header has only names. Looking for names instead would take a misspelt header for a
/// broken candle.
fn is_header(row: &ByteRecord) -> bool {
    row.iter().all(|field| parse_number(field).is_none())
}

/// `Open time` and `open_time` are the same name.
fn column_name(field: &[u8]) -> String {
    String::from_utf8_lossy(field.trim_ascii()).to_ascii_lowercase().replace(' ', "_")
}

fn parse_number(field: &[u8]) -> Option<f64> {
    str::from_utf8(field.trim_ascii()).ok()?.parse().ok()
}

fn row_excerpt(row: &ByteRecord) -> String {
    excerpt(row.iter().collect::<Vec<_>>().join(&b',').trim_ascii())
}

fn excerpt(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(EXCERPT_CHARS) {
        None => text.into_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

fn counted_minutes(count: i64) -> String {
    if count == 1 { "1 minute is".to_owned() } else { format!("{count} minutes are") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// 2023-03-01T00:00:00Z.
    const START: i64 = 1_677_628_800_000;

    fn minute(index: i64) -> Candle {
        #[expect(clippy::cast_precision_loss, reason = "test minutes are small")]
        let open = 100.0 + index as f64;
        Candle {
            open_time_ms: START + index * MINUTE_MS,
            open,
            high: open + 2.0,
            low: open - 1.0,
            close: open + 0.5,
            volume: 3.0,
        }
    }

    /// Reads a file with this content.
    fn read(content: impl AsRef<[u8]>, gaps: Gaps) -> Result<Vec<Candle>, CandleFileError> {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("candles.csv");
        std::fs::write(&path, content).unwrap();
        read_csv(&path, gaps)
    }

    /// What reading a file with this content complains about, without the directory.
    fn complaint(content: impl AsRef<[u8]>, gaps: Gaps) -> String {
        let message = read(content, gaps).expect_err("the content must be refused").to_string();
        message[message.find("candles.csv").expect("the message must name the file")..].to_owned()
    }

    #[test]
    fn the_same_candles_are_read_from_every_form_of_the_file() {
        let forms = [
            (
                "Binance's twelve columns without header",
                "1677628800000,100,102,99,100.5,3,1677628859999,300,10,1,100,0\n\
                 1677628860000,101,103,100,101.5,3,1677628919999,300,10,1,100,0\n",
            ),
            (
                "microseconds, with header",
                "open_time,open,high,low,close,volume,close_time,quote_volume,count\n\
                 1677628800000000,100.00000000,102.0,99.0,100.5,3.0,1677628859999999,300,10\n\
                 1677628860000000,101.00000000,103.0,100.0,101.5,3.0,1677628919999999,300,10\n",
            ),
            ("six columns, no newline at the end", "1677628800,100,102,99,100.5,3\n1677628860,101,103,100,101.5,3"),
            (
                "text with an offset",
                "open_time,open,high,low,close,volume\n\
                 2023-03-01 00:00:00+00:00,100,102,99,100.5,3\n2023-03-01 00:01:00+00:00,101,103,100,101.5,3\n",
            ),
            (
                "other order and names, more columns",
                "Symbol,Volume,CLOSE,Low,High,Open,Date\n\
                 X,3,100.5,99,102,100,2023-03-01T00:00:00Z\nX,3,101.5,100,103,101,2023-03-01T00:01:00Z\n",
            ),
            (
                "open time wins over close time and date",
                "date,time,Open time,open,high,low,close,volume\n\
                 -,-,1677628800000,100,102,99,100.5,3\n-,-,1677628860000,101,103,100,101.5,3\n",
            ),
            (
                "byte order mark, carriage returns, blanks, quotes, empty lines, two units",
                "\u{feff}timestamp,open,high,low,close,volume\r\n\r\n\
                 1677628800000, 100 ,102,99,100.5,3\r\n\r\n\"1677628860000000\",\"101\",103,100,101.5,3\r\n",
            ),
        ];
        for (what, content) in forms {
            assert_eq!(read(content, Gaps::Refuse).unwrap(), [minute(0), minute(1)], "{what}");
        }
    }

    #[test]
    fn each_unusable_row_is_reported_with_its_line_and_text() {
        let cases = [
            ("", "candles.csv has no candles"),
            ("open_time,open,high,low,close,volume\n", "candles.csv has no candles"),
            (
                "open_time,open,high,low,last,volume\n",
                "candles.csv:1: the header names no column close: `open_time,open,high,low,last,volume`",
            ),
            (
                "open,high,low,close,volume\n",
                "candles.csv:1: the header names no column open_time or timestamp or time or date or datetime: \
                 `open,high,low,close,volume`",
            ),
            (
                "1677628800000,100,102,99,100.5\n",
                "candles.csv:1: the row has 5 columns and needs 6: `1677628800000,100,102,99,100.5`",
            ),
            (
                "volume,x,open,high,low,close,x,time\n3,x,100,102,99,100.5,x,1677628800000\n3,x,100,102,99,100.5,x\n",
                "candles.csv:3: the row has 7 columns and needs 8: `3,x,100,102,99,100.5,x`",
            ),
            (
                "time,open,high,low,close,volume\nyesterday,100,102,99,100.5,3\n",
                "candles.csv:2: `yesterday` is not a time; write seconds, milliseconds or microseconds since 1970, or \
                 ISO 8601 as in 2023-03-01T00:00:00Z",
            ),
            (
                "yesterday,100,102,99,100.5,3\n",
                "candles.csv:1: `yesterday` is not a time; write seconds, milliseconds or microseconds since 1970, or \
                 ISO 8601 as in 2023-03-01T00:00:00Z",
            ),
            (
                "1677628800000,100,102,99,100.5,3\n1677628860000,100,102,9g9,100.5,3\n",
                "candles.csv:2: low is not a number: `9g9`",
            ),
            ("1677628800000,100,102\r\n", "candles.csv:1: the row has 3 columns and needs 6: `1677628800000,100,102`"),
            ("1677628800000,100,102,99,100.5,\n", "candles.csv:1: volume is not a number: ``"),
            (
                "1677628800000,100,98,99,100.5,3\n",
                "candles.csv:1: impossible candle: the high is below the low: `1677628800000,100,98,99,100.5,3`",
            ),
            (
                "1677628800000,100,102,99,NaN,3\n",
                "candles.csv:1: impossible candle: a price or the volume is not a finite number: \
                 `1677628800000,100,102,99,NaN,3`",
            ),
            (
                "1677628800001,100,102,99,100.5,3\n",
                "candles.csv:1: impossible candle: the opening time is not on a whole minute: \
                 `1677628800001,100,102,99,100.5,3`",
            ),
            (
                "1677628860000,100,102,99,100.5,3\n1677628800000,100,102,99,100.5,3\n",
                "candles.csv:2: 2023-03-01T00:00:00Z comes after 2023-03-01T00:01:00Z; sort the file by time",
            ),
            (
                "1677628800000,100,102,99,100.5,3\n1677628800000,100,102,99,100.5,3\n",
                "candles.csv:2: 2023-03-01T00:00:00Z is there twice; remove one of the rows",
            ),
            (
                "1677628800000,100,102,99,100.5,3\n1677629100000,100,102,99,100.5,3\n",
                "candles.csv:2: 4 minutes are missing before this row, from 2023-03-01T00:01:00Z to \
                 2023-03-01T00:04:00Z; get the missing candles, or set gaps to \"fill\" to have flat ones",
            ),
            (
                "1677628800000,100,102,99,100.5,3\n1677628920000,100,102,99,100.5,3\n",
                "candles.csv:2: 1 minute is missing before this row, from 2023-03-01T00:01:00Z to \
                 2023-03-01T00:01:00Z; get the missing candles, or set gaps to \"fill\" to have flat ones",
            ),
        ];
        for (content, expected) in cases {
            assert_eq!(complaint(content, Gaps::Refuse), expected);
        }
    }

    #[test]
    fn lines_are_counted_as_an_editor_counts_them() {
        let cases = [
            ("1677628800000,100,102,99,100.5,3\r\n1677628860000,x,102,99,100.5,3\r\n", 2),
            ("\n\n1677628800000,x,102,99,100.5,3\n", 3),
            ("1677628800000,100,102,99,100.5,3\r\n\r\n \r\n1677628860000,x,102,99,100.5,3\r\n", 4),
            ("1677628800000,100,102,99,100.5,3\n\n1677628860000,x,102,99,100.5,3", 3),
            ("\u{feff}1677628800000,100,102,99,100.5,\"3\"\r\n1677628860000,x,102,99,100.5,\"3\"", 2),
        ];
        for (content, expected) in cases {
            assert_eq!(complaint(content, Gaps::Refuse), format!("candles.csv:{expected}: open is not a number: `x`"));
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_shown_as_far_as_they_can_be_and_shortened() {
        let row = [b"1677628800000,\xff".as_slice(), &[b'9'; 500], b",102,99,100.5,3\n"].concat();
        assert_eq!(
            complaint(row, Gaps::Refuse),
            format!("candles.csv:1: open is not a number: `\u{fffd}{}…`", "9".repeat(119))
        );
    }

    #[test]
    fn filled_minutes_are_flat_at_the_close_before_the_gap() {
        let content = "1677628800000,100,102,99,100.5,3\n1677628980000,103,105,102,103.5,3\n";
        let flat = |index| Candle { open: 100.5, high: 100.5, low: 100.5, close: 100.5, volume: 0.0, ..minute(index) };
        assert_eq!(read(content, Gaps::Fill).unwrap(), [minute(0), flat(1), flat(2), minute(3)]);
    }

    #[test]
    fn the_setting_that_the_message_advises_is_understood() {
        assert_eq!(serde_json::from_str::<Gaps>("\"fill\"").unwrap(), Gaps::Fill);
    }

    #[test]
    fn a_week_is_filled_and_more_is_not() {
        let rows = |missing: i64| {
            let resumed = START + (missing + 1) * MINUTE_MS;
            format!("{START},100,102,99,100.5,3\n{resumed},100,102,99,100.5,3\n")
        };
        assert_eq!(read(rows(10_080), Gaps::Fill).unwrap().len(), 10_082);
        assert_eq!(
            complaint(rows(10_081), Gaps::Fill),
            "candles.csv:2: 10081 minutes are missing before this row, from 2023-03-01T00:01:00Z to \
             2023-03-08T00:01:00Z; gaps of more than 10080 minutes are not filled"
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_or_written_is_named() {
        let directory = TempDir::new().unwrap();
        let absent = directory.path().join("absent").join("candles.csv");
        let shown = absent.display();

        let unread = read_csv(&absent, Gaps::Refuse).unwrap_err().to_string();
        assert!(unread.starts_with(&format!("cannot read candles from {shown}: ")), "{unread}");
        let unwritten = write_csv(&absent, &[]).unwrap_err().to_string();
        assert!(unwritten.starts_with(&format!("cannot write candles to {shown}: ")), "{unwritten}");
        // Opens as a file does, and fails at the first read.
        assert!(matches!(read_csv(directory.path(), Gaps::Refuse), Err(CandleFileError::Unreadable { .. })));
    }

    #[test]
    fn written_candles_read_back_to_the_last_bit() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("candles.csv");
        let odd = Candle { open: 0.1 + 0.2, high: 1e17, low: 1e-9, close: 1.0 / 3.0, volume: 0.0, ..minute(1) };
        let modern = [minute(0), odd];
        let ancient = [Candle { open_time_ms: 0, ..odd }, Candle { open_time_ms: MINUTE_MS, ..odd }];
        for candles in [modern, ancient] {
            write_csv(&path, &candles).unwrap();
            assert_eq!(read_csv(&path, Gaps::Refuse).unwrap(), candles);
        }
    }

    #[test]
    fn the_written_file_has_binances_columns() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("candles.csv");
        write_csv(&path, &[minute(0)]).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "open_time,open,high,low,close,volume\n1677628800000,100,102,99,100.5,3\n"
        );
    }
}
