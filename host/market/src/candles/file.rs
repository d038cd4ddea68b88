//! Candle files: what is the same in every format.
//!
//! ```text
//! csv | parquet ─► rows, each a candle or a problem ─┬─► Gapless ─► Vec<Candle>, or the first problem
//!                                                    └─► check ─► every problem
//! ```
//!
//! A file is read as a whole or not at all. It is also written as a whole: until all is written, its path is as it was.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read as _, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sigbox_engine::{Candle, Interval, MINUTE_MS, candle::CandleFault};

use super::{csv, parquet, time::iso_8601};

/// Reads one-minute candles from the file at `path`. They are consecutive, each one is possible, and there is at least
/// one. A file that begins like Parquet is read as Parquet, every other file as CSV.
///
/// Columns are found by name, in any order and letter case: `open`, `high`, `low`, `close`, `volume`, and for the time
/// the first that is there of `open_time`, `timestamp`, `time`, `date` and `datetime`. Other columns are ignored. A CSV
/// file needs no header. Without one, its first six columns are those of Binance's klines: open time, open, high, low,
/// close, volume. A first row without any number is a header.
///
/// Times are the opening times of candles. They are whole seconds, milliseconds or microseconds since 1970, and the
/// size of each number tells which; or they are ISO 8601, in UTC unless they name an offset. Parquet may also have its
/// own timestamps; those without a time zone are in UTC. Numbers in Parquet may be floating-point, whole, decimal or
/// texts. Each becomes the nearest double.
///
/// # Errors
/// At the first row that cannot be used, with its place; when the file cannot be read; when it has no candles.
pub fn read_candles(path: &Path, gaps: Gaps) -> Result<Vec<Candle>, CandleFileError> {
    read(path, Format::of_content(path)?, gaps)
}

/// Reads a CSV file, otherwise as [`read_candles`].
///
/// # Errors
/// As [`read_candles`].
pub fn read_csv(path: &Path, gaps: Gaps) -> Result<Vec<Candle>, CandleFileError> {
    read(path, Format::Csv, gaps)
}

/// Writes `candles` to the file at `path`, in the format of its ending. Reading the file gives the same candles, to the
/// last bit. Until all is written, `path` is as it was.
///
/// CSV has a header and Binance's first six columns, times in milliseconds. Parquet has the same columns, none of them
/// nullable: `open_time` is a timestamp in milliseconds, UTC, and the others are doubles. It is compressed with zstd,
/// and has one row group for two years of minutes. The same candles give the same bytes.
///
/// # Errors
/// When the ending is neither `.csv` nor `.parquet`, when the file exists and is to be kept, or when it cannot be
/// written.
pub fn write_candles(path: &Path, candles: &[Candle], existing: Existing) -> Result<(), CandleFileError> {
    let format = Format::of_ending(path).ok_or_else(|| CandleFileError::Ending { path: path.to_owned() })?;
    write(path, format, candles, existing)
}

/// Writes `candles` as CSV to the file at `path`, whatever its ending, and replaces the file. Otherwise as
/// [`write_candles`].
///
/// # Errors
/// When the file cannot be written.
pub fn write_csv(path: &Path, candles: &[Candle]) -> Result<(), CandleFileError> {
    write(path, Format::Csv, candles, Existing::Replace)
}

/// The format of a candle file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text, one line for each candle.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// What to do about minutes that are missing in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gaps {
    /// A gap is an error.
    #[default]
    Refuse,
    /// A gap of up to a week is filled with flat candles: their price is the close before the gap, and their volume is
    /// 0.
    Fill,
}

/// What to do if the file that is to be written exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Keep the file that exists, and write nothing.
    Keep,
    /// Replace the file that exists.
    Replace,
}

/// Why a candle file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
    /// The file exists already.
    #[error("{} exists already; name another file, or replace it with --force", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The ending of the file does not name a format.
    #[error("{} ends neither in .csv nor in .parquet, which says how to write it", path.display())]
    Ending {
        /// The file.
        path: PathBuf,
    },
    /// There is no row in the file, or only a header.
    #[error("{} has no candles", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file has candles of a higher interval. A run would take each for a minute, and what the market did in an hour
    /// would be known after its first minute.
    #[error(
        "{} has {}; a run needs one-minute candles, and makes those of a higher interval itself",
        path.display(),
        in_words(*minutes)
    )]
    HigherInterval {
        /// The file.
        path: PathBuf,
        /// From the beginning of one candle to that of the next.
        minutes: i64,
    },
    /// The part of the file that was asked for has no candle.
    #[error(
        "{} has candles from {} to {}; that part of it which is asked for has no candle of {interval}",
        path.display(),
        iso_8601(whole_ms.0),
        iso_8601(whole_ms.1)
    )]
    NoneLeft {
        /// The file.
        path: PathBuf,
        /// Opening times of its first and its last candle.
        whole_ms: (i64, i64),
        /// The interval that was asked for.
        interval: Interval,
    },
    /// The file is called Parquet or begins like Parquet, but cannot be read as Parquet.
    #[error("{} cannot be read as Parquet: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A column of a Parquet file cannot be used.
    #[error("{}: {problem}", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// What is wrong with the column.
        problem: ColumnProblem,
    },
    /// A row cannot be used.
    #[error("{}{}: {problem}", path.display(), place.after_path())]
    Row {
        /// The file.
        path: PathBuf,
        /// Where the row is.
        place: Place,
        /// What is wrong with it.
        problem: RowProblem,
    },
}

/// Where in a file a row is, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A line of a text, counted as an editor counts lines.
    Line(u64),
    /// A row of a table.
    Row(u64),
}

impl Place {
    /// `:17`, which editors understand, or `: row 17`.
    fn after_path(self) -> String {
        match self {
            Self::Line(line) => format!(":{line}"),
            Self::Row(_) => format!(": {self}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

/// Why a column of a Parquet file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnProblem {
    /// The column is missing.
    #[error("there is no column {}, only `{found}`", wanted.join(" or "))]
    Missing {
        /// The names that the column could have, in lower case.
        wanted: &'static [&'static str],
        /// The columns that the file has.
        found: String,
    },
    /// The values of the column cannot become times or numbers.
    #[error("the column {column} holds {found}, and not {wanted}")]
    Type {
        /// Its name, as the file has it.
        column: String,
        /// Its type, in Parquet's words.
        found: String,
        /// The types that can be read.
        wanted: &'static str,
    },
    /// The column is compressed in a way that cannot be read.
    #[error("the column {column} is compressed with {found}; write it with zstd, snappy or uncompressed")]
    Compression {
        /// Its name, as the file has it.
        column: String,
        /// How it is compressed.
        found: String,
    },
}

/// Why a row of a candle file cannot be used. Texts from the file are cut to their beginning and made printable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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
    /// A column of the row has no value.
    #[error("{column} is null")]
    Null {
        /// `open time`, `open`, `high`, `low`, `close` or `volume`.
        column: &'static str,
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
    /// The candle cannot have happened.
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
    /// The row has the same time as a row before it.
    #[error("{} is there twice; remove one of the rows", iso_8601(*open_time_ms))]
    Duplicate {
        /// The opening time of both rows.
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
        /// When the first missing minute would have opened.
        from_ms: i64,
        /// When the last missing minute would have opened.
        to_ms: i64,
    },
    /// Minutes are missing before the row, and they are too many to fill.
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
        /// When the first missing minute would have opened.
        from_ms: i64,
        /// When the last missing minute would have opened.
        to_ms: i64,
    },
    /// A price is far below those around it (specification 3.4).
    #[error("a price is more than {factor} times below the usual one: `{row}`")]
    Anomaly {
        /// The factor from which on a price is an anomaly.
        factor: String,
        /// The row, as CSV.
        row: String,
    },
}

/// The longest gap that is filled: one week. Exchanges stop for hours, and markets for a long weekend. A longer gap
/// comes from a wrong file or a wrong time, and flat prices would only hide that.
const LONGEST_FILLED_GAP_MINUTES: i64 = 7 * 24 * 60;

/// How many characters of a row or field a message shows.
const EXCERPT_CHARS: usize = 120;

/// What every Parquet file begins with.
const PARQUET_MAGIC: &[u8] = b"PAR1";

impl Format {
    /// The format that the ending of `path` names, if it names one.
    #[must_use]
    pub fn of_ending(path: &Path) -> Option<Self> {
        let ending = path.extension()?;
        if ending.eq_ignore_ascii_case("csv") {
            Some(Self::Csv)
        } else if ending.eq_ignore_ascii_case("parquet") {
            Some(Self::Parquet)
        } else {
            None
        }
    }

    /// The format of the file at `path`, whatever its name. A file that is called Parquet but does not begin like
    /// Parquet is damaged, not CSV. A pipe, or anything else that is not a regular file, can be read only once, so it
    /// must be CSV.
    pub(super) fn of_content(path: &Path) -> Result<Self, CandleFileError> {
        let begins = || {
            let file = File::open(path)?;
            let mut beginning = Vec::with_capacity(PARQUET_MAGIC.len());
            if file.metadata()?.is_file() {
                file.take(PARQUET_MAGIC.len() as u64).read_to_end(&mut beginning)?;
            }
            Ok(beginning == PARQUET_MAGIC)
        };
        if begins().map_err(|source| CandleFileError::Unreadable { path: path.to_owned(), source })? {
            Ok(Self::Parquet)
        } else if Self::of_ending(path) == Some(Self::Parquet) {
            let reason = "it does not begin like a Parquet file".to_owned();
            Err(CandleFileError::Damaged { path: path.to_owned(), reason })
        } else {
            Ok(Self::Csv)
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csv => "CSV",
            Self::Parquet => "Parquet",
        })
    }
}

/// A row that gives no candle.
#[derive(Debug)]
pub(super) struct BadRow {
    /// When its candle opened, if the row says that.
    pub(super) open_time_ms: Option<i64>,
    /// Boxed, so that the result of a row stays small. Problems are rare.
    pub(super) problem: Box<RowProblem>,
}

impl From<RowProblem> for BadRow {
    fn from(problem: RowProblem) -> Self {
        Self { open_time_ms: None, problem: Box::new(problem) }
    }
}

/// Reads a file row by row and calls `on_row` with each row, until `on_row` breaks off.
///
/// # Errors
/// When the file as a whole cannot be used. The problem of a single row goes to `on_row`.
pub(super) fn each_row(
    path: &Path,
    format: Format,
    on_row: impl FnMut(Place, Result<Candle, BadRow>) -> ControlFlow<()>,
) -> Result<(), CandleFileError> {
    match format {
        Format::Csv => csv::each_row(path, &mut open(path)?, on_row),
        Format::Parquet => parquet::each_row(path, open(path)?, on_row),
    }
}

fn open(path: &Path) -> Result<File, CandleFileError> {
    File::open(path).map_err(|source| CandleFileError::Unreadable { path: path.to_owned(), source })
}

fn read(path: &Path, format: Format, gaps: Gaps) -> Result<Vec<Candle>, CandleFileError> {
    let mut candles = Gapless::new(gaps);
    each_row(path, format, |place, row| candles.add(place, row))?;
    candles.finish(path)
}

/// Collects consecutive candles from rows, up to the first row that cannot be used.
pub(super) struct Gapless {
    candles: Vec<Candle>,
    gaps: Gaps,
    gap_count: usize,
    filled: usize,
    /// The greatest distance of which every gap, from the beginning of one candle to that of the next, is a multiple; 0
    /// before the first gap. If no candle directly follows another one, it is the interval of the file.
    distance_ms: i64,
    unusable: Option<(Place, RowProblem)>,
    /// The file begins with a gap that is not filled, so the rows after it tell whether minutes are missing or the file
    /// has candles of a higher interval. The opening time of the last one, and how many were looked at.
    looking: Option<(i64, usize)>,
}

impl Gapless {
    pub(super) const fn new(gaps: Gaps) -> Self {
        Self { candles: Vec::new(), gaps, gap_count: 0, filled: 0, distance_ms: 0, unusable: None, looking: None }
    }

    /// Adds the candle of a row. If minutes before it are missing and are to be filled, adds those first. Breaks off at
    /// a row that cannot be used, as soon as it is known what is wrong with the file.
    #[inline]
    pub(super) fn add(&mut self, place: Place, row: Result<Candle, BadRow>) -> ControlFlow<()> {
        if self.looking.is_some() {
            return self.look_further(row);
        }
        let follows =
            |candle: &Candle| self.candles.last().is_none_or(|last| last.close_time_ms() == candle.open_time_ms);
        let added = match row {
            Ok(candle) if follows(&candle) => {
                self.candles.push(candle);
                Ok(())
            }
            Ok(candle) => self.add_out_of_turn(candle),
            Err(bad) => Err(*bad.problem),
        };
        match added {
            Ok(()) => ControlFlow::Continue(()),
            Err(problem) => {
                self.unusable = Some((place, problem));
                if self.looking.is_some() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            }
        }
    }

    /// Adds a candle that does not directly follow the one before it.
    #[cold]
    fn add_out_of_turn(&mut self, candle: Candle) -> Result<(), RowProblem> {
        let previous = *self.candles.last().expect("the first candle is in turn");
        let (previous_ms, found_ms) = (previous.open_time_ms, candle.open_time_ms);
        if found_ms < previous_ms {
            return Err(RowProblem::Disorder { previous_ms, found_ms });
        }
        if found_ms == previous_ms {
            return Err(RowProblem::Duplicate { open_time_ms: found_ms });
        }
        let has_neighbours = self.has_neighbours();
        self.gap_count += 1;
        self.distance_ms = greatest_common_divisor(found_ms - previous_ms, self.distance_ms);
        let missing = (found_ms - previous_ms) / MINUTE_MS - 1;
        let (from_ms, to_ms) = (previous.close_time_ms(), found_ms - MINUTE_MS);
        let refused = match self.gaps {
            Gaps::Refuse => RowProblem::Gap { missing, from_ms, to_ms },
            Gaps::Fill if missing > LONGEST_FILLED_GAP_MINUTES => RowProblem::GapTooLong { missing, from_ms, to_ms },
            Gaps::Fill => {
                let before = self.candles.len();
                self.candles.extend((1..=missing).map(|minute| flat_after(&previous, minute)));
                self.filled += self.candles.len() - before;
                self.candles.push(candle);
                return Ok(());
            }
        };
        self.looking = (!has_neighbours).then_some((found_ms, 0));
        Err(refused)
    }

    /// Whether a candle directly follows another one, so that the candles are those of minutes.
    fn has_neighbours(&self) -> bool {
        self.candles.len() - self.filled > self.gap_count + 1
    }

    /// Takes the distance of another row after a gap that is not filled. Breaks off when it is known whether the file
    /// has candles of a higher interval.
    #[cold]
    fn look_further(&mut self, row: Result<Candle, BadRow>) -> ControlFlow<()> {
        let open_time_ms = match row {
            Ok(candle) => Some(candle.open_time_ms),
            Err(bad) => bad.open_time_ms,
        };
        let (Some((last_ms, looked)), Some(open_time_ms)) = (self.looking, open_time_ms) else {
            return ControlFlow::Break(());
        };
        if open_time_ms <= last_ms || looked == ROWS_AFTER_A_GAP {
            return ControlFlow::Break(());
        }
        self.gap_count += 1;
        self.distance_ms = greatest_common_divisor(open_time_ms - last_ms, self.distance_ms);
        self.looking = Some((open_time_ms, looked + 1));
        if self.distance_ms > MINUTE_MS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// The distance of the candles in minutes, if it is more than one: they are those of a higher interval. One gap
    /// alone does not tell.
    fn higher_interval_minutes(&self) -> Option<i64> {
        let is_higher = self.gap_count > 1 && self.distance_ms > MINUTE_MS;
        let is_known = self.looking.is_some() || !self.has_neighbours();
        (is_higher && is_known).then_some(self.distance_ms / MINUTE_MS)
    }

    /// The candles that were read from the file at `path`; there must be at least one.
    pub(super) fn finish(self, path: &Path) -> Result<Vec<Candle>, CandleFileError> {
        let path = || path.to_owned();
        let is_about_gaps = match &self.unusable {
            Some((_, problem)) => matches!(problem, RowProblem::Gap { .. } | RowProblem::GapTooLong { .. }),
            None => true,
        };
        match (self.higher_interval_minutes().filter(|_| is_about_gaps), self.unusable) {
            (Some(minutes), _) => Err(CandleFileError::HigherInterval { path: path(), minutes }),
            (None, Some((place, problem))) => Err(CandleFileError::Row { path: path(), place, problem }),
            (None, None) if self.candles.is_empty() => Err(CandleFileError::Empty { path: path() }),
            (None, None) => {
                if self.filled > 0 {
                    let (filled, minutes) = (self.filled, self.candles.len());
                    tracing::warn!(
                        "{}: {filled} of {minutes} minutes are missing and were filled with the price before them",
                        path().display()
                    );
                }
                Ok(self.candles)
            }
        }
    }
}

/// How many rows after a gap at the beginning of a file are looked at, to tell whether the file has candles of a higher
/// interval.
const ROWS_AFTER_A_GAP: usize = 1000;

/// Neither number is negative.
const fn greatest_common_divisor(mut one: i64, mut other: i64) -> i64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

/// `candles of 1h`, or `a candle every 7 minutes`.
fn in_words(minutes: i64) -> String {
    match Interval::all().find(|interval| interval.ms() == minutes * MINUTE_MS) {
        Some(interval) => format!("candles of {interval}"),
        None => format!("a candle every {minutes} minutes"),
    }
}

/// The candle that is `minutes` after `previous`, if there is no trade in between.
pub(super) fn flat_after(previous: &Candle, minutes: i64) -> Candle {
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

/// Writes a whole file to `path`, or leaves what is there.
fn write(path: &Path, format: Format, candles: &[Candle], existing: Existing) -> Result<(), CandleFileError> {
    let written = || {
        // The file gets the permissions of any new file; those of a temporary file are narrower.
        let create = |path: &Path| OpenOptions::new().write(true).create_new(true).open(path);
        let suffix = temporary_suffix(path);
        let mut temporary = tempfile::Builder::new();
        let temporary = temporary.prefix(TEMPORARY_PREFIX).suffix(&suffix).make_in(folder_of(path), create)?;
        let mut out = BufWriter::new(temporary.as_file());
        match format {
            Format::Csv => csv::write(&mut out, candles)?,
            Format::Parquet => parquet::write(&mut out, candles)?,
        }
        out.flush()?;
        drop(out);
        temporary.as_file().sync_all()?;
        match existing {
            Existing::Keep => temporary.persist_noclobber(path),
            Existing::Replace => temporary.persist(path),
        }?;
        Ok(())
    };
    written().map_err(|source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => CandleFileError::Exists { path: path.to_owned() },
        _ => CandleFileError::Unwritable { path: path.to_owned(), source },
    })
}

/// Removes the temporary files of a process that was killed while it wrote the file at `path`. No process may be
/// writing that file meanwhile.
///
/// # Errors
/// When one of them cannot be removed.
pub fn remove_left_behind(path: &Path) -> Result<(), CandleFileError> {
    let suffix = temporary_suffix(path);
    let removed = || {
        for entry in fs::read_dir(folder_of(path))? {
            let name = entry?.file_name();
            let name_bytes = name.as_encoded_bytes();
            if name_bytes.starts_with(TEMPORARY_PREFIX.as_bytes()) && name_bytes.ends_with(suffix.as_encoded_bytes()) {
                fs::remove_file(folder_of(path).join(name))?;
            }
        }
        Ok(())
    };
    removed().map_err(|source| CandleFileError::Unwritable { path: path.to_owned(), source })
}

/// While a file is written, its name is this prefix, something random, and the name that it will have.
const TEMPORARY_PREFIX: &str = ".tmp-";

fn temporary_suffix(path: &Path) -> OsString {
    let mut suffix = OsString::from("-");
    suffix.push(path.file_name().unwrap_or_default());
    suffix
}

pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The beginning of a text from a file, as a message shows it: one line. Characters that end lines, control terminals or
/// change the direction of writing are escaped, because anybody may have written the file.
pub(super) fn excerpt(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut shown = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == EXCERPT_CHARS {
            shown.push('…');
            break;
        }
        if is_treacherous(character) { shown.extend(character.escape_default()) } else { shown.push(character) }
    }
    shown
}

fn is_treacherous(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

fn counted_minutes(count: i64) -> String {
    if count == 1 { "1 minute is".to_owned() } else { format!("{count} minutes are") }
}
