//! A way to the server on which requests go one after the other.
//!
//! The server compares a condition and writes in two steps, and another write may come between them. S3 does both at
//! once, and a fence depends on it.

use std::{net::TcpListener, sync::Arc, thread};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client, header, server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, runtime, sync::Mutex};

/// Listens at a port of its own, until its process ends.
pub(super) struct Orderly {
    port: u16,
}

impl Orderly {
    pub(super) fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
        listener.set_nonblocking(true).expect("a listener need not block");
        let port = listener.local_addr().expect("it is bound").port();
        // A thread of its own: a test may keep its own runtime busy.
        thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("there is a runtime");
            runtime.block_on(serve(listener, server));
        });
        Self { port }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

async fn serve(listener: TcpListener, server: u16) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("it does not block");
    let turn = Arc::new(Mutex::new(()));
    while let Ok((client, _)) = listener.accept().await {
        let turn = Arc::clone(&turn);
        let service = service_fn(move |request| {
            // A request goes through to its end, also when nobody waits for it any more: the server does not stop
            // either.
            let passed = tokio::spawn(pass_on(request, server, Arc::clone(&turn)));
            async move { passed.await.expect("it does not panic") }
        });
        tokio::spawn(server::conn::http1::Builder::new().serve_connection(TokioIo::new(client), service));
    }
}

async fn pass_on(
    request: Request<Incoming>,
    server: u16,
    turn: Arc<Mutex<()>>,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let _turn = turn.lock().await;
    let stream = TcpStream::connect(("127.0.0.1", server)).await?;
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let answer = sender.send_request(Request::from_parts(head, Full::new(body))).await?;
    let (mut head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    // The body has come, and goes on as one piece.
    head.headers.remove(header::TRANSFER_ENCODING);
    Ok(Response::from_parts(head, Full::new(body)))
}
