//! What the server's errors mean to the host.

use std::io;

use sigbox_sdk::persistence::Failure;
use sigbox_wire::{Server, lost};

use crate::connection::{Complaint, Trouble};

/// What a server says that takes no changes: to a change, and to a read, which asks for a transaction that could change
/// something.
const STANDBY: [&str; 2] = ["25006", "0A000"];

/// Whether the connection is of no use any more.
pub(crate) fn died(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Lost(_) => true,
        // A standby's name may lead to the primary by now.
        Trouble::Said(said) => said.is_fatal || STANDBY.contains(&said.code.as_str()),
        Trouble::Refused(_) => false,
    }
}

/// Whether the time of the call is over.
pub(crate) fn is_late(trouble: &Trouble) -> bool {
    let Trouble::Lost(error) = trouble else { return false };
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

/// What it means that `doing` ended in `trouble`.
pub(crate) fn refused(doing: &str, server: &Server, trouble: Trouble) -> Failure {
    let Complaint { code, message, .. } = match trouble {
        Trouble::Lost(error) => return lost(doing, server, &error),
        Trouble::Refused(failure) => return failure,
        Trouble::Said(complaint) => complaint,
    };
    let said = |advice: &str| format!("{doing} {server}: {message} (SQLSTATE {code}){advice}");
    match (code.get(..2).unwrap_or_default(), code.as_str()) {
        ("28", _) => Failure::give_up(
            "denied",
            said("; the url's user and the secret password must be those of a role there, and pg_hba.conf let it in"),
        ),
        (_, "42501") => Failure::give_up("denied", said("; see the permissions in the plugin's README")),
        ("XX", "XX001" | "XX002") => Failure::give_up("corrupt", said("")),
        (_, "54000") => Failure::give_up("too-large", said("")),
        (_, code) if STANDBY.contains(&code) => {
            Failure::retry("unavailable", said("; the url must lead to the primary"))
        }
        // Made anew behind the back of a run, it would look as if nothing had ever been written.
        (_, "42P01") => Failure::give_up("corrupt", said("; bring the table back, or start anew")),
        (_, "53100") => Failure::retry("unavailable", said("; its disk is full")),
        // Connections, resources, conflicts that a repetition solves, interventions of an operator, its disk.
        ("08" | "53" | "40" | "57" | "58", _) | (_, "55P03") => Failure::retry("unavailable", said("")),
        _ => Failure::give_up("other", said("")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_says_whether_trying_again_helps() {
        for (state, code, retryable) in [
            ("28P01", "denied", false),
            ("28000", "denied", false),
            ("42501", "denied", false),
            ("3D000", "other", false),
            ("42P01", "corrupt", false),
            ("XX001", "corrupt", false),
            ("54000", "too-large", false),
            ("25006", "unavailable", true),
            ("0A000", "unavailable", true),
            ("08P01", "unavailable", true),
            ("53100", "unavailable", true),
            ("53300", "unavailable", true),
            ("57P01", "unavailable", true),
            ("57P03", "unavailable", true),
            ("57014", "unavailable", true),
            ("40001", "unavailable", true),
            ("55P03", "unavailable", true),
            ("08006", "unavailable", true),
            ("58030", "unavailable", true),
        ] {
            let complaint = Complaint { code: state.to_owned(), message: "no".to_owned(), is_fatal: false };
            let failure = refused("writing to", &Server::new("h", 1), Trouble::Said(complaint));
            assert_eq!((failure.code.as_str(), failure.retryable), (code, retryable), "{state}");
            assert!(failure.message.starts_with(&format!("writing to h:1: no (SQLSTATE {state})")));
        }
    }
}
