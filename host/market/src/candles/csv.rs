//! Candle files as CSV.

use std::{
    io::{self, Read, Write},
    ops::ControlFlow,
    path::Path,
};

use csv::ByteRecord;
use sigbox_engine::Candle;

use super::{
    columns::{Columns, VALUES},
    file::{BadRow, CandleFileError, Place, RowProblem, excerpt},
    time::{parse_time, written_time},
};

/// Reads `file`, the CSV file at `path`, row by row, as [`read_candles`](super::read_candles) describes it.
pub(super) fn each_row(
    path: &Path,
    file: &mut impl Read,
    mut on_row: impl FnMut(Place, Result<Candle, BadRow>) -> ControlFlow<()>,
) -> Result<(), CandleFileError> {
    let unreadable = |source| CandleFileError::Unreadable { path: path.to_owned(), source };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        // This module reports rows of different length itself, in its own words.
        .flexible(true)
        // A carriage return before the line feed counts as a blank. If the reader decided itself what ends a line, it
        // would count lines wrongly there and at empty lines.
        .terminator(csv::Terminator::Any(b'\n'))
        .buffer_capacity(READ_BUFFER_BYTES)
        // With this line feed every row ends with one, so the line of a row is the one before the reader's.
        .from_reader(file.chain(b"\n".as_slice()));

    let mut columns = None;
    let mut row = ByteRecord::new();
    while reader.read_byte_record(&mut row).map_err(|error| unreadable(error.into()))? {
        if is_blank(&row) {
            continue;
        }
        let place = Place::Line(reader.position().line() - 1);
        let columns = match &columns {
            Some(columns) => columns,
            None if is_header(&row) => {
                columns = Some(named_by(&row).map_err(|problem| CandleFileError::Row {
                    path: path.to_owned(),
                    place,
                    problem,
                })?);
                continue;
            }
            None => columns.insert(Columns::BINANCE),
        };
        if on_row(place, candle(&row, columns)).is_break() {
            break;
        }
    }
    Ok(())
}

/// Writes a header and Binance's first six columns, times in milliseconds.
pub(super) fn write(out: &mut impl Write, candles: &[Candle]) -> io::Result<()> {
    writeln!(out, "{HEADER}")?;
    candles.iter().try_for_each(|candle| writeln!(out, "{}", written(candle)))
}

/// The first line of the files that are written.
pub(super) const HEADER: &str = "open_time,open,high,low,close,volume";

/// The line of a candle, without the line feed. Numbers and times never need quotes.
pub(super) fn written(candle: &Candle) -> String {
    let Candle { open_time_ms, open, high, low, close, volume } = candle;
    format!("{},{open},{high},{low},{close},{volume}", written_time(*open_time_ms))
}

/// Parses a price or a volume. The result is the nearest double, as with Rust's own parser, in less time.
pub(super) fn parse_number(field: &[u8]) -> Option<f64> {
    fast_float2::parse(field.trim_ascii()).ok()
}

/// Large enough to read fast, small enough to stay in the processor's cache.
const READ_BUFFER_BYTES: usize = 128 * 1024;

fn named_by(header: &ByteRecord) -> Result<Columns, RowProblem> {
    Columns::named(header).map_err(|wanted| RowProblem::MissingColumn { wanted, header: row_excerpt(header) })
}

fn candle(row: &ByteRecord, columns: &Columns) -> Result<Candle, BadRow> {
    let needed = columns.needed();
    if row.len() < needed {
        return Err(RowProblem::TooFewColumns { found: row.len(), needed, row: row_excerpt(row) }.into());
    }
    let text = row[columns.time].trim_ascii();
    let open_time_ms = parse_time(text).ok_or_else(|| RowProblem::NotATime { text: excerpt(text) })?;
    let bad = |problem| BadRow { open_time_ms: Some(open_time_ms), problem: Box::new(problem) };
    let mut values = [0.0; VALUES.len()];
    for ((value, place), column) in values.iter_mut().zip(columns.values).zip(VALUES) {
        let text = &row[place];
        *value = parse_number(text).ok_or_else(|| bad(RowProblem::NotANumber { column, text: excerpt(text) }))?;
    }
    let [open, high, low, close, volume] = values;
    let candle = Candle { open_time_ms, open, high, low, close, volume };
    match candle.fault() {
        None => Ok(candle),
        Some(fault) => Err(bad(RowProblem::Impossible { fault, row: row_excerpt(row) })),
    }
}

fn is_blank(row: &ByteRecord) -> bool {
    row.len() == 1 && row[0].trim_ascii().is_empty()
}

/// A row of candles has prices; a header has only names. A search for known names instead would take a misspelt header
/// for a broken candle.
fn is_header(row: &ByteRecord) -> bool {
    row.iter().all(|field| parse_number(field).is_none())
}

fn row_excerpt(row: &ByteRecord) -> String {
    excerpt(row.iter().collect::<Vec<_>>().join(&b',').trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Gaps, read_csv, write_csv},
        *,
    };
    use proptest::prelude::*;
    use sigbox_engine::MINUTE_MS;
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
    fn text_of_a_file_cannot_control_a_terminal() {
        let cases = [
            (
                "time,open,high,low,close,\u{1b}]0;title\u{7}\u{1b}[31mvolume\n",
                "candles.csv:1: the header names no column volume: \
                 `time,open,high,low,close,\\u{1b}]0;title\\u{7}\\u{1b}[31mvolume`",
            ),
            ("1677628800000,1,1,1,1,\u{1b}[2J\n", "candles.csv:1: volume is not a number: `\\u{1b}[2J`"),
            (
                "1677628800000,1,1,1\u{1b}[1A\n",
                "candles.csv:1: the row has 4 columns and needs 6: `1677628800000,1,1,1\\u{1b}[1A`",
            ),
            ("1677628800000,1,1,1,1,\"a\nb\u{202e}\"\n", "candles.csv:2: volume is not a number: `a\\nb\\u{202e}`"),
        ];
        for (content, expected) in cases {
            assert_eq!(complaint(content, Gaps::Refuse), expected);
        }
    }

    #[test]
    fn candles_of_a_higher_interval_are_not_taken_for_minutes() {
        let rows = |minutes: &[i64]| {
            let row = |minute: &i64| format!("{},100,102,99,100.5,3\n", START + minute * MINUTE_MS);
            minutes.iter().map(row).collect::<String>()
        };
        let refused = |found: &str| {
            format!(
                "candles.csv has {found}; a run needs one-minute candles, and makes those of a higher interval itself"
            )
        };
        for gaps in [Gaps::Refuse, Gaps::Fill] {
            let hours: Vec<i64> = (0..24).map(|hour| hour * 60).collect();
            assert_eq!(complaint(rows(&hours), gaps), refused("candles of 1h"));
            // An hour is missing.
            assert_eq!(complaint(rows(&[0, 60, 180, 240]), gaps), refused("candles of 1h"));
            assert_eq!(complaint(rows(&[0, 10, 20]), gaps), refused("a candle every 10 minutes"));
            // Months are more than is filled.
            assert_eq!(complaint(rows(&[0, 44_640, 86_400]), gaps), refused("candles of 1d"));
        }
        // Minutes of a market with few trades: all are a multiple of no other distance than a minute.
        let quiet = rows(&[0, 2, 5, 9, 11]);
        assert_eq!(read(&quiet, Gaps::Fill).unwrap().len(), 12);
        assert!(complaint(&quiet, Gaps::Refuse).starts_with("candles.csv:2: 1 minute is missing"));
        // One gap alone does not tell, and neither do gaps between minutes.
        assert!(complaint(rows(&[0, 60]), Gaps::Refuse).starts_with("candles.csv:2: 59 minutes are missing"));
        assert!(complaint(rows(&[0, 1, 61, 121]), Gaps::Refuse).starts_with("candles.csv:3: 59 minutes are missing"));
        assert_eq!(read(rows(&[0, 60, 120, 121]), Gaps::Fill).unwrap().len(), 122);
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
        // A folder opens like a file, and fails at the first read.
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

    /// The parser is faster than Rust's own. This asserts that nothing else is different.
    fn assert_parsed_as_by_rust(text: &str) {
        let expected = text.parse::<f64>().ok();
        let found = parse_number(text.as_bytes());
        assert_eq!(found.map(f64::to_bits), expected.map(f64::to_bits), "{text:?}");
    }

    #[test]
    fn odd_numbers_are_read_as_by_rust() {
        let odd = [
            "",
            ".",
            "-",
            "+",
            "e5",
            "1e",
            "1e+",
            ".5",
            "5.",
            "+1",
            "-0",
            "00012.50",
            "1_000",
            "0x10",
            "1,5",
            "1e400",
            "1e-400",
            "inf",
            "-Infinity",
            "nan",
            "NaN",
            "infinit",
            "9007199254740993",
            "2.2250738585072011e-308",
            "0.1e1",
            "1E5",
            "١",
            "1 2",
            "--1",
            "1e5.5",
            "4.9e-324",
            "2.4703282292062327e-324",
        ];
        odd.into_iter().for_each(assert_parsed_as_by_rust);
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_by_rust(
            bits in any::<u64>(),
            text in r"[-+]?[0-9]{0,25}\.?[0-9]{0,25}([eE][-+]?[0-9]{1,4})?",
            noise in "[-+.eE0-9infaINFA_]{0,9}",
            cents in 0_u64..10_000_000_000,
        ) {
            let number = f64::from_bits(bits);
            assert_parsed_as_by_rust(&number.to_string());
            assert_parsed_as_by_rust(&format!("{number:e}"));
            assert_parsed_as_by_rust(&text);
            assert_parsed_as_by_rust(&noise);
            assert_parsed_as_by_rust(&format!("{}.{:08}", cents / 100_000_000, cents % 100_000_000));
        }
    }
}
