//! Notices: what the host did or noticed. What traders do are events.

use std::fmt;

use serde::Serialize;
use sigbox_engine::signal::Pair;

use crate::Action;

/// Something that the host did or noticed. What a trader does is an [`Event`](crate::Event).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A stored document could not be understood. It was moved aside and the trader goes on as flat.
    Quarantined {
        /// Which document it was.
        document: String,
        /// Where it is now.
        moved_to: String,
        /// Why it could not be understood.
        reason: String,
    },
    /// A store does not take writes: the trader opens nothing until it does.
    StoreFailed {
        /// What the store said.
        error: String,
    },
    /// The store answers again and holds what the trader holds.
    StoreRecovered,
    /// An incident of a store, from which the store may have recovered by itself.
    Store(Incident),
    /// A stored slot of a risk profile had no open position and was dropped.
    SlotDropped {
        /// The profile.
        profile: String,
        /// The slot's key.
        key: String,
    },
    /// Candles could not be fetched. What is held is judged on them as soon as they come.
    FeedFailed {
        /// The symbol.
        symbol: String,
        /// What went wrong.
        error: String,
    },
    /// Candles that closed while the run could not see them are being judged now.
    CatchingUp {
        /// How many minutes.
        minutes: i64,
    },
    /// The record of events was compared with the stores.
    Reconciled(Verdict),
    /// A store had lost what is held. It was written again.
    Rebuilt {
        /// What is held.
        held: String,
        /// What the store had.
        found: String,
    },
    /// A store still had something that has ended, as the record of events says. It was cleared.
    Cleared {
        /// What the store had.
        found: String,
        /// Why it has ended.
        reason: String,
    },
    /// The record of events and the store contradict each other, so the trader is stopped.
    Contradiction {
        /// What the record says.
        record: String,
        /// What the store says.
        store: String,
    },
    /// A trader that the configuration does not name holds something.
    Orphan {
        /// What it holds.
        held: String,
        /// Why it is not watched; `None`: it is watched to its end.
        unwatched: Option<String>,
    },
    /// A person decided what becomes of something that is held.
    Decided {
        /// What was decided.
        decision: String,
    },
    /// Something happened to the file of the record.
    Record {
        /// What.
        what: String,
    },
}

/// What a start found when it compared the record of events with the stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Traders that hold a position or an order.
    pub held: usize,
    /// Of those, the ones of which the record and the store said the same.
    pub agreed: usize,
    /// Documents that were lost and were written again from the record.
    pub rebuilt: usize,
    /// Documents of signals that have ended and were cleared.
    pub cleared: usize,
    /// Traders that are stopped, because the record and the store contradict each other.
    pub stopped: usize,
    /// Traders that hold something and that the configuration does not name.
    pub orphans: usize,
}

impl Verdict {
    /// Whether nothing needed a repair or a decision.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.rebuilt == 0 && self.cleared == 0 && self.stopped == 0 && self.orphans == 0
    }

    /// Whether nothing is or was held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.held == 0 && self.is_clean()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { held, agreed, rebuilt, cleared, stopped, orphans } = self;
        write!(
            f,
            "{held} held ({agreed} the same in the event record and the store), {rebuilt} lost by the store and \
             rebuilt, {cleared} ended and cleared, {stopped} stopped, {orphans} not in the configuration"
        )
    }
}

/// Something that an operator should know about a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// The store's name in the configuration.
    pub store: String,
    /// What happened.
    pub kind: IncidentKind,
    /// The details, for people.
    pub message: String,
}

/// What happened to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentKind {
    /// An instance broke down, and another takes its place.
    Restarted,
    /// The store failed several times in a row and is not asked for a while.
    Suspended,
    /// The store answers again.
    Resumed,
}

impl Notice {
    /// The action in its line.
    #[must_use]
    pub const fn action(&self) -> Action {
        match self {
            Self::Quarantined { .. } => Action::StateQuarantined,
            Self::StoreFailed { .. } => Action::StoreFailed,
            Self::StoreRecovered => Action::StoreRecovered,
            Self::Store(Incident { kind: IncidentKind::Restarted, .. }) => Action::StoreRestarted,
            Self::Store(Incident { kind: IncidentKind::Suspended, .. }) => Action::StoreSuspended,
            Self::Store(Incident { kind: IncidentKind::Resumed, .. }) => Action::StoreResumed,
            Self::SlotDropped { .. } => Action::SlotDropped,
            Self::FeedFailed { .. } => Action::FeedFailed,
            Self::CatchingUp { .. } => Action::CatchingUp,
            Self::Reconciled(_) => Action::Reconciled,
            Self::Rebuilt { .. } => Action::StateRebuilt,
            Self::Cleared { .. } => Action::StateCleared,
            Self::Contradiction { .. } => Action::TraderStopped,
            Self::Orphan { .. } => Action::OrphanFound,
            Self::Decided { .. } => Action::StateDecided,
            Self::Record { .. } => Action::RecordChanged,
        }
    }

    /// The notice as one line of JSON, without a line break at the end. The reference has no such lines. `pair`: the
    /// trader it is about, if it is about one.
    #[must_use]
    pub fn to_json(&self, at_ms: i64, pair: Option<&Pair>) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Line<'a> {
            id: String,
            action: Action,
            timestamp: i64,
            #[serde(skip_serializing_if = "Option::is_none")]
            about: Option<String>,
            message: &'a str,
        }
        let about = match self {
            Self::Store(Incident { store, .. }) => Some(store.clone()),
            Self::Quarantined { .. }
            | Self::StoreFailed { .. }
            | Self::StoreRecovered
            | Self::SlotDropped { .. }
            | Self::FeedFailed { .. }
            | Self::CatchingUp { .. }
            | Self::Reconciled(_)
            | Self::Rebuilt { .. }
            | Self::Cleared { .. }
            | Self::Contradiction { .. }
            | Self::Orphan { .. }
            | Self::Decided { .. }
            | Self::Record { .. } => pair.map(ToString::to_string),
        };
        let action = self.action();
        let id = format!("host:{}:{at_ms}:{action}", about.as_deref().unwrap_or_default());
        let line = Line { id, action, timestamp: at_ms, about, message: &self.to_string() };
        serde_json::to_string(&line).expect("a notice is text and a number")
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quarantined { document, moved_to, reason } => {
                write!(f, "{document} cannot be understood ({reason}); it was moved to {moved_to}")
            }
            Self::StoreFailed { error } => write!(f, "nothing is opened until the store answers: {error}"),
            Self::StoreRecovered => f.write_str("the store answers again and holds the newest state"),
            Self::Store(Incident { store, kind, message }) => write!(f, "store {store} {kind}: {message}"),
            Self::SlotDropped { profile, key } => {
                write!(f, "risk profile {profile}: the slot {key} has no open position and was dropped")
            }
            Self::FeedFailed { symbol, error } => write!(f, "candles of {symbol}: {error}"),
            Self::CatchingUp { minutes } => write!(f, "judging {minutes} missed minutes"),
            Self::Reconciled(verdict) => verdict.fmt(f),
            Self::Rebuilt { found, held } => {
                write!(f, "the store has lost {held}: it has {found}. It was written again")
            }
            Self::Cleared { found, reason } => {
                write!(f, "the store still has {found}, but {reason}; it was cleared, and is not judged again")
            }
            Self::Contradiction { record, store } => write!(
                f,
                "stopped: the event record has {record}, and the store has {store}. Find out which is true, and say it \
                 with `sigbox state repair`"
            ),
            Self::Orphan { held, unwatched: None } => write!(
                f,
                "still holds {held}, but is not in the configuration any more; it is watched to its end. `sigbox state \
                 adopt`, `close` or `forget` decide otherwise"
            ),
            Self::Orphan { held, unwatched: Some(why) } => write!(
                f,
                "still holds {held}, but is not in the configuration any more, and nobody watches it: {why}. `sigbox \
                 state adopt`, `close` or `forget` decide what becomes of it"
            ),
            Self::Decided { decision } => f.write_str(decision),
            Self::Record { what } => f.write_str(what),
        }
    }
}

impl fmt::Display for IncidentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restarted => "restarted",
            Self::Suspended => "suspended",
            Self::Resumed => "resumed",
        })
    }
}
