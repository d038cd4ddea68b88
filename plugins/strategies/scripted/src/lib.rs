//! Answers as its settings say, and knows nothing of markets: for replaying recorded runs, and for trying out what the
//! engine does with an answer.
//!
//! ```json
//! { "signals": [
//!     { "at": 1704067200000, "until": 1704067500000,
//!       "dto": { "position": "long", "priceTakeProfit": 43000, "priceStopLoss": 41000 } },
//!     { "at": 1704070800000, "throw": "no connection" },
//!     { "at": 1704070860000, "quiet": { "until": 1704074400000, "below": 41000, "above": 43000 } } ] }
//! ```
//!
//! Times are milliseconds since the Unix epoch; `until` is `at` where it is absent. The first entry with
//! `at <= when <= until` answers; without one there is no trade. An entry with `quiet` promises silence, right or wrong. Prices and other amounts may also be the texts `"NaN"`,
//! `"Infinity"` and `"-Infinity"`, which JSON cannot write. How often it is asked is the operator's `interval`.

use serde::{Deserialize, Deserializer, de};
use sigbox_sdk::{
    export_strategy,
    strategy::{Descriptor, Failure, Position, Quiet, Session, Signal, Strategy, Tick},
};

/// The script.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    signals: Vec<Entry>,
}

/// What to answer from `at` to `until`, both included.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    at: u64,
    /// Absent: `at`.
    until: Option<u64>,
    dto: Option<Dto>,
    throw: Option<String>,
    quiet: Option<Silence>,
}

/// A promise of silence. A bound that is absent is no bound.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Silence {
    until: u64,
    below: Option<f64>,
    above: Option<f64>,
}

/// A signal under the names of rows and events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Dto {
    id: Option<String>,
    symbol: Option<String>,
    position: Side,
    #[serde(default)]
    price_open: Option<Number>,
    price_take_profit: Number,
    price_stop_loss: Number,
    #[serde(default)]
    minute_estimated_time: Option<Number>,
    #[serde(default)]
    cost: Option<Number>,
    #[serde(default)]
    multiplier: Option<Number>,
    isolated: Option<bool>,
    note: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    Long,
    Short,
}

/// A number, or the name of one that JSON cannot write.
#[derive(Clone, Copy)]
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Name(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(Self(number)),
            Written::Name(name) => match name.as_str() {
                "NaN" => Ok(Self(f64::NAN)),
                "Infinity" => Ok(Self(f64::INFINITY)),
                "-Infinity" => Ok(Self(f64::NEG_INFINITY)),
                _ => Err(de::Error::custom(format!(
                    "{name:?} is no number; besides numbers there are \"NaN\", \"Infinity\" and \"-Infinity\""
                ))),
            },
        }
    }
}

impl Dto {
    fn signal(&self) -> Signal {
        let number = |number: Option<Number>| number.map(|number| number.0);
        Signal {
            id: self.id.clone(),
            symbol: self.symbol.clone(),
            position: match self.position {
                Side::Long => Position::Long,
                Side::Short => Position::Short,
            },
            price_open: number(self.price_open),
            price_take_profit: self.price_take_profit.0,
            price_stop_loss: self.price_stop_loss.0,
            minute_estimated_time: number(self.minute_estimated_time),
            cost: number(self.cost),
            multiplier: number(self.multiplier),
            isolated: self.isolated,
            note: self.note.clone(),
            extra: None,
        }
    }
}

impl Silence {
    fn promise(&self) -> Quiet {
        let (below, above) = (self.below.unwrap_or(f64::NEG_INFINITY), self.above.unwrap_or(f64::INFINITY));
        Quiet { until_ms: self.until, below, above }
    }
}

struct Scripted {
    script: Vec<Entry>,
    promise: Option<Quiet>,
}

impl Strategy for Scripted {
    type Settings = Settings;

    fn describe() -> Descriptor {
        Descriptor::new("scripted", env!("CARGO_PKG_VERSION"), "1m")
    }

    fn new(_: &Session, settings: Settings) -> Result<Self, Failure> {
        let refuse = |message: String| Err(Failure::give_up("settings", message));
        for (index, entry) in settings.signals.iter().enumerate() {
            if entry.until.is_some_and(|until| until < entry.at) {
                return refuse(format!("signals[{index}]: until is before at"));
            }
            let Entry { dto, throw, quiet, .. } = entry;
            let answers = [("dto", dto.is_some()), ("throw", throw.is_some()), ("quiet", quiet.is_some())];
            if let [(one, _), (other, _), ..] = answers.into_iter().filter(|(_, is)| *is).collect::<Vec<_>>()[..] {
                return refuse(format!("signals[{index}]: has both {one} and {other}; an entry answers one way"));
            }
        }
        Ok(Self { script: settings.signals, promise: None })
    }

    fn get_signal(&mut self, tick: &mut Tick<'_>) -> Result<Option<Signal>, Failure> {
        let entry = self.script.iter().find(|entry| {
            let until = entry.until.unwrap_or(entry.at);
            (entry.at..=until).contains(&tick.when_ms)
        });
        self.promise = entry.and_then(|entry| entry.quiet.as_ref()).map(Silence::promise);
        match entry {
            Some(Entry { throw: Some(message), .. }) => Err(Failure::retry("throw", message.as_str())),
            Some(Entry { dto, .. }) => Ok(dto.as_ref().map(Dto::signal)),
            None => Ok(None),
        }
    }

    fn quiet(&self) -> Option<Quiet> {
        self.promise
    }
}

export_strategy!(Scripted);
