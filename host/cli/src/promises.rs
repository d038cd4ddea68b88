//! What `sigbox backtest --check-promises` found.

use std::fmt;

use indicatif::HumanCount;
use serde::Serialize;
use sigbox::trading::{CheckedPromises, WrongPromise};
use sigbox_engine::trader::{Answer, Quiet};
use sigbox_report::text;

/// The error when a strategy did not keep what it promised.
#[derive(Debug)]
pub(crate) struct WrongPromises {
    made: u64,
    wrong: u64,
}

impl fmt::Display for WrongPromises {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} promises of silence were wrong", HumanCount(self.wrong), HumanCount(self.made))
    }
}

impl std::error::Error for WrongPromises {}

/// An error if a promise was wrong.
pub(crate) fn judge(promises: &CheckedPromises) -> Result<(), WrongPromises> {
    let CheckedPromises { made, wrong, .. } = *promises;
    if wrong == 0 { Ok(()) } else { Err(WrongPromises { made, wrong }) }
}

/// One line of what the check found, and one for each wrong promise that is named.
pub(crate) fn print(promises: &CheckedPromises) {
    let CheckedPromises { made, wrong, named, asked, saved } = promises;
    if *made == 0 {
        println!("Promises: none was made.");
        return;
    }
    let made = HumanCount(*made);
    let kept = if *wrong == 0 { "all kept".to_owned() } else { format!("{} wrong", HumanCount(*wrong)) };
    println!(
        "Promises: {made} checked, {kept}; {} questions instead of {}.",
        HumanCount(*asked),
        HumanCount(asked + saved)
    );
    for WrongPromise { pair, made_ms, promise, at_ms, price, answer } in named {
        let (made, at) = (text::time(*made_ms), text::time(*at_ms));
        let said = match answer {
            Answer::Trade(proposal) => format!("it would have traded: {}", proposal.side.name()),
            Answer::Failed(message) => format!("it failed: {}", text::line(message)),
            Answer::Nothing | Answer::Quiet(_) => continue,
        };
        println!("  {pair} promised at {made} to be silent {}; at {at}, price {price}, {said}", in_words(promise));
    }
    let more = wrong.saturating_sub(named.len() as u64);
    if more > 0 {
        println!("  and {} more", HumanCount(more));
    }
}

/// `until 2024-01-01T02:00:00Z while prices stay from 99 to 101`.
fn in_words(Quiet { until_ms, below, above }: &Quiet) -> String {
    // A promise without an end has a time that no calendar has.
    let until = if *until_ms == i64::MAX { "for ever".to_owned() } else { format!("until {}", text::time(*until_ms)) };
    match (below.is_finite(), above.is_finite()) {
        (true, true) => format!("{until} while prices stay from {below} to {above}"),
        (true, false) => format!("{until} while prices stay at {below} or above"),
        (false, true) => format!("{until} while prices stay at {above} or below"),
        (false, false) => until,
    }
}

/// What the check found, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Json<'a> {
    checked: u64,
    wrong: u64,
    questions: u64,
    questions_saved: u64,
    named: Vec<JsonWrongPromise<'a>>,
}

/// A bound that is not finite is no bound, and JSON has null for it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonWrongPromise<'a> {
    strategy_name: &'a str,
    symbol: &'a str,
    made_timestamp: i64,
    until_timestamp: i64,
    below: Option<f64>,
    above: Option<f64>,
    timestamp: i64,
    price: f64,
    /// The position that it would have opened.
    position: Option<&'static str>,
    /// The failure in place of an answer.
    message: Option<&'a str>,
}

impl<'a> Json<'a> {
    pub(crate) fn of(promises: &'a CheckedPromises) -> Self {
        let CheckedPromises { made, wrong, named, asked, saved } = promises;
        let named = named.iter().map(|wrong| {
            let Quiet { until_ms, below, above } = wrong.promise;
            let (position, message) = match &wrong.answer {
                Answer::Trade(proposal) => (Some(proposal.side.name()), None),
                Answer::Failed(message) => (None, Some(message.as_str())),
                Answer::Nothing | Answer::Quiet(_) => (None, None),
            };
            JsonWrongPromise {
                strategy_name: &wrong.pair.strategy,
                symbol: &wrong.pair.symbol,
                made_timestamp: wrong.made_ms,
                until_timestamp: until_ms,
                below: Some(below).filter(|below| below.is_finite()),
                above: Some(above).filter(|above| above.is_finite()),
                timestamp: wrong.at_ms,
                price: wrong.price,
                position,
                message,
            }
        });
        let named = named.collect();
        Self { checked: *made, wrong: *wrong, questions: *asked, questions_saved: *saved, named }
    }
}
