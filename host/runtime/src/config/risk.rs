//! `[[risk]]`: profiles of risk rules. The signals of a strategy must pass the profiles that the strategy names.

use jiff::Timestamp;
use serde_json::json;
use sigbox_engine::{
    Side,
    risk::{NamedRule, Rule},
};

use super::{
    reader::{Section, Taken},
    schema::Expected,
    value::{Name, TimeMs},
};

/// Rules with a name. Strategies that share a profile share its count of positions.
#[derive(Clone, Debug, PartialEq)]
pub struct RiskProfile {
    /// Unique; strategies and stored documents refer to it.
    pub name: String,
    /// In the order in which they are checked; the first refusal ends the check. Never empty.
    pub rules: Vec<NamedRule>,
}

/// The keys of a rule, one for each thing it can check.
const CONDITIONS: &str = "max-active, min-reward-risk, reject-position, reject-window or max-price";

pub(super) fn read(root: &Section<'_>) -> Vec<RiskProfile> {
    let mut taken = Taken::default();
    root.sections("risk", "[[risk]]", |section| {
        let name = taken.required_name(section);
        let rules = section.sections("rules", "[[risk]] rules", read_rule);
        section.require_items("rules", "rules must hold at least one rule, such as { max-active = 3 }");
        RiskProfile { name, rules: rules.into_iter().flatten().collect() }
    })
}

fn read_rule(section: &Section<'_>) -> Option<NamedRule> {
    let above_0 = |key| {
        let expected = Expected::new("a number above 0", json!({ "type": "number", "exclusiveMinimum": 0 }));
        section.get_if(key, expected, |number: &f64| number.is_finite() && *number > 0.0)
    };
    let conditions = [
        section
            .whole("max-active", 1..=u64::from(u32::MAX))
            .map(|limit| Rule::MaxActive(usize::try_from(limit).unwrap_or(usize::MAX))),
        above_0("min-reward-risk").map(Rule::MinRewardRisk),
        section.get("reject-position").map(Rule::RejectSide),
        read_window(section),
        above_0("max-price").map(Rule::MaxPrice),
    ];
    let written = ["max-active", "min-reward-risk", "reject-position", "reject-window", "max-price"]
        .into_iter()
        .filter(|key| section.has(key));
    match written.count() {
        1 => {}
        0 => section.complain(&format!("must check something: {CONDITIONS}")),
        _ => section.complain(&format!("must check one thing each; split this rule: {CONDITIONS}")),
    }
    let id = section.get::<Name>("id").map(|id| id.0);
    let note = section.get::<Name>("note").map(|note| note.0);
    let rule = conditions.into_iter().flatten().next()?;
    Some(NamedRule { note: note.unwrap_or_else(|| default_note(&rule)), id, rule })
}

fn read_window(section: &Section<'_>) -> Option<Rule> {
    let key = "reject-window";
    let times = section.list::<TimeMs>(key);
    match times.as_slice() {
        [from, to] if from.value.0 <= to.value.0 => Some(Rule::RejectWindow(from.value.0, to.value.0)),
        [_, _] => {
            section.refuse(key, "must begin before it ends");
            None
        }
        // An item that is not a time has been reported already.
        _ => {
            if section.list_length(key).is_some_and(|length| length == times.len()) {
                section.refuse(key, "must be two times, the first and the last of the window");
            }
            None
        }
    }
}

/// The note of a refusal when the file has none.
fn default_note(rule: &Rule) -> String {
    match *rule {
        Rule::MaxActive(1) => "at most 1 position at a time".into(),
        Rule::MaxActive(limit) => format!("at most {limit} positions at a time"),
        Rule::MinRewardRisk(least) => format!("the take-profit must be at least {least} times as far as the stop-loss"),
        Rule::RejectSide(Side::Long) => "no long positions".into(),
        Rule::RejectSide(Side::Short) => "no short positions".into(),
        Rule::RejectWindow(from, to) => format!("no entries from {} to {}", iso_8601(from), iso_8601(to)),
        Rule::MaxPrice(limit) => format!("no entries above a price of {limit}"),
    }
}

fn iso_8601(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(|_| format!("{at_ms} ms"), |at| at.to_string())
}
