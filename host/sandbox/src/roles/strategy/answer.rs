//! From what a guest answered to what the engine is told.

use sigbox_engine::{Proposal, Side, trader::Answer};

use crate::{
    PluginError,
    bindings::strategy::exports::sigbox::strategy::guest,
    limits::{ID_BYTES, NOTE_BYTES},
    text::{message, printable},
};

/// What a guest returns. A signal is large, and in a box the answer that says "no" is not.
pub(super) type Returned = Result<Option<Box<guest::Signal>>, guest::Failure>;

/// The answer of `strategy`, and whether it asked to be retired for the rest of the run. Whatever the guest did, there is
/// an answer.
pub(super) fn understand(strategy: &str, asked: Result<Returned, PluginError>) -> (Answer, bool) {
    match asked {
        Ok(Ok(None)) => (Answer::Nothing, false),
        Ok(Ok(Some(signal))) => match excess(&signal) {
            None => (Answer::Trade(proposal(*signal)), false),
            Some(excess) => (Answer::Failed(format!("plugin {strategy}: get-signal: {excess}")), false),
        },
        Ok(Err(failure)) => {
            let retired = if failure.retryable { "" } else { "; it asked to be retired for the rest of the run" };
            let (code, message) = (message(&failure.code), message(&failure.message));
            (Answer::Failed(format!("get-signal failed: {code}: {message}{retired}")), !failure.retryable)
        }
        Err(error) => (Answer::Failed(error.to_string()), false),
    }
}

/// What is wrong with the texts of a signal, if anything is; its numbers are judged by the engine.
fn excess(signal: &guest::Signal) -> Option<String> {
    let bounded =
        [("id", &signal.id, ID_BYTES), ("symbol", &signal.symbol, ID_BYTES), ("note", &signal.note, NOTE_BYTES)];
    for (field, text, most) in bounded {
        if let Some(bytes) = text.as_ref().map(String::len).filter(|bytes| *bytes > most) {
            return Some(format!("answered with {bytes} bytes of {field}; at most {most} are accepted"));
        }
    }
    // A note is kept verbatim; the other two name things, in lines of logs and on terminals too.
    for (field, text) in [("id", &signal.id), ("symbol", &signal.symbol)] {
        if let Some(text) = text.as_ref().filter(|text| printable(text, ID_BYTES) != **text) {
            return Some(format!("answered with control characters in {field} \"{}\"", printable(text, ID_BYTES)));
        }
    }
    None
}

/// The guest's signal in the engine's words. `extra` has no fields the engine knows yet.
fn proposal(signal: guest::Signal) -> Proposal {
    let guest::Signal {
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
            guest::Position::Long => Side::Long,
            guest::Position::Short => Side::Short,
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
