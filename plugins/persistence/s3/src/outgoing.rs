//! Requests over `wasi:http`.

use std::time::Instant;

use wasip2::{
    clocks::monotonic_clock::subscribe_duration,
    http::{
        outgoing_handler::handle,
        types::{
            ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions,
            Scheme, http_error_code,
        },
    },
    io::{
        poll::{Pollable, poll},
        streams::StreamError,
    },
};

use crate::{
    answer::{Answer, Lost},
    bucket::Transport,
    request::Request,
};

/// Bytes read at once.
const READ_BYTES: u64 = 64 << 10;

/// The way out that the host lends.
pub(crate) struct Outgoing;

impl Transport for Outgoing {
    fn send(&mut self, request: Request, deadline: Instant) -> Result<Answer, Lost> {
        let Request { method, scheme, authority, path_and_query, headers, body } = request;
        let fields = Fields::new();
        for (name, value) in headers {
            fields.append(&name, value.as_bytes()).map_err(|error| Lost::Impossible(format!("{name}: {error}")))?;
        }
        let outgoing = OutgoingRequest::new(fields);
        let method = match method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            other => Method::Other(other.to_owned()),
        };
        let scheme = if scheme == "http" { Scheme::Http } else { Scheme::Https };
        let impossible = |()| Lost::Impossible(format!("{authority}{path_and_query}"));
        outgoing.set_method(&method).map_err(impossible)?;
        outgoing.set_scheme(Some(&scheme)).map_err(impossible)?;
        outgoing.set_authority(Some(&authority)).map_err(impossible)?;
        outgoing.set_path_with_query(Some(&path_and_query)).map_err(impossible)?;
        let outgoing_body = outgoing.body().map_err(impossible)?;

        let options = RequestOptions::new();
        // The host waits a little less than we do, because only it can say what there is no answer to: a look-up of the
        // name, or a request. If it has no such limit, ours holds.
        let left = deadline.saturating_duration_since(Instant::now()) * 19 / 20;
        let _ = options.set_first_byte_timeout(u64::try_from(left.as_nanos()).ok());
        let answer = handle(outgoing, Some(options)).map_err(lost)?;
        write(outgoing_body, &body, deadline)?;
        wait(&answer.subscribe(), deadline)?;
        let answer = match answer.get() {
            Some(Ok(answer)) => answer.map_err(lost)?,
            _ => return Err(Lost::Broken("the host lost the answer".to_owned())),
        };
        read(&answer, deadline)
    }
}

/// Whatever goes wrong here, the answer decides: a server may refuse a request before it has read the body, and after
/// the last byte of a body the host may close the stream at any time.
fn write(body: OutgoingBody, bytes: &[u8], deadline: Instant) -> Result<(), Lost> {
    if let Ok(stream) = body.write() {
        let mut rest = bytes;
        while !rest.is_empty() {
            let Ok(room) = stream.check_write() else { break };
            let (now, later) = rest.split_at(rest.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            if now.is_empty() {
                wait(&stream.subscribe(), deadline)?;
            } else if stream.write(now).is_err() {
                break;
            }
            rest = later;
        }
    }
    let _ = OutgoingBody::finish(body, None);
    Ok(())
}

fn read(answer: &IncomingResponse, deadline: Instant) -> Result<Answer, Lost> {
    let text = |(name, value): (String, Vec<u8>)| (name, String::from_utf8_lossy(&value).into_owned());
    let mut whole = Answer {
        status: answer.status(),
        headers: answer.headers().entries().into_iter().map(text).collect(),
        body: Vec::new(),
    };
    let broken = |()| Lost::Broken("the host lost the answer".to_owned());
    let body: IncomingBody = answer.consume().map_err(broken)?;
    let stream = body.stream().map_err(broken)?;
    loop {
        match stream.read(READ_BYTES) {
            Ok(bytes) if bytes.is_empty() => wait(&stream.subscribe(), deadline)?,
            Ok(bytes) => whole.body.extend(bytes),
            Err(StreamError::Closed) => return Ok(whole),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(match http_error_code(&error) {
                    Some(code) => lost(code),
                    None => Lost::Broken(error.to_debug_string()),
                });
            }
        }
    }
}

/// Waits until something is ready, or for too long.
fn wait(ready: &Pollable, deadline: Instant) -> Result<(), Lost> {
    let left = deadline.saturating_duration_since(Instant::now());
    let clock = subscribe_duration(u64::try_from(left.as_nanos()).unwrap_or(u64::MAX));
    if poll(&[ready, &clock]).contains(&0) { Ok(()) } else { Err(Lost::TimedOut) }
}

fn lost(code: ErrorCode) -> Lost {
    match code {
        ErrorCode::HttpRequestDenied => Lost::Denied,
        ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => Lost::TimedOut,
        ErrorCode::DnsTimeout => Lost::NoAddress("no name server answered in time (setting timeout-ms)".to_owned()),
        ErrorCode::DnsError(error) => {
            Lost::NoAddress(error.rcode.unwrap_or_else(|| "its name servers fail".to_owned()))
        }
        ErrorCode::TlsCertificateError => Lost::Untrusted("TLS certificate error".to_owned()),
        ErrorCode::DestinationIpProhibited => Lost::Impossible("its name stands for a link-local address".to_owned()),
        code => Lost::Broken(format!("{code:?}").replace("ErrorCode::", "")),
    }
}
