//! One connection, which gives up when the time of a call is over.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use rustls::{ClientConnection, StreamOwned};
use sigbox_sdk::persistence::Failure;

use crate::{Server, Tls, look_up::look_up, lost};

/// Bytes to and from a server, plain or within TLS. Every read and write ends by the deadline.
///
/// Nothing is gathered here: write a whole request at once, because each write is a call of the host and a packet.
pub struct Stream {
    socket: Socket,
    deadline: Instant,
}

enum Socket {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Looks the server up, and connects to the first of its addresses that answers.
    ///
    /// # Errors
    /// When there is none, none answers in time, or the operator did not grant it.
    pub fn connect(server: &Server, deadline: Instant) -> Result<Self, Failure> {
        let lost = |error: io::Error| lost("connecting to", server, &error);
        let mut refusal = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in look_up(server, deadline)? {
            match connect(address, left(deadline).map_err(lost)?) {
                Ok(socket) => return Ok(Self { socket: Socket::Plain(socket), deadline }),
                Err(error) => refusal = error,
            }
        }
        Err(lost(refusal))
    }

    /// Goes on within TLS: the certificate must be for the server's host, or for the name that `tls` was given.
    ///
    /// # Errors
    /// When the server does not speak TLS, or is not who it should be.
    pub fn secured(self, tls: &Tls, server: &Server) -> Result<Self, Failure> {
        let Self { socket: Socket::Plain(socket), deadline } = self else { return Ok(self) };
        let mut secured =
            Self { socket: Socket::Tls(Box::new(StreamOwned::new(tls.client(server)?, socket))), deadline };
        // A flush sends nothing of ours, and so completes the handshake.
        secured.flush().map_err(|error| lost("agreeing on TLS with", server, &error))?;
        Ok(secured)
    }

    /// Whether the connection is within TLS.
    #[must_use]
    pub fn is_secured(&self) -> bool {
        matches!(self.socket, Socket::Tls(_))
    }

    /// From now on, reads and writes end by `deadline`.
    pub fn end_by(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    fn tcp(&self) -> &TcpStream {
        match &self.socket {
            Socket::Plain(socket) => socket,
            Socket::Tls(stream) => stream.get_ref(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp().set_read_timeout(Some(left(self.deadline)?))?;
        match &mut self.socket {
            Socket::Plain(socket) => socket.read(buffer),
            Socket::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp().set_write_timeout(Some(left(self.deadline)?))?;
        match &mut self.socket {
            Socket::Plain(socket) => socket.write(bytes),
            Socket::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let left = Some(left(self.deadline)?);
        self.tcp().set_write_timeout(left)?;
        self.tcp().set_read_timeout(left)?;
        match &mut self.socket {
            Socket::Plain(socket) => socket.flush(),
            Socket::Tls(stream) => stream.flush(),
        }
    }
}

fn connect(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, timeout)?;
    // On WASI, a refused connection looks like one until it is asked.
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    // A request is one write, and must not wait for the answer to the one before.
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// How long until the deadline; never zero, which would be for ever.
pub(crate) fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}
