//! `sigbox candles`.

use std::{
    error::Error,
    fmt,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde::Serialize;
use sigbox::{
    assemble,
    config::{CandleSource, Config, Live},
    market::candles::{Conversion, Existing, FileCheck, FileProblem, Gaps, Place, check_file, convert},
    trading::feed::{FetchOrder, FetchProgress, Fetched, KlinesSettings, fetch_file},
};
use sigbox_engine::{Interval, MINUTE_MS, Settings};

use crate::{
    args::{self, CandlesCommand},
    exit::{Interrupted, Usage},
    interrupts::Interrupts,
};

pub(crate) fn run(command: &args::Candles) -> anyhow::Result<()> {
    match &command.command {
        CandlesCommand::Fetch(command) => fetch(command),
        CandlesCommand::Check(command) => check(command),
        CandlesCommand::Convert(command) => convert_file(command),
    }
}

/// The error when files that were checked have problems.
#[derive(Debug)]
pub(crate) struct Problems {
    files: usize,
    of: usize,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { files: 1, of: 1 } => f.write_str("the file has problems"),
            Self { files, of } => write!(f, "{files} of {of} files have problems"),
        }
    }
}

impl Error for Problems {}

fn fetch(command: &args::CandlesFetch) -> anyhow::Result<()> {
    if command.to.is_some_and(|to_ms| to_ms <= command.from) {
        return Err(Usage("--to must be later than --from".to_owned()).into());
    }
    let settings = settings(command)?;
    let order = FetchOrder {
        symbol: command.symbol.clone(),
        from_ms: command.from,
        to_ms: command.to,
        file: command.out.clone(),
    };
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{elapsed_precise} {wide_bar} {human_pos}/{human_len} minutes, {eta} left")
            .expect("the template is valid"),
    );
    let mut on_progress = |progress| match progress {
        FetchProgress::Reached { end_ms, goal_ms } => {
            bar.set_length(minutes(order.from_ms, goal_ms));
            bar.set_position(minutes(order.from_ms, end_ms));
        }
        FetchProgress::Waiting { until_ms, error } => {
            bar.suspend(|| tracing::warn!("trying again at {}: {error}", iso(until_ms)));
        }
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let done = runtime.block_on(async {
        let mut interrupts = Interrupts::new()?;
        tokio::select! {
            done = fetch_file(&settings, &order, &mut on_progress) => Ok(done?),
            () = interrupts.next() => {
                let message = "interrupted; what has come is kept, and the same command goes on from there";
                Err(anyhow::Error::from(Interrupted(message.to_owned())))
            }
        }
    });
    // A request may still be in progress; its answer is not needed.
    runtime.shutdown_timeout(Duration::ZERO);
    bar.finish_and_clear();
    report_fetched(&order, &done?);
    Ok(())
}

/// The settings of the configuration, if there is one, changed by the options of the command line.
fn settings(command: &args::CandlesFetch) -> anyhow::Result<KlinesSettings> {
    let usual = Path::new("sigbox.toml");
    let config = command.config.as_deref().or_else(|| usual.exists().then_some(usual));
    let mut settings = match config {
        Some(file) => {
            let config = Config::load(file)?;
            assemble::klines(&config.live, &config.engine, config.candles.gaps)
        }
        None => assemble::klines(&Live::default(), &Settings::default(), Gaps::default()),
    };
    if let Some(base_url) = &command.base_url {
        settings.base_url.clone_from(base_url);
    }
    settings.gaps = command.gaps.unwrap_or(settings.gaps);
    Ok(settings)
}

fn report_fetched(order: &FetchOrder, fetched: &Fetched) {
    let Fetched { first_ms, end_ms, resumed_at_ms } = *fetched;
    if let Some(resumed_at_ms) = resumed_at_ms {
        println!("Candles until {} were there already.", iso(resumed_at_ms));
    }
    println!(
        "{} has {} candles of {}, {} to {}.",
        order.file.display(),
        HumanCount(minutes(first_ms, end_ms)),
        order.symbol,
        iso(first_ms),
        iso(end_ms - MINUTE_MS)
    );
    if first_ms > order.from_ms {
        println!("The exchange has none before.");
    }
    if order.to_ms.is_some_and(|to_ms| end_ms < to_ms) {
        println!("The exchange has none after, or none that has closed.");
    }
}

fn check(command: &args::CandlesCheck) -> anyhow::Result<()> {
    let files = if command.files.is_empty() {
        let config = Config::load(&command.config.path)?;
        let sources = config.candles.sources.into_iter();
        let files = sources.filter_map(|(symbol, source)| match source {
            CandleSource::File(path) => Some((Some(symbol), path)),
            CandleSource::Generated(_) => None,
        });
        files.collect()
    } else {
        command.files.iter().map(|file| (None, file.clone())).collect::<Vec<_>>()
    };
    if files.is_empty() {
        let config = command.config.path.display();
        return Err(Usage(format!("name a file; {config} has no [candles.files]")).into());
    }
    let most = if command.json { MOST_IN_JSON } else { MOST_SHOWN };
    let checks: Vec<Checked> = files
        .into_iter()
        .map(|(symbol, file)| {
            let found = check_file(&file, most);
            if !command.json {
                print_check(symbol.as_deref(), &file, &found);
            }
            Checked { symbol, file, found }
        })
        .collect();
    if command.json {
        let mut out = io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, &checks.iter().map(Checked::to_json).collect::<Vec<_>>())?;
        writeln!(out)?;
    }
    let bad = checks.iter().filter(|checked| checked.found.problem_count > 0).count();
    if bad > 0 {
        return Err(Problems { files: bad, of: checks.len() }.into());
    }
    Ok(())
}

/// How many problems of a file are shown, about a screen of them.
const MOST_SHOWN: usize = 20;

/// How many problems of a file are in JSON: a program can take more.
const MOST_IN_JSON: usize = 10_000;

/// A file that was checked, and what was found.
struct Checked {
    symbol: Option<String>,
    file: PathBuf,
    found: FileCheck,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CheckJson<'a> {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<&'a str>,
    format: Option<String>,
    interval: &'static str,
    candles: usize,
    missing: u64,
    first_timestamp: Option<i64>,
    last_timestamp: Option<i64>,
    problem_count: usize,
    problems: Vec<ProblemJson<'a>>,
}

#[derive(Serialize)]
struct ProblemJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<u64>,
    problem: &'a str,
}

impl<'a> ProblemJson<'a> {
    fn of(FileProblem { place, problem }: &'a FileProblem) -> Self {
        let (line, row) = match *place {
            Some(Place::Line(line)) => (Some(line), None),
            Some(Place::Row(row)) => (None, Some(row)),
            None => (None, None),
        };
        Self { line, row, problem }
    }
}

impl Checked {
    fn to_json(&self) -> CheckJson<'_> {
        let found = &self.found;
        CheckJson {
            file: self.file.display().to_string(),
            symbol: self.symbol.as_deref(),
            format: found.format.map(|format| format.to_string()),
            interval: found.interval.name(),
            candles: found.candles,
            missing: found.missing,
            first_timestamp: found.first_open_ms,
            last_timestamp: found.last_open_ms,
            problem_count: found.problem_count,
            problems: found.problems.iter().map(ProblemJson::of).collect(),
        }
    }
}

fn print_check(symbol: Option<&str>, file: &Path, found: &FileCheck) {
    let symbol = symbol.map_or_else(String::new, |symbol| format!("{symbol}, "));
    let mut parts: Vec<String> = found.format.iter().map(ToString::to_string).collect();
    if let (Some(first_ms), Some(last_ms)) = (found.first_open_ms, found.last_open_ms) {
        parts.push(format!("{} candles of {}", HumanCount(found.candles as u64), found.interval));
        parts.push(format!("{} to {}", iso(first_ms), iso(last_ms)));
    }
    if found.missing > 0 {
        parts.push(format!("{} missing", HumanCount(found.missing)));
    }
    parts.push(match found.problem_count {
        0 => "no problem".to_owned(),
        1 => "1 problem".to_owned(),
        count => format!("{} problems", HumanCount(count as u64)),
    });
    println!("{symbol}{}: {}", file.display(), parts.join(", "));
    if found.interval != Interval::MINUTE {
        println!("  a run needs one-minute candles, and makes those of {} itself", found.interval);
    }
    for problem in &found.problems {
        println!("  {problem}");
    }
    let more = found.problem_count - found.problems.len();
    if more > 0 {
        println!("  … and {} more", HumanCount(more as u64));
    }
}

fn convert_file(command: &args::CandlesConvert) -> anyhow::Result<()> {
    if command.from.zip(command.to).is_some_and(|(from_ms, to_ms)| to_ms <= from_ms) {
        return Err(Usage("--to must be later than --from".to_owned()).into());
    }
    let conversion = Conversion {
        gaps: command.gaps,
        from_ms: command.from,
        to_ms: command.to,
        interval: command.interval,
        existing: if command.force { Existing::Replace } else { Existing::Keep },
    };
    let written = convert(&command.input, &command.output, &conversion)?;
    println!(
        "Wrote {}: {} candles of {}, {} to {}.",
        command.output.display(),
        HumanCount(written.len() as u64),
        command.interval,
        iso(written[0].open_time_ms),
        iso(written[written.len() - 1].open_time_ms)
    );
    Ok(())
}

fn minutes(from_ms: i64, to_ms: i64) -> u64 {
    ((to_ms - from_ms) / MINUTE_MS).max(0).unsigned_abs()
}

fn iso(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}
