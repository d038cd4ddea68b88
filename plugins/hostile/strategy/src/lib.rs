//! Does, when it is told to, what the sandbox must bear. What it saw of the world it tells in failures, because the
//! host passes their text on.

mod world;

use std::{hint::black_box, iter, time::Duration};

use serde::Deserialize;
use sigbox_sdk::{
    export_strategy,
    strategy::{
        Descriptor, Failure, Session, Signal, Strategy, Tick, bindings::sigbox::strategy::answer, logging, market,
        memory, source, trades,
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    mode: Mode,
    /// When to misbehave, milliseconds since the Unix epoch; empty: always. At other times it tells how many calls
    /// this instance has had.
    #[serde(default)]
    at: Vec<u64>,
    /// How much, in the modes that do something by the byte.
    #[serde(default)]
    bytes: usize,
    /// Says nothing at other times.
    #[serde(default)]
    silent: bool,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    // Uses something up.
    Spin,
    SpinInStart,
    Allocate,
    /// Asks for more memory than it may have, takes the refusal well, and breaks down over something else later.
    SurviveRefusal,
    Recurse,
    LeakHandles,
    LogForever,
    CandlesForever,
    NextCandlesForever,
    AverageForever,
    PrintForever,
    WriteForever,
    PollForever,
    RandomForever,
    TradesForever,
    SourceForever,
    /// Remembers one thing after the other, whether it is refused or not.
    RememberForever,
    // Stops.
    Panic,
    PanicInStart,
    RefuseStart,
    Exit,
    Retire,
    /// Answers a second time.
    AnswerTwice,
    /// Promises to be quiet for five minutes.
    Promise,
    /// Remembers how often it was asked to misbehave, and then panics. At other times it tells what it remembers.
    RememberAndPanic,
    /// The same without the panic.
    Remember,
    RememberInStart,
    // Says too much, or something it should not.
    LongFailure,
    LongId,
    LongNote,
    LongSymbol,
    LongLog,
    LogFlood,
    ForgedLog,
    ForgedFailure,
    ForgedId,
    // Proposes nonsense.
    NanPrices,
    InfinitePrices,
    NegativePrices,
    ZeroPrices,
    WrongSide,
    ForeignSymbol,
    // Asks for what it may not have.
    TooManyCandles,
    UnknownSymbol,
    UnknownInterval,
    FutureCandles,
    // Looks round.
    /// Tells the text that it was given to run.
    Source,
    Environment,
    Network,
    Clocks,
    Random,
    Sleep,
    SpinOnClock,
}

struct Hostile {
    settings: Settings,
    symbol: String,
    calls: u64,
    refused: bool,
}

impl Strategy for Hostile {
    type Settings = Settings;

    fn describe() -> Descriptor {
        Descriptor::new("hostile", env!("CARGO_PKG_VERSION"), "1m")
    }

    fn new(session: &Session, settings: Settings) -> Result<Self, Failure> {
        match settings.mode {
            Mode::SpinInStart => spin(),
            Mode::PanicInStart => panic!("in start"),
            Mode::RememberInStart => {
                memory::remove("anything");
                Err(Failure::give_up("start", "it may remember in start"))
            }
            Mode::RefuseStart => {
                Err(Failure::give_up("settings", format!("no\nERROR forged{}", "x".repeat(100 << 10))))
            }
            _ => Ok(Self { settings, symbol: session.symbol.clone(), calls: 0, refused: false }),
        }
    }

    fn get_signal(&mut self, tick: &mut Tick<'_>) -> Result<Option<Signal>, Failure> {
        self.calls += 1;
        let at = &self.settings.at;
        match at.is_empty() || at.contains(&tick.when_ms) {
            true => self.misbehave(tick),
            false if matches!(self.settings.mode, Mode::Remember | Mode::RememberAndPanic) => {
                tell("remembered", &remembered(tick)?)
            }
            false if self.settings.silent => Ok(None),
            false => tell("calls", &self.calls),
        }
    }
}

impl Hostile {
    #[expect(clippy::too_many_lines, reason = "an arm for each mode")]
    fn misbehave(&mut self, tick: &Tick<'_>) -> Result<Option<Signal>, Failure> {
        let sound = Signal::long(tick.price * 1.02, tick.price * 0.98);
        let text = || "x".repeat(self.settings.bytes);
        match self.settings.mode {
            Mode::Spin => spin(),
            Mode::Allocate => allocate(),
            Mode::SurviveRefusal => {
                assert!(!self.refused, "over something else");
                self.refused = Vec::<u8>::new().try_reserve_exact(1 << 30).is_err();
                tell("refused", &self.refused)
            }
            Mode::Recurse => tell("depth", &recurse(0)),
            Mode::LeakHandles => world::leak_handles(),
            Mode::LogForever => {
                let line = text();
                loop {
                    logging::log(logging::Level::Info, "flood", &line);
                }
            }
            Mode::CandlesForever => loop {
                black_box(market::candles(&self.symbol, "1m", 10_000)).ok();
            },
            Mode::NextCandlesForever => loop {
                black_box(market::next_candles(tick.when_ms - 30 * 60_000, u32::MAX));
            },
            Mode::AverageForever => loop {
                black_box(market::average_price(&self.symbol)).ok();
            },
            Mode::PrintForever => world::print_forever(&text()),
            Mode::WriteForever => world::write_forever(self.settings.bytes),
            Mode::PollForever => world::poll_forever(self.settings.bytes),
            Mode::RandomForever => world::random_forever(self.settings.bytes),
            Mode::TradesForever => loop {
                black_box(trades::last(u32::MAX));
            },
            Mode::SourceForever => loop {
                black_box((source::main(), source::modules()));
            },
            Mode::RememberForever => remember_forever(&text()),
            Mode::Remember | Mode::RememberAndPanic => {
                let times = remembered(tick)? + 1;
                tick.remember("times", &times)?;
                assert!(matches!(self.settings.mode, Mode::Remember), "it was asked to");
                tell("times", &times)
            }
            Mode::Panic => panic!("it was asked to"),
            Mode::Exit => std::process::exit(0),
            Mode::AnswerTwice => {
                answer::fail("first", "", true);
                tell("second", &self.calls)
            }
            Mode::Promise => {
                answer::quiet(tick.when_ms + 5 * 60_000, 0.0, f64::INFINITY);
                Ok(None)
            }
            Mode::Retire => Err(Failure::give_up("tired", "that is enough")),
            Mode::LongFailure => Err(Failure::retry(&text(), text())),
            Mode::LongId => Ok(Some(Signal { id: Some(text()), ..sound })),
            Mode::LongNote => Ok(Some(Signal { note: Some(text()), ..sound })),
            Mode::LongSymbol => Ok(Some(Signal { symbol: Some(text()), ..sound })),
            Mode::LongLog => {
                logging::log(logging::Level::Warn, &text(), &text());
                Ok(None)
            }
            Mode::LogFlood => {
                for line in 0..self.settings.bytes {
                    logging::log(logging::Level::Info, "flood", &line.to_string());
                }
                Ok(None)
            }
            Mode::ForgedLog => {
                logging::log(logging::Level::Info, "a\nb", FORGED);
                Ok(None)
            }
            Mode::ForgedFailure => Err(Failure::retry("a\nb", FORGED)),
            Mode::ForgedId => Ok(Some(Signal { id: Some(FORGED.to_owned()), ..sound })),
            Mode::NanPrices => Ok(Some(Signal::long(f64::NAN, f64::NAN))),
            Mode::InfinitePrices => Ok(Some(Signal::long(f64::INFINITY, f64::NEG_INFINITY).limit(f64::INFINITY))),
            Mode::NegativePrices => Ok(Some(Signal::long(-1.0, -3.0).limit(-2.0))),
            Mode::ZeroPrices => Ok(Some(Signal::long(0.0, 0.0).limit(0.0))),
            Mode::WrongSide => Ok(Some(Signal::long(tick.price * 0.98, tick.price * 1.02))),
            Mode::ForeignSymbol => Ok(Some(Signal { symbol: Some("SOMEBODYELSE".to_owned()), ..sound })),
            Mode::TooManyCandles => refused(&market::candles(&self.symbol, "1m", u32::MAX)),
            Mode::UnknownSymbol => refused(&market::candles("NO\nSUCH", "1m", 1)),
            Mode::UnknownInterval => refused(&market::candles(&self.symbol, "7m", 1)),
            Mode::FutureCandles => self.look_ahead(tick.when_ms),
            Mode::Source => {
                let files: Vec<String> = iter::once(source::main())
                    .chain(source::modules())
                    .map(|file| format!("{}: {}", file.path, file.text))
                    .collect();
                tell("source", &files.join("; "))
            }
            Mode::Environment => world::environment(),
            Mode::Network => world::network(),
            Mode::Clocks => world::clocks(),
            Mode::Random => world::random(),
            Mode::Sleep => {
                std::thread::sleep(Duration::from_hours(1));
                tell("slept", &self.calls)
            }
            Mode::SpinOnClock => world::spin_on_clock(),
            Mode::SpinInStart | Mode::PanicInStart | Mode::RefuseStart | Mode::RememberInStart => {
                tell("calls", &self.calls)
            }
        }
    }

    /// Every way to ask for candles that have not closed; tells how many came.
    fn look_ahead(&self, now_ms: u64) -> Result<Option<Signal>, Failure> {
        let newest = now_ms - 60_000;
        let mut seen = 0;
        for after_ms in [newest, now_ms, now_ms + 60_000, i64::MAX.unsigned_abs(), u64::MAX - 60_000, u64::MAX] {
            for interval in ["1m", "1h", "1d"] {
                let candles = market::candles_after(&self.symbol, interval, after_ms, 100);
                seen += candles.map_or(0, |candles| candles.len());
            }
            seen += usize::from(market::next_candle(after_ms).is_some());
            seen += market::next_candles(after_ms, u32::MAX).len();
        }
        let all = market::candles_after(&self.symbol, "1m", 0, 10_000).unwrap_or_default();
        seen += all.iter().filter(|candle| candle.open_time_ms > newest).count();
        // What follows the oldest candle: five numbers each of all but that one, whatever the limit.
        let oldest_ms = all.first().map_or(0, |candle| candle.open_time_ms);
        seen += market::next_candles(oldest_ms, u32::MAX).len().abs_diff(5 * all.len().saturating_sub(1));
        tell("future", &format!("{seen} of {}", all.len()))
    }
}

/// Text that would look like lines of the host's own, in a log or on a terminal.
const FORGED: &str = "a\r\n2024-01-01 ERROR forged\u{1b}[2J\u{9b}31m\u{2028}b\u{202e}c\0d";

fn remember_forever(text: &str) -> ! {
    loop {
        for name in 0_u32.. {
            memory::get(&name.to_string());
            if memory::set(&name.to_string(), text.as_bytes()).is_err() {
                break;
            }
        }
        memory::remove("0");
    }
}

fn remembered(tick: &Tick<'_>) -> Result<u64, Failure> {
    tick.remembered("times").map(Option::unwrap_or_default)
}

fn tell(what: &str, found: &dyn std::fmt::Display) -> Result<Option<Signal>, Failure> {
    Err(Failure::retry(what, found.to_string()))
}

fn refused<T>(answer: &Result<T, market::Unavailable>) -> Result<Option<Signal>, Failure> {
    match answer {
        Ok(_) => tell("given", &""),
        Err(unavailable) => Err(Failure::retry(&unavailable.code, unavailable.message.as_str())),
    }
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn allocate() -> ! {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(vec![1_u8; 1 << 20]));
    }
}

fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    if frame[0] == u64::MAX { 0 } else { recurse(frame[0] + 1) + frame[1] }
}

export_strategy!(Hostile);
