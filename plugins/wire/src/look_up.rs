//! The addresses of a server's name, looked up within the time of a call.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use sigbox_sdk::persistence::Failure;

use crate::{
    Server,
    failure::{PAUSE_MS, must_list},
    stream::left,
};

/// The server's addresses, at least one.
///
/// # Errors
/// When its name has none, when no name server answers by `deadline`, or when the operator did not grant the name.
pub(crate) fn look_up(server: &Server, deadline: Instant) -> Result<Vec<SocketAddr>, Failure> {
    look_up_by(addresses, server, deadline)
}

fn look_up_by(
    ask: impl FnOnce(&str, Instant) -> io::Result<Vec<IpAddr>>,
    server: &Server,
    deadline: Instant,
) -> Result<Vec<SocketAddr>, Failure> {
    // An address is no name, and nobody has to be asked.
    let found = match server.host().parse() {
        Ok(address) => Ok(vec![address]),
        Err(_) => ask(server.host(), deadline),
    };
    match found {
        Ok(addresses) if addresses.is_empty() => Err(refused(server, &io::ErrorKind::NotFound.into())),
        Ok(addresses) => Ok(addresses.into_iter().map(|address| SocketAddr::new(address, server.port())).collect()),
        Err(error) => Err(refused(server, &error)),
    }
}

/// What it means that the look-up ended in `error`.
fn refused(server: &Server, error: &io::Error) -> Failure {
    let host = server.host();
    let message = |why: &str| format!("cannot look up {host}, the host of {server}: {why}");
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Failure::give_up("denied", message(&format!("permission denied; {}", must_list(server))))
        }
        io::ErrorKind::TimedOut => {
            let why = "no name server answered in time (setting timeout-ms); check the name servers of this machine";
            // Not at once: this call has used up its time.
            Failure { retry_after_ms: Some(PAUSE_MS), ..Failure::retry("unavailable", message(why)) }
        }
        io::ErrorKind::NotFound => {
            Failure::retry("unavailable", message("the name has no address; is it spelt right?"))
        }
        _ => Failure::retry("unavailable", message(&error.to_string())),
    }
}

/// Asks the host, which would let us wait for as long as its name servers take. So the wait is ours.
#[cfg(target_os = "wasi")]
fn addresses(name: &str, deadline: Instant) -> io::Result<Vec<IpAddr>> {
    use wasip2::{
        clocks::monotonic_clock::subscribe_duration,
        io::poll::poll,
        sockets::{
            instance_network::instance_network,
            ip_name_lookup::resolve_addresses,
            network::{ErrorCode, IpAddress},
        },
    };

    let failed = |code: ErrorCode| match code {
        ErrorCode::AccessDenied => io::ErrorKind::PermissionDenied.into(),
        ErrorCode::NameUnresolvable | ErrorCode::InvalidArgument => io::ErrorKind::NotFound.into(),
        ErrorCode::Timeout => io::ErrorKind::TimedOut.into(),
        ErrorCode::TemporaryResolverFailure => io::Error::other("its name servers fail for now"),
        code => io::Error::other(format!("its name servers fail: {code}")),
    };
    let answers = resolve_addresses(&instance_network(), name).map_err(failed)?;
    let mut found = Vec::new();
    loop {
        match answers.resolve_next_address() {
            Ok(Some(IpAddress::Ipv4((a, b, c, d)))) => found.push(IpAddr::from([a, b, c, d])),
            Ok(Some(IpAddress::Ipv6(parts))) => found.push(IpAddr::from(<[u16; 8]>::from(parts))),
            Ok(None) => return Ok(found),
            Err(ErrorCode::WouldBlock) => {
                let left = u64::try_from(left(deadline)?.as_nanos()).unwrap_or(u64::MAX);
                poll(&[&answers.subscribe(), &subscribe_duration(left)]);
            }
            Err(code) => return Err(failed(code)),
        }
    }
}

/// Asks the system, on a thread that may wait longer than we do.
#[cfg(not(target_os = "wasi"))]
fn addresses(name: &str, deadline: Instant) -> io::Result<Vec<IpAddr>> {
    use std::{net::ToSocketAddrs as _, sync::mpsc, thread};

    let (answer, answered) = mpsc::channel();
    let name = name.to_owned();
    thread::spawn(move || {
        let found = (name.as_str(), 0).to_socket_addrs();
        // Nobody may listen any more.
        let _ = answer.send(found.map(|found| found.map(|address| address.ip()).collect()));
    });
    answered.recv_timeout(left(deadline)?).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(4)
    }

    fn ends_in(error: io::ErrorKind) -> Failure {
        look_up_by(|_, _| Err(error.into()), &Server::new("db.example", 6379), soon()).unwrap_err()
    }

    #[test]
    fn an_address_is_not_looked_up() {
        for (host, address) in [("127.0.0.1", "127.0.0.1:7"), ("[::1]", "[::1]:7")] {
            let found = look_up_by(|_, _| panic!("nobody is asked"), &Server::new(host, 7), soon()).unwrap();
            assert_eq!(found, [address.parse().unwrap()]);
        }
    }

    #[test]
    fn a_name_is_looked_up() {
        assert!(look_up(&Server::new("localhost", 7), soon()).unwrap().iter().all(|found| found.ip().is_loopback()));
    }

    #[test]
    fn what_goes_wrong_names_the_host_and_the_look_up() {
        for (error, code, retryable, words) in [
            (io::ErrorKind::TimedOut, "unavailable", true, "no name server answered in time (setting timeout-ms)"),
            (io::ErrorKind::NotFound, "unavailable", true, "the name has no address"),
            (io::ErrorKind::PermissionDenied, "denied", false, "the store's network must list \"db.example:6379\""),
        ] {
            let failure = ends_in(error);
            assert_eq!((failure.code.as_str(), failure.retryable), (code, retryable), "{}", failure.message);
            let message = "cannot look up db.example, the host of db.example:6379: ";
            assert!(failure.message.starts_with(message) && failure.message.contains(words), "{}", failure.message);
        }
        assert_eq!(ends_in(io::ErrorKind::TimedOut).retry_after_ms, Some(PAUSE_MS));
        let nothing = look_up_by(|_, _| Ok(Vec::new()), &Server::new("db.example", 1), soon()).unwrap_err();
        assert!(nothing.message.contains("has no address"), "{}", nothing.message);
    }
}
