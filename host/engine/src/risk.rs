//! Risk profiles: what a rule is asked, the built-in rules, and their refusals (specification 9).
//!
//! A profile keeps no book of its own. The positions it counts are those of the traders that share it, so a slot can
//! neither leak nor be lost (hazards H-11, H-12, H-43).

use alloc::string::String;

use crate::signal::{Pair, Proposal, Side};

/// What a rule decides about: a proposal that has not been validated yet, or an order about to be filled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RiskRequest<'a> {
    /// Who wants to trade.
    pub pair: &'a Pair,
    /// The engine's time, milliseconds.
    pub now_ms: i64,
    /// The average price when proposing, the order's own price when filling.
    pub current_price: f64,
    /// Direction.
    pub side: Side,
    /// Entry price; the current price when the proposal names none.
    pub price_open: f64,
    /// Take-profit level.
    pub price_take_profit: f64,
    /// Stop-loss level.
    pub price_stop_loss: f64,
}

impl<'a> RiskRequest<'a> {
    /// The request for a new proposal.
    #[must_use]
    pub fn propose(pair: &'a Pair, now_ms: i64, current_price: f64, proposal: &Proposal) -> Self {
        Self {
            pair,
            now_ms,
            current_price,
            side: proposal.side,
            price_open: proposal.price_open.unwrap_or(current_price),
            price_take_profit: proposal.price_take_profit,
            price_stop_loss: proposal.price_stop_loss,
        }
    }
}

/// Why a rule said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The rule's own name for the reason, if it has one.
    pub id: Option<String>,
    /// The reason, for people.
    pub note: String,
    /// Positions that were active when it was decided, the asking pair's own order not counted (hazard H-42).
    pub active_positions: usize,
}

/// Decides whether a signal may take up risk. The implementation knows the positions that are active.
pub trait RiskGate {
    /// `Ok` lets the signal pass.
    ///
    /// # Errors
    /// The first rule that refuses.
    fn check(&mut self, request: &RiskRequest<'_>) -> Result<(), Rejection>;
}

/// A gate without rules.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRisk;

impl RiskGate for NoRisk {
    fn check(&mut self, _: &RiskRequest<'_>) -> Result<(), Rejection> {
        Ok(())
    }
}

/// A rule that can be written in a configuration file.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// At most this many positions at a time over everything that shares the profile.
    MaxActive(usize),
    /// The distance to the take-profit must be at least this many times the distance to the stop-loss.
    MinRewardRisk(f64),
    /// No positions of this side.
    RejectSide(Side),
    /// No entries from the first to the second time, both inclusive, milliseconds.
    RejectWindow(i64, i64),
    /// No entries above this price.
    MaxPrice(f64),
}

impl Rule {
    /// Whether the rule lets `request` pass while `active` positions are held.
    #[must_use]
    pub fn allows(&self, request: &RiskRequest<'_>, active: usize) -> bool {
        // Written as what they refuse, so that a comparison with NaN lets pass: validation refuses NaN itself.
        let refuses = match *self {
            Self::MaxActive(limit) => active >= limit,
            Self::MinRewardRisk(least) => {
                let reward = (request.price_take_profit - request.price_open).abs();
                let risk = (request.price_open - request.price_stop_loss).abs();
                reward / risk < least
            }
            Self::RejectSide(side) => request.side == side,
            Self::RejectWindow(from, to) => from <= request.now_ms && request.now_ms <= to,
            Self::MaxPrice(limit) => request.current_price > limit,
        };
        !refuses
    }
}

/// A rule with the words it refuses in.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedRule {
    /// What is checked.
    pub rule: Rule,
    /// Reported with the refusal.
    pub id: Option<String>,
    /// Reported with the refusal.
    pub note: String,
}

/// The first of `rules` that refuses, as a rejection (specification 9.1: in order, first refusal stops).
///
/// # Errors
/// That rule's rejection.
pub fn check_rules(rules: &[NamedRule], request: &RiskRequest<'_>, active: usize) -> Result<(), Rejection> {
    match rules.iter().find(|named| !named.rule.allows(request, active)) {
        None => Ok(()),
        Some(named) => Err(Rejection { id: named.id.clone(), note: named.note.clone(), active_positions: active }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Specification: S-RSK-05, S-RSK-11.
    #[test]
    fn rules_refuse_in_order_and_the_first_refusal_stops() {
        let pair = Pair { symbol: "BTCUSDT".into(), strategy: "s".into(), exchange: "x".into(), frame: String::new() };
        let request = RiskRequest {
            pair: &pair,
            now_ms: 1000,
            current_price: 100.0,
            side: Side::Long,
            price_open: 100.0,
            price_take_profit: 102.0,
            price_stop_loss: 99.0,
        };
        let cases = [
            (Rule::MaxActive(1), 0, true),
            (Rule::MaxActive(1), 1, false),
            (Rule::MaxActive(0), 0, false),
            (Rule::MinRewardRisk(2.0), 0, true),
            (Rule::MinRewardRisk(2.1), 0, false),
            (Rule::RejectSide(Side::Long), 0, false),
            (Rule::RejectSide(Side::Short), 0, true),
            (Rule::RejectWindow(1000, 1000), 0, false),
            (Rule::RejectWindow(1001, 2000), 0, true),
            (Rule::MaxPrice(100.0), 0, true),
            (Rule::MaxPrice(99.9), 0, false),
        ];
        for (rule, active, allowed) in &cases {
            assert_eq!(rule.allows(&request, *active), *allowed, "{rule:?} with {active} active");
        }
        // 3 to gain for 2 to lose.
        let wide = RiskRequest { price_take_profit: 103.0, price_stop_loss: 98.0, ..request };
        assert!(Rule::MinRewardRisk(1.5).allows(&wide, 0) && !Rule::MinRewardRisk(1.6).allows(&wide, 0));
        let named = |rule, id: Option<&str>, note: &str| NamedRule { rule, id: id.map(Into::into), note: note.into() };
        let rules = [
            named(Rule::MaxPrice(1000.0), None, "too dear"),
            named(Rule::MaxActive(2), Some("limit"), "too many"),
            named(Rule::RejectSide(Side::Long), None, "no longs"),
        ];
        let refusal = |id: Option<&str>, note: &str, active_positions| {
            Err(Rejection { id: id.map(Into::into), note: note.into(), active_positions })
        };
        assert_eq!(check_rules(&rules, &request, 2), refusal(Some("limit"), "too many", 2));
        assert_eq!(check_rules(&rules, &request, 1), refusal(None, "no longs", 1));
        assert_eq!(check_rules(&rules[..2], &request, 1), Ok(()));
        assert_eq!(check_rules(&[], &request, usize::MAX), Ok(()));
    }
}
