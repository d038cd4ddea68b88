//! Who is told what happened.

use std::{
    io::{self, Write},
    time::Duration,
};

use sigbox_engine::{Outcome, signal::Pair, stats::Tally};
use sigbox_events::{Event, EventWriter, Notice};

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

/// Writes the events, without the ticks. The first failure is returned by [`EventWriter::finish`].
impl<W: Write> Sink for EventWriter<W> {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        if let Some(event) = Event::of(pair, outcome) {
            self.write(&event);
        }
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
