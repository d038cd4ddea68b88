//! What the server's errors mean to the host.

use std::{error::Error, io, sync::Arc};

use redis::{ErrorKind, RedisError};
use sigbox_sdk::persistence::Failure;
use sigbox_wire::{Server, lost};

/// Whether the connection is of no use any more: it broke, or nobody knows what comes next on it.
pub(crate) fn died(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Parse) || is_elsewhere(error)
}

/// Whether the server gave up its role. Its name may lead to another one by now.
fn is_elsewhere(error: &RedisError) -> bool {
    matches!(error.code(), Some("READONLY" | "MASTERDOWN"))
}

/// Whether the time of the call is over.
pub(crate) fn is_late(error: &RedisError) -> bool {
    io_error(error).is_some_and(|error| matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock))
}

/// What it means that the server answered `doing` with `error`.
pub(crate) fn refused(doing: &str, server: &Server, error: &RedisError) -> Failure {
    if let Some(error) = io_error(error) {
        return lost(doing, server, error);
    }
    let said = error.detail().unwrap_or_default();
    let message = |advice: &str| {
        let code = error.code().unwrap_or_default();
        format!("{doing} {server}: {code} {said}{advice}")
    };
    match error.code() {
        Some("NOAUTH" | "WRONGPASS") => {
            Failure::give_up("denied", message("; the secrets username and password must be those of a user there"))
        }
        Some("NOPERM") => Failure::give_up("denied", message("; see the permissions in the plugin's README")),
        Some("WRONGTYPE") => Failure::give_up(
            "conflict",
            message("; somebody else uses this key: choose another setting prefix, or another database"),
        ),
        Some("OOM") => Failure::retry("unavailable", message("; the server has no memory left: raise maxmemory")),
        Some("MOVED" | "ASK" | "CROSSSLOT") => Failure::retry(
            "unavailable",
            message("; this is one node of a Redis Cluster, and this backend talks to a single server"),
        ),
        Some("READONLY" | "MASTERDOWN") => Failure::retry("unavailable", message("; the url must lead to the master")),
        Some("LOADING" | "BUSY" | "MISCONF" | "NOREPLICAS" | "CLUSTERDOWN" | "TRYAGAIN" | "UNBLOCKED" | "FAILOVER") => {
            Failure::retry("unavailable", message(""))
        }
        // Before Redis 6, which gave errors their own codes.
        Some("ERR") if said.contains("invalid password") || said.contains("AUTH") => {
            Failure::give_up("denied", message(""))
        }
        Some("ERR") if said.contains("max number of clients") => Failure::retry("unavailable", message("")),
        Some(_) => Failure::give_up("other", message("")),
        None if error.kind() == ErrorKind::Parse => {
            Failure::retry("unavailable", format!("{doing} {server}: what came back is not Redis' protocol: {error}"))
        }
        None => Failure::give_up("other", format!("{doing} {server}: {error}")),
    }
}

/// The crate keeps it shared, and says so in no type.
fn io_error(error: &RedisError) -> Option<&io::Error> {
    error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?.downcast_ref()
}

#[cfg(test)]
mod tests {
    use redis::Parser;

    use super::*;

    /// What becomes of a reply.
    fn failure(reply: &str) -> (Failure, bool) {
        let value = Parser::new().parse_value(reply.as_bytes());
        let error = value.and_then(redis::Value::extract_error).expect_err("it is an error");
        (refused("writing to", &Server::new("h", 1), &error), died(&error))
    }

    #[test]
    fn every_refusal_says_whether_trying_again_helps() {
        for (said, code, retryable, is_dead) in [
            ("NOAUTH Authentication required.", "denied", false, false),
            ("WRONGPASS invalid username-password pair or user is disabled.", "denied", false, false),
            ("ERR invalid password", "denied", false, false),
            ("NOPERM this user has no permissions to run the 'hset' command", "denied", false, false),
            ("WRONGTYPE Operation against a key holding the wrong kind of value", "conflict", false, false),
            ("OOM command not allowed when used memory > 'maxmemory'.", "unavailable", true, false),
            ("MISCONF Redis is configured to save RDB snapshots", "unavailable", true, false),
            ("LOADING Redis is loading the dataset in memory", "unavailable", true, false),
            ("READONLY You can't write against a read only replica.", "unavailable", true, true),
            ("MASTERDOWN Link with MASTER is down", "unavailable", true, true),
            ("MOVED 3999 127.0.0.1:6381", "unavailable", true, false),
            ("CLUSTERDOWN Hash slot not served", "unavailable", true, false),
            ("NOREPLICAS Not enough good replicas to write.", "unavailable", true, false),
            ("ERR max number of clients reached", "unavailable", true, false),
            ("ERR unknown command", "other", false, false),
            ("ERR DB index is out of range", "other", false, false),
        ] {
            let (failure, died) = failure(&format!("-{said}\r\n"));
            assert_eq!((failure.code.as_str(), failure.retryable, died), (code, retryable, is_dead), "{said}");
            assert!(failure.message.starts_with(&format!("writing to h:1: {said}")), "{}", failure.message);
        }
    }

    #[test]
    fn a_connection_that_broke_or_speaks_something_else_is_not_used_again() {
        for (reply, message) in [
            ("", "writing to h:1: the server closed the connection"),
            ("$5\r\nab", "writing to h:1: the server closed the connection"),
            ("HTTP/1.1 400 Bad Request\r\n\r\n", "writing to h:1: what came back is not Redis' protocol: "),
        ] {
            let (failure, died) = failure(reply);
            assert!(died && failure.retryable, "{reply}");
            assert!(failure.message.starts_with(message), "{}", failure.message);
        }
        let late: RedisError = io::Error::from(io::ErrorKind::WouldBlock).into();
        assert!(is_late(&late) && died(&late));
    }
}
