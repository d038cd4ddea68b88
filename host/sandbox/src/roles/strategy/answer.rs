//! The answer of a guest, translated for the engine.

use sigbox_engine::{Proposal, Side, trader::Answer};

use crate::{
    PluginError,
    bindings::strategy::exports::sigbox::strategy::guest,
    limits::{ID_BYTES, NOTE_BYTES},
    text::{message, printable},
};

/// What a guest returns. A signal is large; in a box it does not make the answer without a signal large too.
pub(super) type Returned = Result<Option<Box<guest::Signal>>, guest::Failure>;

/// The answer of `strategy`, and whether the strategy asked to be retired for the rest of the run. There is always an
/// answer: whatever goes wrong becomes [`Answer::Failed`].
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

/// What is wrong with the texts of a signal; `None` if nothing is. The engine judges the numbers of the signal.
fn excess(signal: &guest::Signal) -> Option<String> {
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
