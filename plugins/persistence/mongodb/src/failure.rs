//! What the server's errors mean to the host.

use std::io;

use sigbox_sdk::persistence::Failure;
use sigbox_wire::{Server, lost};

use crate::connection::{Complaint, Trouble};

/// Somebody else made the row between the server's look and its insert: the next try finds it.
const DUPLICATE_KEY: i32 = 11000;

/// Whether the connection is of no use any more.
pub(crate) fn died(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Lost(_) => true,
        Trouble::Said(said) => is_elsewhere(said.code),
        Trouble::Refused(_) => false,
    }
}

/// Whether the server gives up its role, or itself. Another one takes its place.
fn is_elsewhere(code: i32) -> bool {
    // ShutdownInProgress, PrimarySteppedDown, NotWritablePrimary under its names, InterruptedAtShutdown,
    // InterruptedDueToReplStateChange.
    matches!(code, 91 | 189 | 10058 | 10107 | 11600 | 11602 | 13435 | 13436)
}

/// Whether the time of the call is over.
pub(crate) fn is_late(trouble: &Trouble) -> bool {
    let Trouble::Lost(error) = trouble else { return false };
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

/// Whether the same row was made twice at the same time.
pub(crate) fn is_race(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Said(said) if said.code == DUPLICATE_KEY)
}

/// What it means that `doing` ended in `trouble`.
pub(crate) fn refused(doing: &str, server: &Server, trouble: Trouble) -> Failure {
    let Complaint { code, message, is_done_there } = match trouble {
        Trouble::Lost(error) => return lost(doing, server, &error),
        Trouble::Refused(failure) => return failure,
        Trouble::Said(complaint) => complaint,
    };
    let said = |advice: &str| format!("{doing} {server}: {message} (code {code}){advice}");
    if is_done_there {
        let advice = "; it is done there, but not known to be done by a majority, so it may be lost or kept";
        return Failure::retry("unavailable", said(advice));
    }
    match code {
        // UserNotFound, AuthenticationFailed, MechanismUnavailable, and what Atlas says instead.
        11 | 18 | 334 | 8000 => Failure::give_up(
            "denied",
            said("; the url's user, the secret password and the setting auth-database must be those of a user there"),
        ),
        // Unauthorized.
        13 => Failure::give_up("denied", said("; see the permissions in the plugin's README")),
        // BSONObjectTooLarge, KeyTooLong, and a row that is too large with what is around it.
        10334 | 17280 | 17419 | 17420 => Failure::give_up("too-large", said("")),
        _ if is_elsewhere(code) => Failure::retry("unavailable", said("")),
        // OutOfDiskSpace.
        14031 => Failure::retry("unavailable", said("; its disk is full")),
        // MaxTimeMSExpired.
        50 => Failure::retry("unavailable", said("; the server was slower than the setting timeout-ms allows")),
        // Hosts, networks, locks, conflicts, limits of time, elections, write concerns that cannot be met now, a
        // majority that is not known yet, a sharded cluster that moves, a server that is busy; and the race.
        6 | 7 | 24 | 46 | 64 | 79 | 89 | 100 | 112 | 133 | 134 | 146 | 202 | 234 | 262 | 365 | 384 | 9001 | 13388
        | DUPLICATE_KEY => Failure::retry("unavailable", said("")),
        _ => Failure::give_up("other", said("")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_says_whether_trying_again_helps() {
        for (number, code, retryable, is_dead) in [
            (18, "denied", false, false),
            (11, "denied", false, false),
            (334, "denied", false, false),
            (8000, "denied", false, false),
            (13, "denied", false, false),
            (10334, "too-large", false, false),
            (17280, "too-large", false, false),
            (10107, "unavailable", true, true),
            (13435, "unavailable", true, true),
            (13436, "unavailable", true, true),
            (189, "unavailable", true, true),
            (91, "unavailable", true, true),
            (11600, "unavailable", true, true),
            (11602, "unavailable", true, true),
            (14031, "unavailable", true, false),
            (50, "unavailable", true, false),
            (64, "unavailable", true, false),
            (112, "unavailable", true, false),
            (11000, "unavailable", true, false),
            (9, "other", false, false),
            (121, "other", false, false),
            (0, "other", false, false),
        ] {
            let said = Trouble::Said(Complaint { code: number, message: "no".to_owned(), is_done_there: false });
            assert_eq!(died(&said), is_dead, "{number}");
            let failure = refused("writing to", &Server::new("h", 1), said);
            assert_eq!((failure.code.as_str(), failure.retryable), (code, retryable), "{number}");
            assert!(failure.message.starts_with(&format!("writing to h:1: no (code {number})")), "{}", failure.message);
        }
    }

    #[test]
    fn what_a_majority_does_not_have_is_not_said_to_be_kept() {
        // UnknownReplWriteConcern would be for ever, WriteConcernFailed is not: the document is there in both cases.
        for (code, is_dead) in [(64, false), (79, false), (9, false), (189, true)] {
            let said = Trouble::Said(Complaint { code, message: "no".to_owned(), is_done_there: true });
            assert_eq!(died(&said), is_dead, "{code}");
            let failure = refused("writing to", &Server::new("h", 1), said);
            assert!(failure.retryable && failure.message.contains("may be lost or kept"), "{}", failure.message);
        }
    }
}
