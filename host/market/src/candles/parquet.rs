//! Candle files as Parquet.
//!
//! They are read and written column by column, without Arrow: six columns of a few types do not need it.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write},
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use jiff::Timestamp;
use parquet::{
    basic::{Compression, ConvertedType, Encoding, LogicalType, TimeUnit, Type as Physical, ZstdLevel},
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{DataType, DoubleType, Int64Type, Int96},
    errors::ParquetError,
    file::{
        metadata::ParquetMetaData,
        properties::WriterProperties,
        reader::{FileReader as _, SerializedFileReader},
        writer::SerializedFileWriter,
    },
    schema::{
        parser::parse_message_type,
        types::{ColumnDescriptor, ColumnPath},
    },
};
use sigbox_engine::Candle;

use super::{
    columns::{Columns, VALUES},
    csv::{parse_number, written},
    file::{BadRow, CandleFileError, ColumnProblem, Place, RowProblem, excerpt},
    time::{parse_time, time_of_number},
};

/// Reads `file`, the Parquet file at `path`, row by row, as [`read_candles`](super::read_candles) describes it.
pub(super) fn each_row(
    path: &Path,
    file: File,
    mut on_row: impl FnMut(Place, Result<Candle, BadRow>) -> ControlFlow<()>,
) -> Result<(), CandleFileError> {
    let damaged = |error: ParquetError| CandleFileError::Damaged { path: path.to_owned(), reason: reason(error) };
    let reader = guarded(|| SerializedFileReader::new(file)).map_err(damaged)?;
    let table =
        Table::of(reader.metadata()).map_err(|problem| CandleFileError::Column { path: path.to_owned(), problem })?;

    let mut place = 0;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(damaged)?;
        let column = |index: &usize| guarded(|| group.get_column_reader(*index)).map_err(damaged);
        let mut time = column(&table.columns.time)?;
        let mut values: Vec<ColumnReader> = table.columns.values.iter().map(column).collect::<Result<_, _>>()?;
        let mut rows_left = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        while rows_left > 0 {
            let count = rows_left.min(ROWS_A_BATCH);
            let mut rows = guarded(|| table.read(&mut time, &mut values, count)).map_err(damaged)?;
            rows_left -= count;
            for row in 0..count {
                place += 1;
                if on_row(Place::Row(place), rows.candle(row)).is_break() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// Whether the Parquet file at `path` says that sigbox wrote it.
///
/// # Errors
/// When the file cannot be opened.
pub fn is_written_here(path: &Path) -> Result<bool, CandleFileError> {
    let file = File::open(path).map_err(|source| CandleFileError::Unreadable { path: path.to_owned(), source })?;
    let reader = guarded(|| SerializedFileReader::new(file));
    Ok(reader.is_ok_and(|reader| reader.metadata().file_metadata().created_by() == Some(WRITER)))
}

/// Writes the columns of [`SCHEMA`].
pub(super) fn write(out: &mut (impl Write + Send), candles: &[Candle]) -> io::Result<()> {
    write_groups(out, candles).map_err(io::Error::other)
}

/// The name of the writer in a file that sigbox wrote.
const WRITER: &str = "sigbox";

/// The columns that are written. Every Parquet reader knows timestamps and doubles.
const SCHEMA: &str = "message candles {
    REQUIRED INT64 open_time (TIMESTAMP(MILLIS, true));
    REQUIRED DOUBLE open;
    REQUIRED DOUBLE high;
    REQUIRED DOUBLE low;
    REQUIRED DOUBLE close;
    REQUIRED DOUBLE volume;
}";

/// How many rows are written as one group: two years of minutes. A reader may need a whole group in memory.
const ROWS_A_GROUP: usize = 1 << 20;

/// How many rows are read at a time: six columns of them stay in the processor's cache. The length that a file claims
/// to have is not used to reserve memory.
const ROWS_A_BATCH: usize = 8192;

/// Bytes of the widest decimal that is read: it has 38 digits.
const DECIMAL_BYTES: usize = 16;

fn write_groups(out: &mut (impl Write + Send), candles: &[Candle]) -> Result<(), ParquetError> {
    let time = ColumnPath::from("open_time");
    let properties = WriterProperties::builder()
        .set_created_by(WRITER.to_owned())
        // The other levels give no smaller files here, and are slower.
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        // Prices hardly repeat, so a dictionary would save nothing.
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::PLAIN)
        // Times are a minute apart, so their differences need hardly any space.
        .set_column_encoding(time, Encoding::DELTA_BINARY_PACKED)
        .build();
    let mut file = SerializedFileWriter::new(out, Arc::new(parse_message_type(SCHEMA)?), Arc::new(properties))?;
    for candles in candles.chunks(ROWS_A_GROUP) {
        let mut group = file.next_row_group()?;
        let columns: [fn(&Candle) -> f64; VALUES.len()] = [
            |candle| candle.open,
            |candle| candle.high,
            |candle| candle.low,
            |candle| candle.close,
            |candle| candle.volume,
        ];
        let times: Vec<i64> = candles.iter().map(|candle| candle.open_time_ms).collect();
        let mut values = columns.into_iter().map(|value| candles.iter().map(value).collect::<Vec<f64>>());
        while let Some(mut column) = group.next_column()? {
            match column.untyped() {
                parquet::column::writer::ColumnWriter::Int64ColumnWriter(_) => {
                    column.typed::<Int64Type>().write_batch(&times, None, None)?;
                }
                _ => {
                    let values = values.next().expect("the schema has as many doubles");
                    column.typed::<DoubleType>().write_batch(&values, None, None)?;
                }
            }
            column.close()?;
        }
        group.close()?;
    }
    file.close()?;
    Ok(())
}

/// Where each column of a file is, and in which form.
struct Table {
    columns: Columns,
    time: TimeForm,
    values: [NumberForm; VALUES.len()],
}

/// The form of the times in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimeForm {
    /// Units since 1970. This is how many of them make a millisecond.
    PartsOfMs(i64),
    /// Whole numbers whose size tells their unit.
    Number,
    /// A day and nanoseconds: the form from before Parquet had timestamps.
    DayAndNanoseconds,
    /// Texts, as in CSV.
    Text,
}

/// The form of the numbers in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NumberForm {
    Float,
    /// Whole numbers. This many of their last digits stand behind the decimal point.
    Decimal(u32),
    /// Texts, as in CSV.
    Text,
}

impl Table {
    fn of(metadata: &ParquetMetaData) -> Result<Self, ColumnProblem> {
        let leaves = metadata.file_metadata().schema_descr().columns();
        // A column inside a list or a structure has not one value for each row, so it gets no name here.
        let name = |leaf: &ColumnDescriptor| match leaf.path().parts() {
            [name] if leaf.max_rep_level() == 0 => name.clone(),
            _ => String::new(),
        };
        let names: Vec<String> = leaves.iter().map(|leaf| name(leaf)).collect();
        let columns = Columns::named(names.iter().map(String::as_bytes)).map_err(|wanted| {
            let found: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
            ColumnProblem::Missing { wanted, found: excerpt(found.join(", ").as_bytes()) }
        })?;

        for place in columns.values.into_iter().chain([columns.time]) {
            for group in metadata.row_groups() {
                let compression = group.column(place).compression();
                let is_read =
                    matches!(compression, Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_));
                if !is_read {
                    let found = group.column(place).compression_codec().to_string();
                    return Err(ColumnProblem::Compression { column: excerpt(names[place].as_bytes()), found });
                }
            }
        }

        let refused = |place: usize, wanted| {
            let (physical, converted) = (leaves[place].physical_type(), leaves[place].converted_type());
            let found = match converted {
                ConvertedType::NONE => physical.to_string(),
                _ => format!("{physical} ({converted})"),
            };
            ColumnProblem::Type { column: excerpt(names[place].as_bytes()), found, wanted }
        };
        let time = TimeForm::of(&leaves[columns.time])
            .ok_or_else(|| refused(columns.time, "timestamps, whole numbers or texts"))?;
        let mut values = [NumberForm::Float; VALUES.len()];
        for (form, place) in values.iter_mut().zip(columns.values) {
            *form = NumberForm::of(&leaves[place])
                .ok_or_else(|| refused(place, "floating-point, whole or decimal numbers or texts"))?;
        }
        Ok(Self { columns, time, values })
    }

    fn read(&self, time: &mut ColumnReader, values: &mut [ColumnReader], count: usize) -> Result<Rows, ParquetError> {
        let time = self.time.read(time, count)?;
        let mut columns = [const { Cells { values: Vec::new(), faults: BTreeMap::new() } }; VALUES.len()];
        for (((cells, reader), form), column) in columns.iter_mut().zip(values).zip(self.values).zip(VALUES) {
            *cells = form.read(reader, column, count)?;
        }
        Ok(Rows { time, values: columns })
    }
}

/// A batch of rows of a file.
struct Rows {
    time: Cells<i64>,
    values: [Cells<f64>; VALUES.len()],
}

impl Rows {
    fn candle(&mut self, row: usize) -> Result<Candle, BadRow> {
        self.look_for_fault(row)?;
        let [open, high, low, close, volume] = self.values.each_ref().map(|cells| cells.values[row]);
        let candle = Candle { open_time_ms: self.time.values[row], open, high, low, close, volume };
        match candle.fault() {
            None => Ok(candle),
            Some(fault) => Err(BadRow {
                open_time_ms: Some(candle.open_time_ms),
                problem: Box::new(RowProblem::Impossible { fault, row: written(&candle) }),
            }),
        }
    }

    fn look_for_fault(&mut self, row: usize) -> Result<(), BadRow> {
        self.time.look_for_fault(row).map_err(|problem| BadRow { open_time_ms: None, problem })?;
        let open_time_ms = Some(self.time.values[row]);
        for cells in &mut self.values {
            cells.look_for_fault(row).map_err(|problem| BadRow { open_time_ms, problem })?;
        }
        Ok(())
    }
}

/// A batch of rows of one column.
struct Cells<V> {
    values: Vec<V>,
    /// The problems of those rows whose value cannot be used.
    faults: BTreeMap<usize, RowProblem>,
}

impl<V: Copy + Default> Cells<V> {
    /// Reads the next `count` rows. It is an error if there are fewer.
    fn read<T: DataType>(
        reader: &mut ColumnReaderImpl<T>,
        column: &'static str,
        count: usize,
        value: impl Fn(&T::T) -> Result<V, RowProblem>,
    ) -> Result<Self, ParquetError> {
        let (mut levels, mut stored) = (Vec::new(), Vec::with_capacity(count));
        let (found, ..) = reader.read_records(count, Some(&mut levels), None, &mut stored)?;
        if found < count {
            return Err(ParquetError::EOF(format!("the column of the {column} is too short")));
        }
        let mut faults = BTreeMap::new();
        let or_fault = |(row, value): (usize, Result<V, RowProblem>)| {
            value.unwrap_or_else(|problem| {
                faults.insert(row, problem);
                V::default()
            })
        };
        // A column that cannot be null has no levels.
        let values = if levels.is_empty() {
            stored.iter().map(value).enumerate().map(or_fault).collect()
        } else {
            let mut stored = stored.iter();
            let stored = levels.iter().map(|level| if *level == 0 { None } else { stored.next() });
            let values = stored.map(|stored| stored.map_or(Err(RowProblem::Null { column }), &value));
            values.enumerate().map(or_fault).collect()
        };
        Ok(Self { values, faults })
    }

    #[inline]
    fn look_for_fault(&mut self, row: usize) -> Result<(), Box<RowProblem>> {
        // A lookup in an empty map would take longer than the rest of a row.
        match if self.faults.is_empty() { None } else { self.faults.remove(&row) } {
            None => Ok(()),
            Some(problem) => Err(Box::new(problem)),
        }
    }
}

impl TimeForm {
    fn of(column: &ColumnDescriptor) -> Option<Self> {
        match (column.physical_type(), column.logical_type_ref(), column.converted_type()) {
            (Physical::INT64, Some(LogicalType::Timestamp(timestamp)), _) => {
                Some(Self::PartsOfMs(match timestamp.unit {
                    TimeUnit::MILLIS => 1,
                    TimeUnit::MICROS => 1000,
                    TimeUnit::NANOS => 1_000_000,
                }))
            }
            (Physical::INT64, None, ConvertedType::TIMESTAMP_MILLIS) => Some(Self::PartsOfMs(1)),
            (Physical::INT64, None, ConvertedType::TIMESTAMP_MICROS) => Some(Self::PartsOfMs(1000)),
            (Physical::INT32 | Physical::INT64, ..) if is_integer(column) => Some(Self::Number),
            (Physical::INT96, ..) => Some(Self::DayAndNanoseconds),
            (Physical::BYTE_ARRAY, ..) if decimal_scale(column).is_none() => Some(Self::Text),
            _ => None,
        }
    }

    fn read(self, reader: &mut ColumnReader, count: usize) -> Result<Cells<i64>, ParquetError> {
        const COLUMN: &str = "open time";
        match reader {
            ColumnReader::Int32ColumnReader(reader) => {
                Cells::read(reader, COLUMN, count, |number| self.ms_of_number(i64::from(*number)))
            }
            ColumnReader::Int64ColumnReader(reader) => {
                Cells::read(reader, COLUMN, count, |number| self.ms_of_number(*number))
            }
            ColumnReader::Int96ColumnReader(reader) => Cells::read(reader, COLUMN, count, ms_of_day_and_nanoseconds),
            ColumnReader::ByteArrayColumnReader(reader) => Cells::read(reader, COLUMN, count, |text| {
                let text = text.data().trim_ascii();
                parse_time(text).ok_or_else(|| RowProblem::NotATime { text: excerpt(text) })
            }),
            _ => Err(ParquetError::General("the times have another type than the file says".to_owned())),
        }
    }

    fn ms_of_number(self, number: i64) -> Result<i64, RowProblem> {
        let at_ms = match self {
            Self::PartsOfMs(parts) => whole_ms(number, parts),
            Self::Number | Self::DayAndNanoseconds | Self::Text => time_of_number(number),
        };
        at_ms.ok_or_else(|| RowProblem::NotATime { text: number.to_string() })
    }
}

impl NumberForm {
    fn of(column: &ColumnDescriptor) -> Option<Self> {
        match column.physical_type() {
            Physical::DOUBLE | Physical::FLOAT => Some(Self::Float),
            Physical::INT32 | Physical::INT64 if is_integer(column) => Some(Self::Decimal(0)),
            Physical::BYTE_ARRAY => Some(decimal_scale(column).map_or(Self::Text, Self::Decimal)),
            Physical::INT32 | Physical::INT64 | Physical::FIXED_LEN_BYTE_ARRAY => {
                decimal_scale(column).map(Self::Decimal)
            }
            Physical::BOOLEAN | Physical::INT96 => None,
        }
    }

    fn read(self, reader: &mut ColumnReader, column: &'static str, count: usize) -> Result<Cells<f64>, ParquetError> {
        match reader {
            ColumnReader::DoubleColumnReader(reader) => Cells::read(reader, column, count, |number| Ok(*number)),
            ColumnReader::FloatColumnReader(reader) => {
                Cells::read(reader, column, count, |number| Ok(f64::from(*number)))
            }
            ColumnReader::Int32ColumnReader(reader) => {
                Cells::read(reader, column, count, |digits| Ok(self.number_of_digits(i128::from(*digits))))
            }
            ColumnReader::Int64ColumnReader(reader) => {
                Cells::read(reader, column, count, |digits| Ok(self.number_of_digits(i128::from(*digits))))
            }
            ColumnReader::ByteArrayColumnReader(reader) => {
                Cells::read(reader, column, count, |bytes| self.number_of_bytes(bytes.data(), column))
            }
            ColumnReader::FixedLenByteArrayColumnReader(reader) => {
                Cells::read(reader, column, count, |bytes| self.number_of_bytes(bytes.data(), column))
            }
            _ => Err(ParquetError::General(format!("the {column} has another type than the file says"))),
        }
    }

    fn number_of_bytes(self, bytes: &[u8], column: &'static str) -> Result<f64, RowProblem> {
        let number = match self {
            Self::Decimal(_) => digits(bytes).map(|digits| self.number_of_digits(digits)),
            Self::Float | Self::Text => parse_number(bytes),
        };
        number.ok_or_else(|| RowProblem::NotANumber { column, text: excerpt(bytes) })
    }

    /// The nearest double.
    fn number_of_digits(self, digits: i128) -> f64 {
        match self {
            // A parser rounds once; a division would round a second time.
            Self::Decimal(scale @ 1..) => {
                format!("{digits}e-{scale}").parse().expect("digits and an exponent are a number")
            }
            #[expect(clippy::cast_precision_loss, reason = "it is what happens to every number of a file")]
            Self::Decimal(0) | Self::Float | Self::Text => digits as f64,
        }
    }
}

fn is_integer(column: &ColumnDescriptor) -> bool {
    match column.logical_type_ref() {
        Some(logical) => matches!(logical, LogicalType::Integer(_)),
        None => !matches!(
            column.converted_type(),
            ConvertedType::DECIMAL
                | ConvertedType::DATE
                | ConvertedType::TIME_MILLIS
                | ConvertedType::TIME_MICROS
                | ConvertedType::TIMESTAMP_MILLIS
                | ConvertedType::TIMESTAMP_MICROS
        ),
    }
}

fn decimal_scale(column: &ColumnDescriptor) -> Option<u32> {
    let scale = match column.logical_type_ref() {
        Some(LogicalType::Decimal(decimal)) => decimal.scale,
        None if column.converted_type() == ConvertedType::DECIMAL => column.type_scale(),
        _ => return None,
    };
    u32::try_from(scale).ok()
}

/// The number that `bytes` hold in two's complement, the highest byte first; `None` if there are none or too many.
fn digits(bytes: &[u8]) -> Option<i128> {
    let sign = if *bytes.first()? >= 0x80 { 0xff } else { 0 };
    let mut whole = [sign; DECIMAL_BYTES];
    whole[DECIMAL_BYTES.checked_sub(bytes.len())?..].copy_from_slice(bytes);
    Some(i128::from_be_bytes(whole))
}

fn ms_of_day_and_nanoseconds(at: &Int96) -> Result<i64, RowProblem> {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    /// 1970-01-01, in days since 4713 BC.
    const EPOCH: i64 = 2_440_588;
    let [low, high, day] = *at.data() else { unreachable!("it has 96 bits") };
    let nanoseconds = (i64::from(high) << 32) | i64::from(low);
    let after_midnight_ms = whole_ms(nanoseconds, 1_000_000);
    let at_ms = after_midnight_ms.and_then(|after_ms| whole_ms((i64::from(day) - EPOCH) * DAY_MS + after_ms, 1));
    at_ms.ok_or_else(|| RowProblem::NotATime { text: format!("day {day} and {nanoseconds} ns") })
}

/// `number` in milliseconds, if `parts` of its units make a millisecond. `None` between two milliseconds, or beyond the
/// calendar.
fn whole_ms(number: i64, parts: i64) -> Option<i64> {
    // Most files count milliseconds, and a division takes longer than the rest of this function.
    let at_ms = if parts == 1 { number } else { (number % parts == 0).then_some(number / parts)? };
    Timestamp::from_millisecond(at_ms).is_ok().then_some(at_ms)
}

/// What the library reads, or why it cannot. The library takes some kinds of damage for impossible and panics. Here a
/// panic becomes an error. After it, the library is not called again.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(ParquetError::General("what it says does not fit together".to_owned())))
}

/// What the library says, without its own heading.
fn reason(error: ParquetError) -> String {
    match error {
        ParquetError::General(message) | ParquetError::NYI(message) | ParquetError::EOF(message) => message,
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Existing, Gaps, read_candles, write_candles},
        *,
    };
    use proptest::prelude::*;
    use sigbox_engine::MINUTE_MS;
    use std::path::PathBuf;
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

    /// A file that another program wrote (`fixtures/make.py`).
    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/candles/fixtures").join(name)
    }

    /// What reading a file complains about, without the directory.
    fn complaint(path: &Path, gaps: Gaps) -> String {
        let message = read_candles(path, gaps).expect_err("the file must be refused").to_string();
        message.replace(&format!("{}/", path.parent().unwrap().display()), "")
    }

    #[test]
    fn the_same_candles_are_read_from_files_of_every_make() {
        let files = [
            "pandas.parquet",
            "polars.parquet",
            "polars-texts.parquet",
            "duckdb-decimals.parquet",
            "fastparquet.parquet",
            "nanoseconds.parquet",
            "int96.parquet",
            "data-page-v2.parquet",
            "seconds-and-floats.parquet",
            "whole-numbers.parquet",
            "wide-decimals.parquet",
        ];
        for file in files {
            assert_eq!(read_candles(&fixture(file), Gaps::Refuse).unwrap(), [minute(0), minute(1)], "{file}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_row_and_column() {
        let cases = [
            ("null.parquet", "null.parquet: row 2: close is null"),
            ("null-time.parquet", "null-time.parquet: row 2: open time is null"),
            (
                "gzip.parquet",
                "gzip.parquet: the column open is compressed with GZIP; write it with zstd, snappy or uncompressed",
            ),
            (
                "dates.parquet",
                "dates.parquet: the column open_time holds INT32 (DATE), and not timestamps, whole numbers or texts",
            ),
            (
                "booleans.parquet",
                "booleans.parquet: the column low holds BOOLEAN, and not floating-point, whole or decimal numbers or \
                 texts",
            ),
            ("lists.parquet", "lists.parquet: there is no column close, only `open_time, open, high, low, volume`"),
        ];
        for (file, expected) in cases {
            assert_eq!(complaint(&fixture(file), Gaps::Refuse), expected);
        }
    }

    /// Writes a Parquet file with these columns, all of them texts.
    fn texts(path: &Path, columns: &[(&str, &[&str])]) {
        use parquet::data_type::{ByteArray, ByteArrayType};
        let fields: String = columns.iter().map(|(name, _)| format!("REQUIRED BYTE_ARRAY {name} (UTF8);")).collect();
        let schema = Arc::new(parse_message_type(&format!("message rows {{ {fields} }}")).unwrap());
        let mut file = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::default()).unwrap();
        let mut group = file.next_row_group().unwrap();
        for (_, values) in columns {
            let values: Vec<ByteArray> = values.iter().copied().map(ByteArray::from).collect();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
        file.close().unwrap();
    }

    #[test]
    fn each_unusable_row_is_reported_with_its_number() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("rows.parquet");
        let good = ["1677628800000", "100", "102", "99", "100.5", "3"];
        let cases: [(&[[&str; 6]], &str); 8] = [
            (
                &[["soon", "100", "102", "99", "100.5", "3"]],
                "rows.parquet: row 1: `soon` is not a time; write seconds, milliseconds or microseconds since 1970, or \
                 ISO 8601 as in 2023-03-01T00:00:00Z",
            ),
            (
                &[good, ["1677628860000", "100", "102", "9g9", "100.5", "3"]],
                "rows.parquet: row 2: low is not a number: `9g9`",
            ),
            (
                &[["1677628800000", "100", "98", "99", "100.5", "3"]],
                "rows.parquet: row 1: impossible candle: the high is below the low: `1677628800000,100,98,99,100.5,3`",
            ),
            (
                &[["1677628800000", "100", "102", "99", "100.5", "NaN"]],
                "rows.parquet: row 1: impossible candle: a price or the volume is not a finite number: \
                 `1677628800000,100,102,99,100.5,NaN`",
            ),
            (&[good, good], "rows.parquet: row 2: 2023-03-01T00:00:00Z is there twice; remove one of the rows"),
            (
                &[good, ["1677628740000", "100", "102", "99", "100.5", "3"]],
                "rows.parquet: row 2: 2023-02-28T23:59:00Z comes after 2023-03-01T00:00:00Z; sort the file by time",
            ),
            (
                &[good, ["1677628980000", "100", "102", "99", "100.5", "3"]],
                "rows.parquet: row 2: 2 minutes are missing before this row, from 2023-03-01T00:01:00Z to \
                 2023-03-01T00:02:00Z; get the missing candles, or set gaps to \"fill\" to have flat ones",
            ),
            (&[], "rows.parquet has no candles"),
        ];
        let names = ["Time", "OPEN", "high", "Low", "Close", "volume"];
        for (rows, expected) in cases {
            let columns: [Vec<&str>; 6] = std::array::from_fn(|place| rows.iter().map(|row| row[place]).collect());
            let columns: Vec<(&str, &[&str])> =
                names.into_iter().zip(&columns).map(|(name, values)| (name, values.as_slice())).collect();
            texts(&path, &columns);
            assert_eq!(complaint(&path, Gaps::Refuse), expected);
        }
    }

    #[test]
    fn gaps_are_filled_as_in_csv() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("candles.parquet");
        write_candles(&path, &[minute(0), minute(3)], Existing::Keep).unwrap();
        let flat = |index| Candle { open: 100.5, high: 100.5, low: 100.5, close: 100.5, volume: 0.0, ..minute(index) };
        assert_eq!(read_candles(&path, Gaps::Fill).unwrap(), [minute(0), flat(1), flat(2), minute(3)]);
    }

    #[test]
    fn a_file_is_what_it_begins_like_whatever_it_is_called() {
        let directory = TempDir::new().unwrap();
        let (table, text) = (directory.path().join("candles.csv"), directory.path().join("candles.dat"));
        std::fs::copy(fixture("polars.parquet"), &table).unwrap();
        std::fs::write(&text, "1677628800000,100,102,99,100.5,3\n").unwrap();
        assert_eq!(read_candles(&table, Gaps::Refuse).unwrap(), [minute(0), minute(1)]);
        assert_eq!(read_candles(&text, Gaps::Refuse).unwrap(), [minute(0)]);

        let torn = directory.path().join("candles.parquet");
        std::fs::write(&torn, "1677628800000,100,102,99,100.5,3\n").unwrap();
        let expected = "candles.parquet cannot be read as Parquet: it does not begin like a Parquet file";
        assert_eq!(complaint(&torn, Gaps::Refuse), expected);
        std::fs::write(&torn, "PAR1 and nothing else").unwrap();
        assert!(complaint(&torn, Gaps::Refuse).starts_with("candles.parquet cannot be read as Parquet: "));
    }

    /// More rows than are read at a time, and odd numbers.
    #[test]
    fn written_candles_read_back_to_the_last_bit_and_are_the_same_bytes_each_time() {
        let directory = TempDir::new().unwrap();
        let odd = |index: i64| Candle { high: 1e17, low: 1e-9, close: 1.0 / 3.0, volume: 0.1 + 0.2, ..minute(index) };
        let candles: Vec<Candle> = (0..40_000).map(odd).collect();
        let [first, second] = ["1.parquet", "2.parquet"].map(|name| directory.path().join(name));
        write_candles(&first, &candles, Existing::Keep).unwrap();
        write_candles(&second, &candles, Existing::Keep).unwrap();
        assert!(read_candles(&first, Gaps::Refuse).unwrap() == candles);
        assert!(std::fs::read(&first).unwrap() == std::fs::read(&second).unwrap());
        let metadata = SerializedFileReader::new(File::open(&first).unwrap()).unwrap().metadata().clone();
        let schema = metadata.file_metadata().schema_descr();
        assert_eq!(
            schema.columns().iter().map(|column| column.name()).collect::<Vec<_>>().join(","),
            super::super::csv::HEADER
        );
    }

    #[test]
    fn a_file_that_is_there_is_only_replaced_on_demand_and_never_in_parts() {
        let directory = TempDir::new().unwrap();
        for name in ["candles.csv", "candles.parquet"] {
            let path = directory.path().join(name);
            write_candles(&path, &[minute(0)], Existing::Keep).unwrap();
            let refused = write_candles(&path, &[minute(1)], Existing::Keep).unwrap_err();
            let expected = format!("{} exists already; name another file, or replace it with --force", path.display());
            assert_eq!(refused.to_string(), expected);
            assert_eq!(read_candles(&path, Gaps::Refuse).unwrap(), [minute(0)]);
            write_candles(&path, &[minute(1)], Existing::Replace).unwrap();
            assert_eq!(read_candles(&path, Gaps::Refuse).unwrap(), [minute(1)]);
        }
        let left: Vec<_> =
            std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "no temporary file stays behind: {left:?}");
        let refused = write_candles(&directory.path().join("candles.xlsx"), &[], Existing::Keep).unwrap_err();
        assert!(
            refused
                .to_string()
                .ends_with("candles.xlsx ends neither in .csv nor in .parquet, which says how to write it")
        );
    }

    /// Whatever is damaged in a file, reading it ends, and without a panic.
    #[test]
    fn a_damaged_file_is_read_or_refused() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("candles.parquet");
        write_candles(&path, &(0..50).map(minute).collect::<Vec<_>>(), Existing::Keep).unwrap();
        let ours = std::fs::read(&path).unwrap();
        let others = ["polars-texts.parquet", "wide-decimals.parquet", "int96.parquet", "null.parquet"];
        let files = others.map(|name| std::fs::read(fixture(name)).unwrap());
        let mut refused = 0;
        for file in files.iter().chain([&ours]) {
            for place in (PARQUET_MAGIC_LENGTH..file.len()).step_by(3) {
                let mut damaged = file.clone();
                damaged[place] ^= [0x01, 0x80, 0xff][place / 3 % 3];
                std::fs::write(&path, &damaged).unwrap();
                refused += usize::from(read_candles(&path, Gaps::Refuse).is_err());
            }
        }
        assert!(refused > 500, "{refused}");
        for length in (0..ours.len()).step_by(17) {
            std::fs::write(&path, &ours[..length]).unwrap();
            assert!(read_candles(&path, Gaps::Refuse).is_err(), "{length} bytes of {}", ours.len());
        }
    }

    const PARQUET_MAGIC_LENGTH: usize = 4;

    #[test]
    fn decimals_are_the_nearest_double() {
        let cases = [
            (1, 1, 0.1),
            (-25, 1, -2.5),
            (2_314_048, 2, 23140.48),
            (9_007_199_254_740_993, 0, 9_007_199_254_740_992.0),
            (123_456_789_012_345_678_901_234_567_890, 18, 123_456_789_012.345_67),
            (i128::MAX, 38, 1.701_411_834_604_692_3),
        ];
        for (unscaled, scale, expected) in cases {
            assert_eq!(NumberForm::Decimal(scale).number_of_digits(unscaled), expected, "{unscaled} {scale}");
            let bytes = unscaled.to_be_bytes();
            assert_eq!(NumberForm::Decimal(scale).number_of_bytes(&bytes, "open").unwrap(), expected);
        }
        assert_eq!(digits(&[0xff]), Some(-1));
        assert_eq!(digits(&[0x00, 0xff]), Some(255));
        assert_eq!((digits(&[]), digits(&[0; 17])), (None, None));
    }

    proptest! {
        #[test]
        fn a_decimal_is_read_as_its_text_is(unscaled in any::<i64>(), scale in 0_u32..20) {
            let text = format!("{unscaled}e-{scale}");
            let expected: f64 = text.parse().unwrap();
            prop_assert_eq!(NumberForm::Decimal(scale).number_of_digits(i128::from(unscaled)).to_bits(), expected.to_bits());
        }
    }

    #[test]
    fn times_between_milliseconds_or_beyond_the_calendar_are_none() {
        assert_eq!(TimeForm::PartsOfMs(1_000_000).ms_of_number(START * 1_000_000), Ok(START));
        assert_eq!(TimeForm::PartsOfMs(1).ms_of_number(-MINUTE_MS), Ok(-MINUTE_MS));
        for (form, number) in [
            (TimeForm::PartsOfMs(1_000_000), START * 1_000_000 + 1),
            (TimeForm::PartsOfMs(1000), i64::MIN),
            (TimeForm::PartsOfMs(1), i64::MAX),
            (TimeForm::Number, 20_230_301),
        ] {
            let refused = RowProblem::NotATime { text: number.to_string() };
            assert_eq!(form.ms_of_number(number), Err(refused));
        }
        let mut at = Int96::new();
        at.set_data(0, 0, 2_440_589);
        assert_eq!(ms_of_day_and_nanoseconds(&at), Ok(24 * 60 * MINUTE_MS));
        for odd in [[1, 0, 2_440_589], [0, 0, u32::MAX], [u32::MAX, u32::MAX, 0]] {
            at.set_data(odd[0], odd[1], odd[2]);
            assert!(ms_of_day_and_nanoseconds(&at).is_err(), "{odd:?}");
        }
    }
}
