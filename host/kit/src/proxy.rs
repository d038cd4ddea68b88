//! A TCP proxy on loopback. It stands in front of a server and behaves like servers and networks that fail.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

/// What a proxy does with the bytes that arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    /// The bytes go through.
    Pass,
    /// Each chunk from the server arrives later by this time.
    Late(Duration),
    /// Connections can be made, but nothing goes through until the next order.
    Stalled,
    /// This many more bytes go through in one direction. Then every connection ends, and new ones end as soon as they
    /// are made.
    CutAfter(Way, usize),
    /// Every connection ends, and new ones end as soon as they are made.
    Ended,
    /// Every connection ends and new ones are refused, as if no server were running.
    Refused,
}

/// A direction of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    ToServer,
    ToClient,
}

/// Connections that can wait to be accepted; more than a backend makes.
const BACKLOG: u32 = 64;

/// Bytes that are read, delayed and passed on at once.
const CHUNK_BYTES: usize = 16 << 10;

/// One proxy. It ends when this value is dropped.
pub(super) struct Proxy {
    port: u16,
    state: Arc<watch::Sender<State>>,
    orders: mpsc::Sender<(Traffic, oneshot::Sender<()>)>,
    serving: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    traffic: Traffic,
    /// Every connection ends when this number changes.
    generation: u64,
    was_cut: bool,
}

impl Proxy {
    /// Starts a proxy in front of `server`, a host and a port. It listens on IPv6 if `server` begins with `[::1]:`,
    /// else on IPv4.
    pub(super) fn start(server: &str) -> io::Result<Self> {
        let address: IpAddr =
            if server.starts_with("[::1]:") { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
        let place = Place::take(address)?;
        let listener = place.listen()?;
        let (orders, received) = mpsc::channel(1);
        let (state, _) = watch::channel(State { traffic: Traffic::Pass, generation: 0, was_cut: false });
        let state = Arc::new(state);
        let port = place.address.port();
        let serving = tokio::spawn(serve(place, listener, server.to_owned(), received, Arc::clone(&state)));
        Ok(Self { port, state, orders, serving })
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// Orders what the proxy does with bytes from now on. The order is in force when this returns.
    pub(super) async fn order(&self, traffic: Traffic) {
        let (done, is_done) = oneshot::channel();
        // Both fail only when the proxy has ended, and then nothing goes through.
        let _ = self.orders.send((traffic, done)).await;
        let _ = is_done.await;
    }

    /// Ends every connection. New ones can be made at once.
    pub(super) fn cut(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }

    /// Whether [`Traffic::CutAfter`] has cut the connections since it was ordered.
    pub(super) fn was_cut(&self) -> bool {
        self.state.borrow().was_cut
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A port that stays reserved for the proxy while the proxy does not listen on it.
struct Place {
    address: SocketAddr,
    _taken: TcpSocket,
}

impl Place {
    fn take(address: IpAddr) -> io::Result<Self> {
        let socket = socket(SocketAddr::new(address, 0))?;
        Ok(Self { address: socket.local_addr()?, _taken: socket })
    }

    fn listen(&self) -> io::Result<TcpListener> {
        socket(self.address)?.listen(BACKLOG)
    }
}

/// A socket that is bound but does not listen. Other sockets can be bound to the same address.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    #[cfg(unix)]
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn serve(
    place: Place,
    listener: TcpListener,
    server: String,
    mut orders: mpsc::Receiver<(Traffic, oneshot::Sender<()>)>,
    state: Arc<watch::Sender<State>>,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some((traffic, done)) = order else { return };
                if traffic == Traffic::Refused {
                    listener = None;
                } else if listener.is_none() {
                    listener = place.listen().ok();
                }
                state.send_modify(|state| {
                    state.traffic = traffic;
                    state.was_cut = false;
                    state.generation += u64::from(matches!(traffic, Traffic::Refused | Traffic::Ended));
                });
                let _ = done.send(());
            }
            client = accept(listener.as_ref()) => {
                // The state is read here, not when the task first runs, so that an order that comes in between ends
                // this connection too.
                let State { traffic, generation, .. } = *state.borrow();
                if traffic != Traffic::Ended {
                    connections.spawn(connect(client, server.clone(), generation, Arc::clone(&state)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    loop {
        match listener {
            Some(listener) => {
                if let Ok((client, _)) = listener.accept().await {
                    return client;
                }
            }
            None => std::future::pending().await,
        }
    }
}

async fn connect(client: TcpStream, server: String, born: u64, state: Arc<watch::Sender<State>>) {
    let mut current = state.subscribe();
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (_, _) = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let both = async {
        tokio::join!(
            pump(from_client, to_server, Way::ToServer, &state),
            pump(from_server, to_client, Way::ToClient, &state)
        )
    };
    // Dropping the halves ends the connection on both sides.
    tokio::select! {
        _ = both => {}
        _ = current.wait_for(|state| state.generation != born) => {}
    }
}

/// Carries the bytes of one direction until its source ends. When the whole connection ends, the caller drops this.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Way, state: &watch::Sender<State>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut current = state.subscribe();
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        let passing = loop {
            let traffic = current.borrow_and_update().traffic;
            match traffic {
                Traffic::Pass => break count,
                Traffic::Late(delay) => {
                    if way == Way::ToClient {
                        sleep(delay).await;
                    }
                    break count;
                }
                Traffic::Stalled | Traffic::Refused | Traffic::Ended => {
                    if current.changed().await.is_err() {
                        return;
                    }
                }
                Traffic::CutAfter(cut, _) if cut != way => break count,
                Traffic::CutAfter(..) => break allowed(state, count),
            }
        };
        if to.write_all(&buffer[..passing]).await.is_err() {
            break;
        }
        if passing < count {
            state.send_modify(|state| {
                state.traffic = Traffic::Ended;
                state.was_cut = true;
                state.generation += 1;
            });
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// How many of `count` bytes may still pass. They are taken off the number that is left.
fn allowed(state: &watch::Sender<State>, count: usize) -> usize {
    let mut allowed = count;
    state.send_if_modified(|state| {
        if let Traffic::CutAfter(way, left) = state.traffic {
            allowed = count.min(left);
            state.traffic = Traffic::CutAfter(way, left - allowed);
        }
        false
    });
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each byte with the next higher one.
    async fn server() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while let Ok(byte) = client.read_u8().await {
                        if client.write_u8(byte + 1).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    async fn client(proxy: &Proxy) -> io::Result<TcpStream> {
        TcpStream::connect(("127.0.0.1", proxy.port())).await
    }

    async fn ask(client: &mut TcpStream, byte: u8) -> io::Result<u8> {
        client.write_u8(byte).await?;
        client.read_u8().await
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_and_a_cut_ends_what_is_open() {
        let proxy = Proxy::start(&server().await).unwrap();
        let mut first = client(&proxy).await.unwrap();
        assert_eq!(ask(&mut first, 1).await.unwrap(), 2);
        proxy.cut();
        assert!(ask(&mut first, 1).await.is_err());
        let mut second = client(&proxy).await.unwrap();
        assert_eq!(ask(&mut second, 3).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn where_it_refuses_nobody_listens_until_it_does_again() {
        let proxy = Proxy::start(&server().await).unwrap();
        let mut open = client(&proxy).await.unwrap();
        for _ in 0..3 {
            proxy.order(Traffic::Refused).await;
            assert!(ask(&mut open, 1).await.is_err(), "what was open has ended");
            assert_eq!(client(&proxy).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            proxy.order(Traffic::Pass).await;
            open = client(&proxy).await.unwrap();
            assert_eq!(ask(&mut open, 1).await.unwrap(), 2);
        }
    }

    #[tokio::test]
    async fn what_is_stalled_arrives_when_it_is_not_any_more() {
        let proxy = Proxy::start(&server().await).unwrap();
        proxy.order(Traffic::Stalled).await;
        let mut open = client(&proxy).await.unwrap();
        open.write_u8(1).await.unwrap();
        let silence = tokio::time::timeout(Duration::from_millis(200), open.read_u8()).await;
        assert!(silence.is_err(), "{silence:?}");
        proxy.order(Traffic::Pass).await;
        assert_eq!(open.read_u8().await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_cut_comes_after_exactly_as_many_bytes() {
        let proxy = Proxy::start(&server().await).unwrap();
        for (way, bytes) in [(Way::ToClient, 2), (Way::ToServer, 2), (Way::ToServer, 0)] {
            proxy.order(Traffic::CutAfter(way, bytes)).await;
            let mut open = client(&proxy).await.unwrap();
            for _ in 0..bytes {
                assert_eq!(ask(&mut open, 1).await.unwrap(), 2);
            }
            assert!(!proxy.was_cut());
            assert!(ask(&mut open, 1).await.is_err(), "{way:?} {bytes}");
            assert!(proxy.was_cut());
            assert!(ask(&mut client(&proxy).await.unwrap(), 1).await.is_err(), "so do new ones");
        }
    }

    #[tokio::test]
    async fn what_the_server_sends_arrives_late() {
        let proxy = Proxy::start(&server().await).unwrap();
        let mut open = client(&proxy).await.unwrap();
        assert_eq!(ask(&mut open, 1).await.unwrap(), 2);
        proxy.order(Traffic::Late(Duration::from_millis(100))).await;
        let asked = std::time::Instant::now();
        assert_eq!(ask(&mut open, 1).await.unwrap(), 2);
        assert!(asked.elapsed() >= Duration::from_millis(100));
    }
}
