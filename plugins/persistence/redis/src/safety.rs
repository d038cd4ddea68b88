//! What the server does with a write before it answers, as far as it says so.

use sigbox_sdk::persistence::Failure;
use sigbox_wire::{Server, bad_setting};

/// What the server keeps when it crashes, from little to much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Durability {
    /// What was in its last snapshot, or nothing.
    Snapshots,
    /// All; when the machine crashes, what the operating system had written by then.
    Eventually,
    /// All; when the machine crashes, all but the last second.
    EverySecond,
    /// All.
    Always,
}

/// Looks at `info`, the reply to INFO, and `fsync`, the setting appendfsync, either of which the server may keep to
/// itself. Says what the operator should know.
///
/// # Errors
/// When the server cannot keep the contract, or not what was required of it.
pub(crate) fn check(
    server: &Server,
    info: Option<&str>,
    fsync: Option<&str>,
    required: Durability,
) -> Result<Option<String>, Failure> {
    if let Some(info) = info {
        if field(info, "role") == Some("slave") {
            let message = format!("{server} is a replica, where reads may be old: the url must lead to the master");
            return Err(Failure::retry("unavailable", message));
        }
        let policy = field(info, "maxmemory_policy").unwrap_or_default();
        if policy.starts_with("allkeys") && field(info, "maxmemory") != Some("0") {
            let message = format!(
                "{server} may forget any document to make room (maxmemory-policy {policy}), and a forgotten position \
                 looks closed: set maxmemory-policy noeviction"
            );
            return Err(Failure::give_up("unsupported", message));
        }
    }
    let found = durability(info, fsync);
    if required > Durability::Snapshots && found.is_none_or(|found| found < required) {
        let found = found.map_or("it does not say what it does", |found| lost(found).unwrap_or_default());
        let problem = format!("setting require-appendonly asks for more than {server} gives: {found}");
        return Err(bad_setting(&problem));
    }
    Ok(match found {
        None => Some(format!(
            "{server} does not say whether it keeps an append-only file (the user may not run INFO or CONFIG GET): \
             see to it that it has appendonly yes"
        )),
        Some(found) => lost(found).map(|lost| format!("{server}: {lost}")),
    })
}

/// None: the server does not say.
fn durability(info: Option<&str>, fsync: Option<&str>) -> Option<Durability> {
    match (field(info?, "aof_enabled")?, fsync) {
        ("0", _) => Some(Durability::Snapshots),
        (_, Some("always")) => Some(Durability::Always),
        (_, Some("everysec")) => Some(Durability::EverySecond),
        (_, Some("no")) => Some(Durability::Eventually),
        _ => None,
    }
}

/// What a crash takes with it, and what to do against that.
fn lost(durability: Durability) -> Option<&'static str> {
    match durability {
        Durability::Snapshots => Some(
            "no append-only file, so a crash of the server loses every write since its last snapshot; set appendonly \
             yes and appendfsync always",
        ),
        Durability::Eventually => Some(
            "appendfsync no, so a crash of its machine loses what the operating system had not written yet; set \
             appendfsync always",
        ),
        Durability::EverySecond => Some(
            "appendfsync everysec, so a crash of its machine loses about the last second of writes; set appendfsync \
             always to lose none",
        ),
        Durability::Always => None,
    }
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(role: &str, maxmemory: &str, policy: &str, aof: &str) -> String {
        format!(
            "# Memory\r\nmaxmemory:{maxmemory}\r\nmaxmemory_human:0B\r\nmaxmemory_policy:{policy}\r\n# \
             Persistence\r\naof_enabled:{aof}\r\n# Replication\r\nrole:{role}\r\n"
        )
    }

    fn said(info: Option<&str>, fsync: Option<&str>, required: Durability) -> Result<Option<String>, (String, bool)> {
        check(&Server::new("h", 1), info, fsync, required).map_err(|failure| (failure.message, failure.retryable))
    }

    #[test]
    fn what_a_crash_takes_with_it_is_said() {
        let with = info("master", "0", "noeviction", "1");
        let without = info("master", "0", "noeviction", "0");
        for (info, fsync, expected) in [
            (Some(&without), Some("always"), Some("h:1: no append-only file,")),
            (Some(&with), Some("no"), Some("h:1: appendfsync no,")),
            (Some(&with), Some("everysec"), Some("h:1: appendfsync everysec,")),
            (Some(&with), Some("always"), None),
            (Some(&with), None, Some("h:1 does not say")),
            (None, Some("always"), Some("h:1 does not say")),
        ] {
            let warning = said(info.map(String::as_str), fsync, Durability::Snapshots).unwrap();
            let warning = warning.as_deref();
            assert_eq!(warning.is_some(), expected.is_some(), "{warning:?}");
            assert!(warning.unwrap_or_default().starts_with(expected.unwrap_or_default()), "{warning:?}");
        }
    }

    #[test]
    fn what_is_required_must_be_there() {
        let with = info("master", "0", "noeviction", "1");
        assert!(said(Some(&with), Some("always"), Durability::Always).is_ok());
        assert!(said(Some(&with), Some("always"), Durability::EverySecond).is_ok());
        assert!(said(Some(&with), Some("everysec"), Durability::EverySecond).is_ok());
        for (info, fsync) in [(Some(with.as_str()), Some("everysec")), (Some(with.as_str()), None), (None, None)] {
            let (message, retryable) = said(info, fsync, Durability::Always).unwrap_err();
            assert!(message.starts_with("setting require-appendonly asks for more than h:1 gives: "), "{message}");
            assert!(!retryable);
        }
    }

    #[test]
    fn a_server_that_forgets_or_lags_is_refused() {
        let replica = info("slave", "0", "noeviction", "1");
        let (message, retryable) = said(Some(&replica), Some("always"), Durability::Snapshots).unwrap_err();
        assert!(retryable && message.starts_with("h:1 is a replica"), "{message}");
        for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random"] {
            let forgets = info("master", "1000", policy, "1");
            let (message, retryable) = said(Some(&forgets), Some("always"), Durability::Snapshots).unwrap_err();
            assert!(!retryable && message.contains(policy), "{message}");
            let unbounded = info("master", "0", policy, "1");
            assert!(said(Some(&unbounded), Some("always"), Durability::Snapshots).is_ok());
        }
        // Documents have no time to live.
        let volatile = info("master", "1000", "volatile-lru", "1");
        assert!(said(Some(&volatile), Some("always"), Durability::Snapshots).is_ok());
    }
}
