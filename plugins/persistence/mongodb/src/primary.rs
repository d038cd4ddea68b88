//! Who the server is: one that takes writes, and new enough.

use bson::{RawDocument, RawDocumentBuf, cstr, raw::CStr, rawdoc};
use sigbox_sdk::persistence::Failure;
use sigbox_wire::Server;

use crate::connection::{Connection, Trouble, number};

/// `CommandNotFound`.
const NO_SUCH_COMMAND: i32 = 59;

/// MongoDB 4.2: before it, an `_id` has at most 1024 bytes.
const WIRE_VERSION_MIN: i64 = 8;

/// What a server that takes writes said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Primary {
    /// It is one of several that keep the same documents, and so could have been replaced without knowing.
    pub(crate) has_peers: bool,
}

/// Says who we are, and looks at who answers.
pub(crate) fn greet(connection: &mut Connection) -> Result<Primary, Trouble> {
    let answer = match connection.ask("admin", greeting(cstr!("hello"))) {
        // MongoDB before 4.4.2, and what was made after it.
        Err(Trouble::Said(said)) if said.code == NO_SUCH_COMMAND => {
            connection.ask("admin", greeting(cstr!("isMaster")))?
        }
        answer => answer?,
    };
    role(&answer, connection.server()).map_err(Trouble::Refused)
}

/// Whether the server is FerretDB. Its greeting does not say so.
pub(crate) fn is_ferretdb(connection: &mut Connection) -> Result<bool, Trouble> {
    let answer = connection.ask("admin", rawdoc! { "buildInfo": 1 })?;
    for element in &answer {
        // Version 1 has `ferretdbVersion`, version 2 has `ferretdb`.
        if element?.0.as_str().starts_with("ferretdb") {
            return Ok(true);
        }
    }
    Ok(false)
}

fn greeting(command: &CStr) -> RawDocumentBuf {
    let mut greeting = RawDocumentBuf::new();
    greeting.append(command, 1);
    let client = rawdoc! {
        "driver": { "name": "sigbox", "version": env!("CARGO_PKG_VERSION") },
        "os": { "type": "wasi" },
    };
    greeting.append(cstr!("client"), client);
    greeting
}

fn role(answer: &RawDocument, server: &Server) -> Result<Primary, Failure> {
    let is = |name: &str| answer.get_bool(name).unwrap_or(false);
    let text = |name: &str| answer.get_str(name).ok();
    if !is("isWritablePrimary") && !is("ismaster") {
        let of_set = text("setName").map(|name| format!(" of the replica set {name}")).unwrap_or_default();
        let primary = text("primary").map(|primary| format!(", which is {primary}")).unwrap_or_default();
        let message = format!("{server} is not the primary{of_set}{primary}: the url must name all members of the set");
        return Err(Failure::retry("unavailable", message));
    }
    if number(answer, "maxWireVersion").unwrap_or_default() < WIRE_VERSION_MIN {
        return Err(Failure::give_up("unsupported", format!("{server} is older than MongoDB 4.2")));
    }
    Ok(Primary { has_peers: text("setName").is_some() || text("msg") == Some("isdbgrid") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role_of(answer: &RawDocument) -> Result<bool, (String, bool, String)> {
        role(answer, &Server::new("h", 1))
            .map(|primary| primary.has_peers)
            .map_err(|failure| (failure.code, failure.retryable, failure.message))
    }

    #[test]
    fn whoever_takes_writes_is_the_primary() {
        for (answer, has_peers) in [
            (rawdoc! { "isWritablePrimary": true, "maxWireVersion": 21 }, false),
            (rawdoc! { "ismaster": true, "maxWireVersion": 8 }, false),
            (rawdoc! { "isWritablePrimary": true, "maxWireVersion": 21, "setName": "rs0" }, true),
            (rawdoc! { "isWritablePrimary": true, "maxWireVersion": 21, "msg": "isdbgrid" }, true),
        ] {
            assert_eq!(role_of(&answer), Ok(has_peers), "{answer:?}");
        }
    }

    #[test]
    fn whoever_does_not_is_refused() {
        for (answer, code, retryable, message) in [
            (
                rawdoc! { "isWritablePrimary": false, "secondary": true, "setName": "rs0", "primary": "b:27017" },
                "unavailable",
                true,
                "h:1 is not the primary of the replica set rs0, which is b:27017: the url must name all members of the \
                 set",
            ),
            (rawdoc! {}, "unavailable", true, "h:1 is not the primary: the url must name all members of the set"),
            (rawdoc! { "isWritablePrimary": 1 }, "unavailable", true, "h:1 is not the primary"),
            (rawdoc! { "ismaster": true, "maxWireVersion": 7 }, "unsupported", false, "h:1 is older than MongoDB 4.2"),
            (rawdoc! { "ismaster": true }, "unsupported", false, "h:1 is older than MongoDB 4.2"),
        ] {
            let (said_code, said_retryable, said) = role_of(&answer).unwrap_err();
            assert_eq!((said_code.as_str(), said_retryable), (code, retryable), "{answer:?}");
            assert!(said.starts_with(message), "{said}");
        }
    }
}
