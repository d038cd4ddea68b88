//! What a guest says when it is asked, translated for the engine.

use sigbox_engine::{
    Proposal, Side,
    trader::{Answer, Quiet},
};

use super::context::StrategyContext;
use crate::{
    bindings::strategy::sigbox::strategy::answer,
    limits::{ID_BYTES, NOTE_BYTES},
    text::{message, printable, words},
};

/// What a guest has said in answer to a question.
pub(super) enum Said {
    /// A signal is large; the box keeps it out of the way of everything else.
    Trade(Box<answer::Signal>),
    Fail {
        code: String,
        message: String,
        retryable: bool,
    },
    Quiet(Quiet),
}

/// Where a guest is between the host's questions.
#[derive(Default)]
pub(super) enum Turn {
    /// It is not being asked.
    #[default]
    Outside,
    /// It is being asked, and has said nothing.
    Asked,
    /// It is being asked, or was asked, and has said this.
    Answered(Said),
}

impl StrategyContext {
    /// Begins a question at `now_ms`, with a fresh allowance. False: the question before it was answered, so no further
    /// question may be asked before [`end_row`](Self::end_row).
    #[inline]
    pub(super) fn begin_question(&mut self, now_ms: i64) -> bool {
        if matches!(self.turn, Turn::Answered(_)) {
            return false;
        }
        self.end_question();
        self.await_answer();
        self.guest.begin_call(now_ms);
        true
    }

    /// From now on the guest may answer one question. Its time and its allowance are those of the call that asks it.
    pub(super) fn await_answer(&mut self) {
        self.turn = Turn::Asked;
        self.begun += 1;
    }

    /// Ends a row of questions. Returns how many were begun, and what was said to the last of them.
    pub(super) fn end_row(&mut self) -> (usize, Option<Said>) {
        let said = match std::mem::take(&mut self.turn) {
            Turn::Outside | Turn::Asked => None,
            Turn::Answered(said) => Some(said),
        };
        (std::mem::take(&mut self.begun), said)
    }

    /// The guest calls `function`, which it may do only while it is being asked.
    pub(super) fn must_be_asked(&self, function: &str) -> wasmtime::Result<()> {
        match self.turn {
            Turn::Asked | Turn::Answered(_) => Ok(()),
            Turn::Outside => wasmtime::bail!("called {function} although it was not asked"),
        }
    }

    fn say(&mut self, function: &str, said: Said) -> wasmtime::Result<()> {
        match self.turn {
            Turn::Asked => self.turn = Turn::Answered(said),
            Turn::Outside => wasmtime::bail!("called {function} although it was not asked"),
            Turn::Answered(_) => wasmtime::bail!("called {function} although it had answered"),
        }
        Ok(())
    }
}

impl answer::Host for StrategyContext {
    fn trade(&mut self, signal: answer::Signal) -> wasmtime::Result<()> {
        self.say("answer.trade", Said::Trade(Box::new(signal)))
    }

    fn fail(&mut self, code: String, message: String, retryable: bool) -> wasmtime::Result<()> {
        self.say("answer.fail", Said::Fail { code, message, retryable })
    }

    fn quiet(&mut self, until_ms: u64, below: f64, above: f64) -> wasmtime::Result<()> {
        let until_ms = i64::try_from(until_ms).unwrap_or(i64::MAX);
        self.say("answer.quiet", Said::Quiet(Quiet { until_ms, below, above }))
    }
}

/// What `strategy` has said, as the engine's answer, and whether the strategy asked to be retired for the rest of the
/// run.
pub(super) fn understand(strategy: &str, said: Said) -> (Answer, bool) {
    match said {
        Said::Quiet(quiet) => (Answer::Quiet(quiet), false),
        Said::Trade(signal) => match excess(&signal) {
            None => (Answer::Trade(proposal(*signal)), false),
            Some(excess) => (Answer::Failed(format!("plugin {strategy}: get-signal: {excess}")), false),
        },
        Said::Fail { code, message: said, retryable } => {
            let retired = if retryable { "" } else { "; it asked to be retired for the rest of the run" };
            (Answer::Failed(format!("get-signal failed: {}: {}{retired}", message(&code), words(&said))), !retryable)
        }
    }
}
/// What is wrong with the texts of a signal; `None` if nothing is. The engine judges the numbers of the signal.
fn excess(signal: &answer::Signal) -> Option<String> {
    let bounded =
        [("id", &signal.id, ID_BYTES), ("symbol", &signal.symbol, ID_BYTES), ("note", &signal.note, NOTE_BYTES)];
    for (field, text, most) in bounded {
        if let Some(bytes) = text.as_ref().map(String::len).filter(|bytes| *bytes > most) {
            return Some(format!("answered with {bytes} bytes of {field}; at most {most} are accepted"));
        }
    }
    // A note is kept verbatim. The id and the symbol are names, which also stand in log lines and on terminals.
    for (field, text) in [("id", &signal.id), ("symbol", &signal.symbol)] {
        if let Some(text) = text.as_ref().filter(|text| printable(text, ID_BYTES) != **text) {
            return Some(format!("answered with control characters in {field} \"{}\"", printable(text, ID_BYTES)));
        }
    }
    None
}

/// The guest's signal as the engine's type. The engine does not know any field of `extra` yet.
fn proposal(signal: answer::Signal) -> Proposal {
    let answer::Signal {
        id,
        symbol,
        position,
        price_open,
        price_take_profit,
        price_stop_loss,
        minute_estimated_time,
        cost,
        multiplier,
        isolated,
        note,
        extra: _,
    } = signal;
    Proposal {
        id,
        symbol,
        side: match position {
            answer::Position::Long => Side::Long,
            answer::Position::Short => Side::Short,
        },
        price_open,
        price_take_profit,
        price_stop_loss,
        minute_estimated_time,
        cost,
        multiplier,
        isolated,
        note,
    }
}
