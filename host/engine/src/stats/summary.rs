//! Totals over what happened: of everything, and of each part.

use alloc::{
    borrow::ToOwned as _,
    collections::BTreeMap,
    string::{String, ToString as _},
};

use super::{orders::Orders, returns::Returns, trade::Trade, trend::Trend};
use crate::{
    outcome::{self, CloseReason, Outcome},
    signal::Pair,
    state::Levels,
};

/// Totals over closed positions, ended orders and what was refused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Results of closed positions.
    pub returns: Returns,
    /// Closed positions by reason, in the order of [`CloseReason::ALL`].
    pub closed_by: [u64; 5],
    /// Limit orders.
    pub orders: Orders,
    /// Levels passed towards the take-profit.
    pub profit_levels: LevelCounts,
    /// Levels passed towards the stop-loss.
    pub loss_levels: LevelCounts,
    /// Positions that came to cover all their costs.
    pub breakevens: u64,
    /// Proposals and fills refused by the risk rules, by the rule's id, or by its note where it has none.
    pub rejected: BTreeMap<String, u64>,
    /// Proposals that broke a rule.
    pub invalid: u64,
    /// Answers that failed.
    pub failed: u64,
}

/// How often each level was passed, in the order of [`Levels::ALL`].
pub type LevelCounts = [u64; Levels::ALL.len()];

impl Summary {
    /// Adds one outcome.
    pub fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Closed { position, reason, at_ms, price } => {
                self.close(&Trade::of(position, *reason, *at_ms, *price));
            }
            Outcome::Scheduled { .. } => self.orders.schedule(),
            Outcome::Opened { position } => {
                if position.was_ordered() {
                    self.orders.activate(position.pending_at_ms - position.signal.scheduled_at_ms);
                }
            }
            Outcome::Cancelled { order, reason, at_ms, .. } => {
                self.orders.cancel(*reason, at_ms - order.signal.scheduled_at_ms);
            }
            Outcome::Level { direction, level, .. } => self.pass(*direction, *level),
            Outcome::Breakeven { .. } => self.breakevens += 1,
            Outcome::Rejected { rejection, .. } => {
                self.reject(rejection.id.as_deref().unwrap_or(&rejection.note));
            }
            Outcome::Invalid { .. } | Outcome::SymbolMismatch { .. } => self.invalid += 1,
            Outcome::StrategyFailed { .. } => self.failed += 1,
            Outcome::Idle { .. }
            | Outcome::Waiting { .. }
            | Outcome::Active { .. }
            | Outcome::HighestProfit { .. }
            | Outcome::MaxDrawdown { .. } => {}
        }
    }

    /// Adds a closed position.
    pub fn close(&mut self, trade: &Trade) {
        self.returns.add(trade);
        for (number, listed) in self.closed_by.iter_mut().zip(CloseReason::ALL) {
            *number += u64::from(listed == trade.reason);
        }
    }

    /// Adds a level that was passed, one of [`Levels::ALL`].
    pub fn pass(&mut self, direction: outcome::Direction, level: u8) {
        let counts = match direction {
            outcome::Direction::Profit => &mut self.profit_levels,
            outcome::Direction::Loss => &mut self.loss_levels,
        };
        for (number, listed) in counts.iter_mut().zip(Levels::ALL) {
            *number += u64::from(listed == level);
        }
    }

    /// Adds a refusal of the risk rules.
    pub fn reject(&mut self, rule: &str) {
        match self.rejected.get_mut(rule) {
            Some(number) => *number += 1,
            None => {
                self.rejected.insert(rule.to_string(), 1);
            }
        }
    }

    /// Refusals of the risk rules in all.
    #[must_use]
    pub fn rejections(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// Totals over a run, and over each part of it. Outcomes come in the order in which they happened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Of everything.
    pub total: Summary,
    /// Of each strategy on each symbol: by strategy, then by symbol.
    pub pairs: BTreeMap<String, BTreeMap<String, Part>>,
    /// Of each strategy, on all its symbols.
    pub strategies: BTreeMap<String, Summary>,
    /// Of each symbol, by all its strategies.
    pub symbols: BTreeMap<String, Part>,
}

/// Totals over what happened on one symbol, and what its prices say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// The totals.
    pub summary: Summary,
    /// The prices at closes.
    pub trend: Trend,
}

impl Tally {
    /// Adds one outcome of `pair`.
    pub fn add(&mut self, pair: &Pair, outcome: &Outcome) {
        match outcome {
            // Most outcomes are of these kinds, and there is nothing to add up.
            Outcome::Idle { .. }
            | Outcome::Waiting { .. }
            | Outcome::Active { .. }
            | Outcome::HighestProfit { .. }
            | Outcome::MaxDrawdown { .. } => {}
            Outcome::Closed { position, reason, at_ms, price } => {
                self.close(&pair.strategy, &pair.symbol, &Trade::of(position, *reason, *at_ms, *price));
            }
            Outcome::Scheduled { .. }
            | Outcome::Opened { .. }
            | Outcome::Breakeven { .. }
            | Outcome::Level { .. }
            | Outcome::Cancelled { .. }
            | Outcome::Rejected { .. }
            | Outcome::Invalid { .. }
            | Outcome::SymbolMismatch { .. }
            | Outcome::StrategyFailed { .. } => {
                self.each(&pair.strategy, &pair.symbol, |summary| summary.add(outcome));
            }
        }
    }

    /// Adds a closed position of `strategy` on `symbol`.
    pub fn close(&mut self, strategy: &str, symbol: &str, trade: &Trade) {
        self.each(strategy, symbol, |summary| summary.close(trade));
        let pair = entry(entry(&mut self.pairs, strategy), symbol);
        pair.trend.add(trade.closed_ms, trade.close_price);
        entry(&mut self.symbols, symbol).trend.add(trade.closed_ms, trade.close_price);
    }

    /// Applies `change` to every summary that `strategy` on `symbol` counts towards.
    pub fn each(&mut self, strategy: &str, symbol: &str, mut change: impl FnMut(&mut Summary)) {
        change(&mut self.total);
        change(&mut entry(entry(&mut self.pairs, strategy), symbol).summary);
        change(entry(&mut self.strategies, strategy));
        change(&mut entry(&mut self.symbols, symbol).summary);
    }
}

/// The value under `key`, which is added if it is missing.
fn entry<'a, V: Default>(map: &'a mut BTreeMap<String, V>, key: &str) -> &'a mut V {
    if !map.contains_key(key) {
        map.insert(key.to_owned(), V::default());
    }
    map.get_mut(key).expect("it is there now")
}
