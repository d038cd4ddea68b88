//! Who is told what happened.

use std::{fmt, io, time::Duration};

use sigbox_engine::{Outcome, signal::Pair, stats::Tally};

use crate::store::Incident;

/// Something the host did or met, besides what traders do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A stored document could not be understood. It was moved aside and the trader goes on as flat.
    Quarantined {
        /// What it was.
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
    /// Something happened to a store that it may have got over by itself.
    Store(Incident),
    /// A stored slot of a risk profile belonged to nobody and was dropped.
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
        }
    }
}

/// Is told what happened, in order, once it is durable.
///
/// `tell` and `sync` may fail: in live trading the sink is the record of what has been announced, and a position is not
/// cleared from its store before its end is in that record (hazard H-14).
pub trait Sink {
    /// One outcome of one trader.
    ///
    /// # Errors
    /// When it could not be recorded.
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()>;

    /// Whether a backtest is to tell ticks at which nothing happened, too ([`Outcome::is_uneventful`]): most of what there
    /// is to tell.
    fn hears_ticks(&self) -> bool {
        true
    }

    /// Makes everything told so far durable.
    ///
    /// # Errors
    /// When it is not known to be.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Every trader that is flat has been asked at `now_ms`, if it was due; everything told until then is recorded.
    fn reached(&mut self, now_ms: i64) {
        let _ = now_ms;
    }

    /// A live run is done with `now_ms`: from when its candles were there to its last decision it `took` so long. Answers
    /// that were not waited for are decided later.
    fn decided(&mut self, now_ms: i64, took: Duration) {
        let _ = (now_ms, took);
    }

    /// Something the host did or met at `at_ms`; `pair` when it concerns one trader.
    fn notice(&mut self, at_ms: i64, pair: Option<&Pair>, notice: &Notice) {
        let _ = (at_ms, pair, notice);
    }
}

/// Tells several, in order.
impl<A: Sink, B: Sink> Sink for (A, B) {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        self.0.tell(pair, outcome)?;
        self.1.tell(pair, outcome)
    }

    fn hears_ticks(&self) -> bool {
        self.0.hears_ticks() || self.1.hears_ticks()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()?;
        self.1.sync()
    }

    fn reached(&mut self, now_ms: i64) {
        self.0.reached(now_ms);
        self.1.reached(now_ms);
    }

    fn decided(&mut self, now_ms: i64, took: Duration) {
        self.0.decided(now_ms, took);
        self.1.decided(now_ms, took);
    }

    fn notice(&mut self, at_ms: i64, pair: Option<&Pair>, notice: &Notice) {
        self.0.notice(at_ms, pair, notice);
        self.1.notice(at_ms, pair, notice);
    }
}

/// Tells nobody when there is none.
impl<S: Sink> Sink for Option<S> {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        self.as_mut().map_or(Ok(()), |sink| sink.tell(pair, outcome))
    }

    fn hears_ticks(&self) -> bool {
        self.as_ref().is_some_and(Sink::hears_ticks)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.as_mut().map_or(Ok(()), Sink::sync)
    }

    fn reached(&mut self, now_ms: i64) {
        if let Some(sink) = self {
            sink.reached(now_ms);
        }
    }

    fn decided(&mut self, now_ms: i64, took: Duration) {
        if let Some(sink) = self {
            sink.decided(now_ms, took);
        }
    }

    fn notice(&mut self, at_ms: i64, pair: Option<&Pair>, notice: &Notice) {
        if let Some(sink) = self {
            sink.notice(at_ms, pair, notice);
        }
    }
}

impl<S: Sink + ?Sized> Sink for &mut S {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        (**self).tell(pair, outcome)
    }

    fn hears_ticks(&self) -> bool {
        (**self).hears_ticks()
    }

    fn sync(&mut self) -> io::Result<()> {
        (**self).sync()
    }

    fn reached(&mut self, now_ms: i64) {
        (**self).reached(now_ms);
    }

    fn decided(&mut self, now_ms: i64, took: Duration) {
        (**self).decided(now_ms, took);
    }

    fn notice(&mut self, at_ms: i64, pair: Option<&Pair>, notice: &Notice) {
        (**self).notice(at_ms, pair, notice);
    }
}

/// Adds up what it is told.
impl Sink for Tally {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        self.add(pair, outcome);
        Ok(())
    }

    fn hears_ticks(&self) -> bool {
        false
    }
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silence;

impl Sink for Silence {
    fn tell(&mut self, _: &Pair, _: &Outcome) -> io::Result<()> {
        Ok(())
    }

    fn hears_ticks(&self) -> bool {
        false
    }
}
