//! A way to the server that loses what comes back.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// What happens to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The server has answered, and the connection breaks.
    AnswerLost,
    /// The connection breaks after the headers and some of the body.
    AnswerCut,
}

/// Listens at a port of its own and passes on what it hears, until its process ends.
pub(super) struct Relay {
    port: u16,
    faults: Faults,
}

/// What happens to the next answers, and to how many.
type Faults = Arc<Mutex<Option<(Fault, usize)>>>;

/// Bytes of an answer that is cut: its headers and some of its body.
const CUT_BYTES: usize = 2048;

impl Relay {
    pub(super) fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
        let port = listener.local_addr().expect("it is bound").port();
        let faults = Faults::default();
        let of_connections = Arc::clone(&faults);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                pass_on(client, server, Arc::clone(&of_connections));
            }
        });
        Self { port, faults }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// What happens to the next answers.
    pub(super) fn fail(&self, fault: Fault, times: usize) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = Some((fault, times));
    }
}

fn pass_on(client: TcpStream, server: TcpStream, faults: Faults) {
    let (mut from_client, mut to_server) =
        (client.try_clone().expect("it can be shared"), server.try_clone().expect("it can be shared"));
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    thread::spawn(move || answer(client, server, &faults));
}

/// An answer is what arrives at once: the servers here write small ones so, and large ones only get cut.
fn answer(mut client: TcpStream, mut server: TcpStream, faults: &Faults) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(length @ 1..) = server.read(&mut bytes) {
        let fault = next(faults, &bytes[..length]);
        let passed = match fault {
            None => length,
            Some(Fault::AnswerLost) => 0,
            Some(Fault::AnswerCut) => length.min(CUT_BYTES),
        };
        if client.write_all(&bytes[..passed]).is_err() || fault.is_some() {
            break;
        }
    }
    for stream in [client, server] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// What happens to an answer that starts with `bytes`; nothing to what is the rest of one.
fn next(faults: &Faults, bytes: &[u8]) -> Option<Fault> {
    if !bytes.starts_with(b"HTTP/1.1 ") {
        return None;
    }
    let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
    let (fault, left) = faults.take()?;
    if left > 1 {
        *faults = Some((fault, left - 1));
    }
    Some(fault)
}
