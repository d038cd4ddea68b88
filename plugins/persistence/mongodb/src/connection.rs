//! MongoDB's protocol as far as it is needed here: commands and answers as one document each (`OP_MSG`), over one
//! connection.
//!
//! Not here: sessions, transactions, compression, checksums, messages without an answer or with several.

use std::{
    io::{self, Read as _, Write as _},
    time::{Duration, Instant},
};

use bson::{RawDocument, RawDocumentBuf, cstr, raw::RawBsonRef};
use sigbox_sdk::persistence::Failure;
use sigbox_wire::{Server, Stream};

use crate::{
    authentication::authenticate,
    primary::{Primary, greet, is_ferretdb},
    settings::Settings,
};

const OP_MSG: i32 = 2013;

/// Length, number, number of what it answers, kind of message: four little-endian numbers.
const HEADER_BYTES: usize = 16;

/// The header, four bytes of flags, and the one that says that a document follows.
const BEFORE_DOCUMENT: usize = HEADER_BYTES + 5;

/// No answer of a server is longer: a document has 16 MiB, and 16 KiB around it.
const MESSAGE_BYTES_MAX: usize = (16 << 20) + (64 << 10);

/// Bytes asked of the socket at once: an answer is seldom longer.
const READ_BYTES: usize = 16 << 10;

/// Of what the server says for people.
const TEXT_CHARS_MAX: usize = 500;

pub(crate) struct Connection {
    stream: Stream,
    server: Server,
    primary: Primary,
    /// Whether the server is FerretDB, if that was asked for.
    is_ferretdb: Option<bool>,
    deadline: Instant,
    last_request: i32,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The connection broke, or nobody knows what comes next on it.
    Lost(io::Error),
    /// The server said no.
    Said(Complaint),
    /// It is clear already what it means.
    Refused(Failure),
}

/// The server's error.
#[derive(Debug)]
pub(crate) struct Complaint {
    pub(crate) code: i32,
    pub(crate) message: String,
    /// The change is done on the server that was asked, and not known to be done on those that should have it too.
    pub(crate) is_done_there: bool,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

impl From<bson::error::Error> for Trouble {
    fn from(error: bson::error::Error) -> Self {
        Self::Lost(unreadable(&error.to_string()))
    }
}

impl Connection {
    /// Connects to a server that takes writes, and says who we are.
    pub(crate) fn open(settings: &Settings, server: &Server, deadline: Instant) -> Result<Self, Trouble> {
        let mut stream = Stream::connect(server, deadline).map_err(Trouble::Refused)?;
        if let Some(tls) = &settings.tls {
            stream = stream.secured(tls, server).map_err(Trouble::Refused)?;
        }
        let (server, primary) = (server.clone(), Primary::default());
        let mut connection = Self { stream, server, primary, is_ferretdb: None, deadline, last_request: 0 };
        connection.primary = greet(&mut connection)?;
        if let Some(user) = &settings.user {
            authenticate(&mut connection, user)?;
        }
        Ok(connection)
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// What the server said of itself.
    pub(crate) fn primary(&self) -> &Primary {
        &self.primary
    }

    /// Whether the server is FerretDB, which compares and changes a row in two steps.
    pub(crate) fn is_ferretdb(&mut self) -> Result<bool, Trouble> {
        let is_ferretdb = match self.is_ferretdb {
            Some(known) => known,
            None => is_ferretdb(self)?,
        };
        self.is_ferretdb = Some(is_ferretdb);
        Ok(is_ferretdb)
    }

    /// From now on, what is asked ends by `deadline`.
    pub(crate) fn end_by(&mut self, deadline: Instant) {
        self.deadline = deadline;
        self.stream.end_by(deadline);
    }

    /// How long the server may take, in milliseconds: a little less than we wait, so that we hear of it.
    pub(crate) fn patience_ms(&self) -> i32 {
        let left: Duration = self.deadline.saturating_duration_since(Instant::now());
        i32::try_from(left.as_millis() * 9 / 10).unwrap_or(i32::MAX).max(1)
    }

    /// One command, one answer; a refusal is an error.
    pub(crate) fn ask(&mut self, database: &str, mut command: RawDocumentBuf) -> Result<RawDocumentBuf, Trouble> {
        command.append(cstr!("$db"), database);
        self.last_request = self.last_request.wrapping_add(1);
        self.stream.write_all(&message(self.last_request, command.as_bytes())?)?;
        let answer = self.answer()?;
        complaint(&answer)?.map_or(Ok(answer), |said| Err(Trouble::Said(said)))
    }

    /// Bytes are kept as they come, never for a length that is only said.
    fn answer(&mut self) -> io::Result<RawDocumentBuf> {
        let mut received = Vec::new();
        let mut bytes = [0; READ_BYTES];
        loop {
            match self.stream.read(&mut bytes)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => received.extend_from_slice(&bytes[..count]),
            }
            if let Some(length) = length(&received)? {
                match received.len() {
                    count if count < length => {}
                    count if count > length => return Err(unreadable("there is more than was asked for")),
                    _ => return document(received, self.last_request),
                }
            }
        }
    }
}

fn message(request: i32, document: &[u8]) -> io::Result<Vec<u8>> {
    let length = BEFORE_DOCUMENT + document.len();
    let header = i32::try_from(length).map_err(|_| unreadable("the command is too long"))?;
    let mut message = Vec::with_capacity(length);
    for number in [header, request, 0, OP_MSG, 0] {
        message.extend_from_slice(&number.to_le_bytes());
    }
    message.push(0);
    message.extend_from_slice(document);
    Ok(message)
}

/// How long the whole message is, if enough of it is there to say so.
fn length(message: &[u8]) -> io::Result<Option<usize>> {
    let Some(length) = number_at(message, 0) else { return Ok(None) };
    match usize::try_from(length) {
        Ok(length) if (BEFORE_DOCUMENT..=MESSAGE_BYTES_MAX).contains(&length) => Ok(Some(length)),
        _ => Err(unreadable(&format!("a message of {length} bytes"))),
    }
}

/// What is in the answer to `request`.
fn document(mut message: Vec<u8>, request: i32) -> io::Result<RawDocumentBuf> {
    if number_at(&message, 12) != Some(OP_MSG) {
        return Err(unreadable("a message of another kind"));
    }
    if number_at(&message, 8) != Some(request) {
        return Err(unreadable("an answer to something else"));
    }
    // Each flag, and each other kind of section, is something that nobody asked for.
    if message.get(HEADER_BYTES..BEFORE_DOCUMENT) != Some(&[0; 5]) {
        return Err(unreadable("an answer in another form"));
    }
    message.drain(..BEFORE_DOCUMENT);
    RawDocumentBuf::from_bytes(message).map_err(|error| unreadable(&error.to_string()))
}

fn number_at(message: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_le_bytes(message.get(at..at + 4)?.try_into().ok()?))
}

fn unreadable(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("what came back is not MongoDB's protocol: {why}"))
}

/// A number, of whatever type it is.
#[expect(clippy::cast_possible_truncation, reason = "numbers of the protocol are small")]
pub(crate) fn number(document: &RawDocument, name: &str) -> Option<i64> {
    match document.get(name).ok()?? {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => Some(number),
        RawBsonRef::Double(number) => Some(number as i64),
        _ => None,
    }
}

/// What the server complains about, if it does: of the command, of the one change in it, or of those who should have
/// the change too.
fn complaint(answer: &RawDocument) -> Result<Option<Complaint>, Trouble> {
    for element in answer.iter_elements() {
        element?;
    }
    match number(answer, "ok") {
        Some(1) => {}
        Some(_) => return Ok(Some(said(answer, false))),
        None => return Err(Trouble::Lost(unreadable("an answer that does not say whether it is done"))),
    }
    if let Some(RawBsonRef::Array(errors)) = answer.get("writeErrors")? {
        // An array is a document whose names are numbers.
        if let Some(error) = errors.into_iter().next() {
            return Ok(Some(error?.as_document().map_or_else(|| said(answer, false), |error| said(error, false))));
        }
    }
    if let Some(RawBsonRef::Document(error)) = answer.get("writeConcernError")? {
        return Ok(Some(said(error, true)));
    }
    Ok(None)
}

fn said(error: &RawDocument, is_done_there: bool) -> Complaint {
    let code = number(error, "code").and_then(|code| i32::try_from(code).ok()).unwrap_or_default();
    let message = error.get_str("errmsg").unwrap_or("no reason").chars().take(TEXT_CHARS_MAX).collect();
    Complaint { code, message, is_done_there }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;
    use crate::fake::{self, Fake};

    fn opened(fake: &Fake) -> Result<Connection, Trouble> {
        let settings = fake::settings(&[fake.port()]);
        Connection::open(&settings, &settings.servers[0], Instant::now() + Duration::from_secs(2))
    }

    #[test]
    fn what_is_no_answer_ends_the_connection_and_nothing_else() {
        let hello = rawdoc! { "ok": 1, "isWritablePrimary": true, "maxWireVersion": 21 };
        let good = fake::message(1, hello.as_bytes());
        assert!(opened(&Fake::saying(good.clone())).is_ok());

        let with = |at: usize, bytes: &[u8]| {
            let mut message = good.clone();
            message[at..at + bytes.len()].copy_from_slice(bytes);
            message
        };
        let length = |length: i32| with(0, &length.to_le_bytes());
        let bad_bson = fake::message(1, &[12, 0, 0, 0, 2, b'a', 0, 255, 255, 255, 127, 0]);
        for (answer, expected) in [
            (length(-1), "a message of -1 bytes"),
            (length(0), "a message of 0 bytes"),
            (length(20), "a message of 20 bytes"),
            (length(i32::MAX), "a message of 2147483647 bytes"),
            (length(17 << 20), "a message of 17825792 bytes"),
            (length(1 << 20), "unexpected end of file"),
            (with(12, &[1, 0, 0, 0]), "a message of another kind"),
            (with(8, &[9, 0, 0, 0]), "an answer to something else"),
            (with(16, &[2]), "an answer in another form"),
            (with(20, &[1]), "an answer in another form"),
            (with(21, &[255, 255, 255, 127]), "what came back is not MongoDB's protocol"),
            (with(25, &[0x7E]), "what came back is not MongoDB's protocol"),
            (bad_bson, "what came back is not MongoDB's protocol"),
            (fake::message(1, &[5, 0, 0, 0, 0]), "does not say whether it is done"),
            ([good.clone(), vec![0]].concat(), "more than was asked for"),
            (good[..good.len() - 1].to_vec(), "unexpected end of file"),
            (Vec::new(), "unexpected end of file"),
        ] {
            match opened(&Fake::saying(answer)).err() {
                Some(Trouble::Lost(error)) => assert!(error.to_string().contains(expected), "{expected}: {error}"),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_the_server_complains_about_is_found_wherever_it_says_so() {
        let not = |error: RawDocumentBuf| complaint(&error).unwrap();
        assert!(not(rawdoc! { "ok": 1.0, "n": 1 }).is_none());
        assert!(not(rawdoc! { "ok": 1_i64, "writeErrors": [] }).is_none());
        for (error, code, is_done_there) in [
            (rawdoc! { "ok": 0.0, "code": 13, "errmsg": "no" }, 13, false),
            (rawdoc! { "ok": 0, "errmsg": "no" }, 0, false),
            (rawdoc! { "ok": 1, "writeErrors": [{ "index": 0, "code": 11000, "errmsg": "no" }] }, 11000, false),
            (rawdoc! { "ok": 1, "n": 1, "writeConcernError": { "code": 64, "errmsg": "no" } }, 64, true),
        ] {
            let said = not(error).unwrap();
            assert_eq!((said.code, said.message.as_str(), said.is_done_there), (code, "no", is_done_there));
        }
        let long = not(rawdoc! { "ok": 0, "errmsg": "é".repeat(10_000) }).unwrap();
        assert_eq!(long.message.chars().count(), TEXT_CHARS_MAX);
    }
}
