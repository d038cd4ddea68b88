//! What a broken connection or a bad setting means to the host.

use std::{error::Error, io};

use sigbox_sdk::persistence::Failure;

use crate::Server;

/// How long a server that does not answer is left alone.
pub(crate) const PAUSE_MS: u32 = 1000;

/// The operator has to change something.
#[must_use]
pub fn bad_setting(message: &str) -> Failure {
    Failure::give_up("other", message)
}

/// What it means that `doing` something with the server ended in `error`.
#[must_use]
pub fn lost(doing: &str, server: &Server, error: &io::Error) -> Failure {
    if let Some(error) = tls_error(error) {
        let message = format!("{doing} {server}: TLS: {error}");
        return match error {
            // Whoever answers is not who it should be. A retry would find the same certificate.
            rustls::Error::InvalidCertificate(_) => Failure::give_up("denied", message),
            _ => Failure::retry("unavailable", message),
        };
    }
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Failure::give_up("denied", format!("{doing} {server}: {error}; {}", must_list(server)))
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            let message = format!("{doing} {server}: no answer in time (setting timeout-ms)");
            // Not at once: this call has used up its time.
            Failure { retry_after_ms: Some(PAUSE_MS), ..Failure::retry("unavailable", message) }
        }
        io::ErrorKind::UnexpectedEof => {
            Failure::retry("unavailable", format!("{doing} {server}: the server closed the connection"))
        }
        _ => Failure::retry("unavailable", format!("{doing} {server}: {error}")),
    }
}

/// What the operator did not grant.
pub(crate) fn must_list(server: &Server) -> String {
    format!("the store's network must list \"{server}\"")
}

/// rustls hands its errors on inside those of the socket.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| (inner as &(dyn Error + 'static)).downcast_ref())
}

#[cfg(test)]
mod tests {
    use rustls::CertificateError;

    use super::*;

    #[test]
    fn what_is_lost_says_whether_trying_again_helps() {
        let server = Server::new("db.example", 6379);
        let check = |error: io::Error, code: &str, retryable: bool, message: &str| {
            let failure = lost("writing to", &server, &error);
            assert_eq!((failure.code.as_str(), failure.retryable), (code, retryable), "{}", failure.message);
            assert_eq!(failure.message, format!("writing to db.example:6379: {message}"));
        };
        let certificate = rustls::Error::InvalidCertificate(CertificateError::Expired);
        check(io::Error::other(certificate), "denied", false, "TLS: invalid peer certificate: Expired");
        check(
            io::ErrorKind::PermissionDenied.into(),
            "denied",
            false,
            "permission denied; the store's network must list \"db.example:6379\"",
        );
        for kind in [io::ErrorKind::TimedOut, io::ErrorKind::WouldBlock] {
            check(kind.into(), "unavailable", true, "no answer in time (setting timeout-ms)");
        }
        check(io::ErrorKind::UnexpectedEof.into(), "unavailable", true, "the server closed the connection");
        check(io::ErrorKind::ConnectionRefused.into(), "unavailable", true, "connection refused");
    }
}
