//! Actions: the names of everything that can happen.

use std::fmt;

use serde::{Serialize, Serializer};

/// Declares the actions once: each variant with its name in a line and what it means.
macro_rules! actions {
    ($($(#[doc = $what:literal])+ $variant:ident = $name:literal,)+) => {
        /// What an event says happened: the `action` of its line.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[doc = $what])+ $variant,)+
        }

        impl Action {
            /// Every action: first those of traders, then those of the host.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in a line: `risk_rejection`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The action of that name; `None` for a name that only a later sigbox knows.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

actions! {
    /// A limit order was accepted and waits for its price.
    Scheduled = "scheduled",
    /// A position was opened.
    Opened = "opened",
    /// A position has a new best result.
    HighestProfit = "highest_profit",
    /// A position has a new worst result.
    MaxDrawdown = "max_drawdown",
    /// The price of a position covers its costs for the first time.
    Breakeven = "breakeven",
    /// A position passed another tenth of the way to its take-profit.
    PartialProfit = "partial_profit",
    /// A position passed another tenth of the way to its stop-loss.
    PartialLoss = "partial_loss",
    /// A position ended.
    Closed = "closed",
    /// A limit order ended without being filled.
    Cancelled = "cancelled",
    /// The risk rules refused a proposal, or an order about to be filled.
    RiskRejection = "risk_rejection",
    /// A strategy proposed something that breaks the rules.
    InvalidSignal = "invalid_signal",
    /// A strategy proposed a trade on another symbol.
    SymbolMismatch = "symbol_mismatch",
    /// A strategy failed to answer.
    StrategyFailed = "strategy_failed",

    /// A stored document could not be understood and was moved aside.
    StateQuarantined = "state_quarantined",
    /// A store did not take a write.
    StoreFailed = "store_failed",
    /// A store takes writes again.
    StoreRecovered = "store_recovered",
    /// An instance of a backend broke down, and another took its place.
    StoreRestarted = "store_restarted",
    /// A backend failed several times in a row and is not asked for a while.
    StoreSuspended = "store_suspended",
    /// A backend answers again.
    StoreResumed = "store_resumed",
    /// A stored slot of a risk profile had no open position and was dropped.
    SlotDropped = "slot_dropped",
    /// Candles could not be fetched.
    FeedFailed = "feed_failed",
    /// Candles that closed while the run could not see them are being judged.
    CatchingUp = "catching_up",
    /// A start compared the record of events with the stores.
    Reconciled = "reconciled",
    /// A stored document was lost, and was written again from the record of events.
    StateRebuilt = "state_rebuilt",
    /// A stored document of a signal that has ended was cleared.
    StateCleared = "state_cleared",
    /// The record of events and the store contradict each other, and the trader is stopped until a person decides.
    TraderStopped = "trader_stopped",
    /// A trader that the configuration does not name holds something.
    OrphanFound = "orphan_found",
    /// A person decided what becomes of something that is held.
    StateDecided = "state_decided",
    /// The record of events was damaged, or continues in a new file.
    RecordChanged = "record_changed",
    /// What an earlier file of the record knew of a trader.
    CarriedOver = "carried_over",
}

impl Action {
    /// Whether it begins an order or a position.
    #[must_use]
    pub const fn is_beginning(self) -> bool {
        matches!(self, Self::Scheduled | Self::Opened)
    }

    /// Whether it ends an order or a position for good.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Closed | Self::Cancelled)
    }

    /// Whether something happened to a store. Its line is about the store, not about a trader.
    #[must_use]
    pub const fn is_store_incident(self) -> bool {
        matches!(self, Self::StoreRestarted | Self::StoreSuspended | Self::StoreResumed)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_action_has_a_name_of_its_own_that_reads_back() {
        let names: BTreeSet<&str> = Action::ALL.iter().map(|action| action.name()).collect();
        assert_eq!(names.len(), Action::ALL.len());
        for action in Action::ALL {
            assert_eq!(Action::named(action.name()), Some(*action));
        }
        assert_eq!(Action::named("moved_stop"), None);
    }
}
