//! Answers as its settings say, and knows nothing of markets: for replaying recorded runs, and for trying out what the
//! engine does with an answer.
//!
//! ```json
//! { "signals": [
//!     { "at": 1704067200000, "until": 1704067500000,
//!       "dto": { "position": "long", "priceTakeProfit": 43000, "priceStopLoss": 41000 } },
//!     { "at": 1704070800000, "throw": "no connection" } ] }
//! ```
//!
//! Times are milliseconds since the Unix epoch; `until` is `at` where it is absent. The first entry with
//! `at <= when <= until` answers; without one there is no trade. Prices and other amounts may also be the texts `"NaN"`,
//! `"Infinity"` and `"-Infinity"`, which JSON cannot write. How often it is asked is the operator's `interval`.

use serde::{Deserialize, Deserializer, de};
use sigbox_sdk::{
    export_strategy,
    strategy::{Descriptor, Failure, Position, Session, Signal, Strategy, Tick},
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

struct Scripted {
    script: Vec<Entry>,
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
            if entry.dto.is_some() && entry.throw.is_some() {
                return refuse(format!("signals[{index}]: has both dto and throw; an entry answers one way"));
            }
        }
        Ok(Self { script: settings.signals })
    }

    fn get_signal(&mut self, tick: &mut Tick<'_>) -> Result<Option<Signal>, Failure> {
        let entry = self.script.iter().find(|entry| {
            let until = entry.until.unwrap_or(entry.at);
            (entry.at..=until).contains(&tick.when_ms)
        });
        match entry {
            Some(Entry { throw: Some(message), .. }) => Err(Failure::retry("throw", message.as_str())),
            Some(Entry { dto, .. }) => Ok(dto.as_ref().map(Dto::signal)),
            None => Ok(None),
        }
    }
}

export_strategy!(Scripted);
