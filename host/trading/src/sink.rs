//! Sinks: they are told what happens in a run.

use std::{
    io::{self, Write},
    time::Duration,
};

use sigbox_engine::{Outcome, signal::Pair, stats::Tally};
use sigbox_events::{Event, EventWriter, Notice};

/// A receiver of what happens in a run, in order.
///
/// `tell` and `sync` can fail. In live trading the sink is the record of what has been announced, and a position is not
/// cleared from its store before its end is in that record (hazard H-14).
pub trait Sink {
    /// One outcome of one trader.
    ///
    /// # Errors
    /// When it could not be recorded.
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()>;

    /// Whether a backtest also tells this sink the ticks at which nothing happened ([`Outcome::is_uneventful`]). Most
    /// outcomes are such ticks.
    fn hears_ticks(&self) -> bool {
        true
    }

    /// Makes everything told so far durable.
    ///
    /// # Errors
    /// When it is not known to be durable.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Every flat trader that was due at `now_ms` has been asked, and everything told until then is recorded.
    fn reached(&mut self, now_ms: i64) {
        let _ = now_ms;
    }

    /// A live run has decided the boundary `now_ms`. `took`: the time from when its candles were there to the last
    /// decision. Answers that come after the patience of the feed are decided later.
    fn decided(&mut self, now_ms: i64, took: Duration) {
        let _ = (now_ms, took);
    }

    /// Something that the host did or noticed at `at_ms`. `pair`: the trader it concerns, if it concerns one.
    fn notice(&mut self, at_ms: i64, pair: Option<&Pair>, notice: &Notice) {
        let _ = (at_ms, pair, notice);
    }
}

/// Tells both sinks, in order.
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

/// Tells the sink, if there is one.
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

/// A sink that ignores everything.
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
