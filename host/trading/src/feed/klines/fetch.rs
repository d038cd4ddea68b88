//! Fetches the past candles of a symbol from the exchange into a file.
//!
//! ```text
//! GrowingFile ─► what it ends with ─► page after page from there ─► GrowingFile ─► (a Parquet file, at the end)
//! ```
//!
//! What holds:
//!
//! 1. Whenever a fetch ends, even if it is killed, the file has candles from its beginning without a gap, each as the
//!    exchange closed it. The next fetch goes on from there, and the file gets the same bytes as from a fetch without
//!    interruption.
//! 2. The last candle of a file is asked for again before anything is added. If the exchange now sends another one, the
//!    file belongs to another market and is left as it is.
//! 3. A candle is accepted by the rules of the feed: it has closed by the exchange's own clock, it is possible, and no
//!    candle before it is missing.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use sigbox_engine::{Candle, MINUTE_MS};
use sigbox_market::candles::{
    CandleFileError, Existing, Format, Gaps, GrowingFile, GrowingFileError, is_written_here, iso_8601, read_candles,
    remove_left_behind, write_candles,
};

use super::{
    KlinesSettings, Page, RECENT,
    clock::{Clock, SystemClock},
    error::FetchError,
    exchange::Exchange,
    millis, page,
};
use crate::feed::FeedError;

/// What to fetch, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchOrder {
    /// As the exchange names it.
    pub symbol: String,
    /// When the first candle opens, milliseconds since the Unix epoch, on a whole minute. If the exchange has no candle
    /// so old, the file begins with its oldest one.
    pub from_ms: i64,
    /// When the last candle closes; `None`: the newest that the exchange has when the fetch reaches it.
    pub to_ms: Option<i64>,
    /// A file whose name ends in `.csv` or `.parquet`. If an earlier fetch left it there, this fetch continues it. The
    /// candles of a Parquet file are kept beside it until all are there, in a CSV file with `.part.csv` after its name.
    pub file: PathBuf,
}

/// How far a fetch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchProgress {
    /// The candles until this time are in the file.
    Reached {
        /// Milliseconds since the Unix epoch.
        end_ms: i64,
        /// When the last candle that is asked for closes, as far as that is known.
        goal_ms: i64,
    },
    /// The exchange is asked again at this time.
    Waiting {
        /// Milliseconds since the Unix epoch, by the exchange's clock.
        until_ms: i64,
        /// Why it has to be asked again.
        error: String,
    },
}

/// The result of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// When the first candle of the file opened.
    pub first_ms: i64,
    /// When its last one closed.
    pub end_ms: i64,
    /// When the last candle of an earlier fetch closed; `None` when there was no earlier fetch.
    pub resumed_at_ms: Option<i64>,
}

/// Why a fetch has stopped before its end. The candles it had are kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchFileError {
    /// The exchange does not give the candles.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// The file cannot be added to.
    #[error(transparent)]
    Growing(#[from] GrowingFileError),
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] CandleFileError),
    /// The file begins at another time.
    #[error(
        "{} begins with the candle of {}, and the one of {} was asked for; fetch from there, or into another file",
        path.display(),
        iso_8601(*found_ms),
        iso_8601(*from_ms)
    )]
    Begins {
        /// The file.
        path: PathBuf,
        /// Opening time of its first candle.
        found_ms: i64,
        /// Opening time of the candle that was asked for first.
        from_ms: i64,
    },
    /// A candle of the file is not the same at the exchange, or in the Parquet file that it is a part of.
    #[error(
        "the candle of {} is another one in {} than {other}; is it of another symbol or exchange? Move the file away, or \
         name another one",
        iso_8601(*open_ms),
        path.display()
    )]
    Differs {
        /// The file.
        path: PathBuf,
        /// Opening time of the candle.
        open_ms: i64,
        /// Where the other one is.
        other: String,
    },
}

/// Fetches candles into a file, or continues a file. `on_progress` is called after every page and before every wait.
///
/// Dropping the future keeps the candles that are in the file. An error that may pass is retried, as in the feed. If
/// the exchange asks for a pause of up to ten minutes, the fetch waits for so long.
///
/// # Errors
/// When a candle cannot be fetched after all attempts, or is not the same as in the file, or the file cannot be used.
pub async fn fetch_file(
    settings: &KlinesSettings,
    order: &FetchOrder,
    on_progress: &mut dyn FnMut(FetchProgress),
) -> Result<Fetched, FetchFileError> {
    fetch_by(settings, order, on_progress, Arc::new(SystemClock)).await
}

/// The longest pause that an exchange gets when it asks for one. A ban may last for days; then the fetch fails and says
/// so.
const PAUSE_MAX_MS: i64 = 10 * MINUTE_MS;

pub(super) async fn fetch_by(
    settings: &KlinesSettings,
    order: &FetchOrder,
    on_progress: &mut dyn FnMut(FetchProgress),
    clock: Arc<dyn Clock>,
) -> Result<Fetched, FetchFileError> {
    let file = &order.file;
    let format = Format::of_ending(file).ok_or_else(|| CandleFileError::Ending { path: file.clone() })?;
    let growing_path = match format {
        Format::Csv => file.clone(),
        Format::Parquet => part_of(file),
    };
    let mut growing = GrowingFile::open(&growing_path)?;
    if format == Format::Parquet && file.exists() {
        take_over(&mut growing, &growing_path, file)?;
    }
    let resumed_at_ms = growing.end_ms();

    let exchange = Exchange::new(&settings.base_url, settings.request_timeout, clock);
    let mut fetch = Fetch { settings, order, exchange, on_progress };
    fetch.run(&mut growing, &growing_path).await?;

    let first_ms = growing.candles()[0].open_time_ms;
    let end_ms = growing.end_ms().unwrap_or(first_ms);
    if format == Format::Parquet {
        // The part is locked, so no other fetch works on this file.
        remove_left_behind(file)?;
        write_candles(file, growing.all_candles(), Existing::Replace)?;
        growing.remove()?;
    }
    Ok(Fetched { first_ms, end_ms, resumed_at_ms })
}

/// The file in which the candles of a Parquet file are kept until all are there, because a Parquet file cannot grow.
fn part_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".part.csv");
    PathBuf::from(name)
}

/// Adds the candles to `part` that the finished `file` has and `part` does not. An earlier fetch has finished, or was
/// killed at this step.
fn take_over(part: &mut GrowingFile, part_path: &Path, file: &Path) -> Result<(), FetchFileError> {
    if !is_written_here(file)? {
        return Err(GrowingFileError::Foreign { path: file.to_owned() }.into());
    }
    let whole = read_candles(file, Gaps::Refuse)?;
    let known = part.candles();
    let common = known.len().min(whole.len());
    if let Some(index) = (0..common).find(|index| known[*index] != whole[*index]) {
        return Err(FetchFileError::Differs {
            path: part_path.to_owned(),
            open_ms: known[index].open_time_ms,
            other: format!("in {}", file.display()),
        });
    }
    if part.end_ms() < whole.last().map(Candle::close_time_ms) {
        part.append(&whole[common..])?;
    }
    Ok(())
}

/// A fetch under way.
struct Fetch<'a> {
    settings: &'a KlinesSettings,
    order: &'a FetchOrder,
    exchange: Exchange,
    on_progress: &'a mut dyn FnMut(FetchProgress),
}

impl Fetch<'_> {
    async fn run(&mut self, file: &mut GrowingFile, path: &Path) -> Result<(), FetchFileError> {
        let end_ms = self.order.to_ms.unwrap_or(i64::MAX);
        if let Some(first) = file.candles().first().copied() {
            self.check_beginning(&first, path).await?;
        }
        // The last candle of the file. It is asked for again, to see that it is the same.
        let mut seam = file.candles().last().copied();
        while file.end_ms().is_none_or(|reached_ms| reached_ms < end_ms) {
            let known = &file.candles()[..file.candles().len() - usize::from(seam.is_some())];
            let recent = known[known.len().saturating_sub(RECENT)..].to_vec();
            let from_ms = recent.last().map_or(self.order.from_ms, Candle::close_time_ms);
            let from_ms = seam.map_or(from_ms, |seam| seam.open_time_ms);
            let Page { mut candles, has_next, .. } = self.page(from_ms, end_ms, &recent).await?;
            if let Some(seam) = seam.take_if(|_| !candles.is_empty())
                && candles.remove(0) != seam
            {
                let (path, open_ms) = (path.to_owned(), seam.open_time_ms);
                return Err(FetchFileError::Differs { path, open_ms, other: "at the exchange".to_owned() });
            }
            file.append(&candles)?;
            if let Some(reached_ms) = file.end_ms() {
                let goal_ms = end_ms.min(self.exchange.now_ms()).max(reached_ms);
                (self.on_progress)(FetchProgress::Reached { end_ms: reached_ms, goal_ms });
            }
            if !has_next {
                break;
            }
        }
        if file.candles().is_empty() {
            let at_ms = end_ms.min(self.exchange.now_ms());
            return Err(self.gave_none(&FetchError::NoCandles { from_ms: self.order.from_ms, at_ms }));
        }
        Ok(())
    }

    /// A file that begins later than asked for is accepted if the exchange has nothing before it.
    async fn check_beginning(&mut self, first: &Candle, path: &Path) -> Result<(), FetchFileError> {
        let from_ms = self.order.from_ms;
        let found_ms = first.open_time_ms;
        let begins = FetchFileError::Begins { path: path.to_owned(), found_ms, from_ms };
        if found_ms < from_ms {
            return Err(begins);
        }
        if found_ms > from_ms {
            let earlier = self.page(from_ms, found_ms, &[]).await?;
            if !earlier.candles.is_empty() {
                return Err(begins);
            }
        }
        Ok(())
    }

    /// Fetches one page, in several attempts.
    async fn page(&mut self, from_ms: i64, end_ms: i64, recent: &[Candle]) -> Result<Page, FetchFileError> {
        let rules = self.settings.rules();
        let mut attempts_left = self.settings.retry_count.max(1);
        loop {
            attempts_left -= 1;
            let error = match page(&self.exchange, &rules, &self.order.symbol, from_ms..end_ms, recent).await {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            let now_ms = self.exchange.now_ms();
            let until_ms = (now_ms + millis(self.settings.retry_delay)).max(self.exchange.quiet_until_ms());
            if error.is_lasting() || attempts_left == 0 || until_ms > now_ms + PAUSE_MAX_MS {
                return Err(self.gave_none(&error));
            }
            (self.on_progress)(FetchProgress::Waiting { until_ms, error: error.to_string() });
            self.exchange.sleep_until_ms(until_ms).await;
        }
    }

    fn gave_none(&self, error: &FetchError) -> FetchFileError {
        FeedError::Candles { symbol: self.order.symbol.clone(), problem: error.to_string() }.into()
    }
}
