//! PostgreSQL's protocol, version 3, as far as it is needed here: start, simple queries for what is asked once, and
//! statements with values as bytes for what is asked again and again.
//!
//! Between here and the server there may be a pooler, which gives each transaction to any of its sessions. So nothing is
//! left in a session, and nothing is expected there: no named statement, no setting, no lock. Otherwise a statement would
//! be executed that somebody else prepared under the same name, on another table.
//!
//! Not here: copying, notifications, cursors, cancelling, types other than bytes and texts.

use std::{
    io::{self, Read as _, Write as _},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::{
    IsNull,
    message::{
        backend::{DataRowBody, ErrorResponseBody, Message},
        frontend,
    },
};
use sigbox_sdk::persistence::Failure;
use sigbox_wire::{Stream, bad_setting};

use crate::{
    authentication::authenticate,
    schema::{Statement, Table},
    settings::Settings,
};

/// Values are bytes as they are, both ways.
const BINARY: i16 = 1;

/// Bytes asked of the socket at once: an answer is seldom longer.
const READ_BYTES: usize = 16 << 10;

pub(crate) struct Connection {
    stream: Stream,
    /// What was read and belongs to no message yet.
    received: BytesMut,
    /// What is about to be sent.
    to_send: BytesMut,
    /// What a change waits for when it is committed: `synchronous_commit`.
    commits: &'static str,
    /// Whether the server waits for its disk.
    pub(crate) is_durable: bool,
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
    /// `SQLSTATE`, five characters.
    pub(crate) code: String,
    pub(crate) message: String,
    /// Whether the server closes the connection.
    pub(crate) is_fatal: bool,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

/// Rows of values; none is SQL's NULL.
#[derive(Debug, Default)]
pub(crate) struct Answer(pub(crate) Vec<Vec<Option<Bytes>>>);

impl Answer {
    /// A value as text, where there is one.
    pub(crate) fn text(&self, row: usize, column: usize) -> Option<&str> {
        str::from_utf8(self.0.get(row)?.get(column)?.as_deref()?).ok()
    }
}

impl Connection {
    /// Connects, says who we are, and refuses a standby.
    pub(crate) fn open(settings: &Settings, deadline: Instant) -> Result<Self, Trouble> {
        let stream = Stream::connect(&settings.server, deadline).map_err(Trouble::Refused)?;
        let mut connection =
            Self { stream, received: BytesMut::new(), to_send: BytesMut::new(), commits: "on", is_durable: true };
        if settings.tls.is_some() {
            connection = connection.secured(settings)?;
        }
        // Poolers know these, and refuse others.
        let parameters = [
            ("user", settings.user.as_str()),
            ("database", &settings.database),
            ("client_encoding", "UTF8"),
            ("application_name", "sigbox"),
        ];
        frontend::startup_message(parameters, &mut connection.to_send)?;
        connection.send()?;
        authenticate(&mut connection, settings.password.as_deref())?;
        connection.answers()?;
        connection.look(settings)?;
        Ok(connection)
    }

    fn look(&mut self, settings: &Settings) -> Result<(), Trouble> {
        let answer =
            self.run("SELECT pg_is_in_recovery(), current_setting('synchronous_commit'), current_setting('fsync')")?;
        if answer.text(0, 0) == Some("t") {
            let message = format!("{} is a standby: the url must lead to the primary", settings.server);
            return Err(Trouble::Refused(Failure::retry("unavailable", message)));
        }
        // Off, a commit is said to be done before it is. What somebody chose otherwise stays.
        self.commits = match answer.text(0, 1) {
            Some("local") => "local",
            Some("remote_write") => "remote_write",
            Some("remote_apply") => "remote_apply",
            _ => "on",
        };
        self.is_durable = answer.text(0, 2) != Some("off");
        Ok(())
    }

    fn secured(mut self, settings: &Settings) -> Result<Self, Trouble> {
        let Some(tls) = &settings.tls else { return Ok(self) };
        frontend::ssl_request(&mut self.to_send);
        self.send()?;
        // This one byte only: what follows it must be encrypted.
        let mut answer = [0];
        self.stream.read_exact(&mut answer)?;
        if answer != *b"S" {
            let problem =
                format!("{} does not speak TLS: set ssl = on there, or setting tls to \"disable\"", settings.server);
            return Err(Trouble::Refused(bad_setting(&problem)));
        }
        self.stream = self.stream.secured(tls, &settings.server).map_err(Trouble::Refused)?;
        Ok(self)
    }

    /// Whether what is sent is encrypted.
    pub(crate) fn is_secured(&self) -> bool {
        self.stream.is_secured()
    }

    /// Runs what may be several statements; the values of all rows are texts.
    pub(crate) fn run(&mut self, sql: &str) -> Result<Answer, Trouble> {
        frontend::query(sql, &mut self.to_send)?;
        self.send()?;
        Ok(Answer(self.answers()?.into_iter().flat_map(|answer| answer.0).collect()))
    }

    /// Executes a statement in a transaction of its own, which the server gives up by `deadline`. Unless it fails, what
    /// it changed is committed.
    pub(crate) fn execute(
        &mut self,
        statement: Statement,
        table: &Table,
        values: &[&[u8]],
        deadline: Instant,
    ) -> Result<Answer, Trouble> {
        self.stream.end_by(deadline);
        // What is set holds until the end of the transaction.
        // A statement that nobody waits for any more must not be done later. The server gives up a little sooner than
        // we do, so that we hear of it.
        let left = deadline.saturating_duration_since(Instant::now()) * 9 / 10;
        let limit = format!("SET LOCAL statement_timeout = {}", left.as_millis().max(1));
        let commits = format!("SET LOCAL synchronous_commit = {}", self.commits);
        let before = if statement.is_change() {
            vec!["BEGIN", &limit, &commits]
        } else {
            // A pooler may have gone over to a standby, which can be behind. A standby lets nobody begin like this.
            vec!["BEGIN READ WRITE", &limit]
        };
        for sql in &before {
            self.put_statement(sql, &[])?;
        }
        self.put_statement(&statement.sql(table), values)?;
        self.put_statement("COMMIT", &[])?;
        frontend::sync(&mut self.to_send);
        self.send()?;
        match self.answers() {
            Ok(answers) => Ok(answers.into_iter().nth(before.len()).unwrap_or_default()),
            Err(Trouble::Said(said)) if !said.is_fatal => {
                self.run("ROLLBACK")?;
                Err(Trouble::Said(said))
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Parses, binds and executes a statement without a name.
    fn put_statement(&mut self, sql: &str, values: &[&[u8]]) -> io::Result<()> {
        let put = |value: &&[u8], buffer: &mut BytesMut| {
            buffer.extend_from_slice(value);
            Ok(IsNull::No)
        };
        frontend::parse("", sql, [], &mut self.to_send)?;
        frontend::bind("", "", [BINARY], values, put, [BINARY], &mut self.to_send).map_err(|error| match error {
            frontend::BindError::Conversion(error) => io::Error::other(error),
            frontend::BindError::Serialization(error) => error,
        })?;
        frontend::execute("", 0, &mut self.to_send)
    }

    /// Says goodbye, which the server need not hear.
    pub(crate) fn close(mut self) {
        frontend::terminate(&mut self.to_send);
        let _ = self.send();
    }

    pub(crate) fn put(&mut self, message: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<(), Trouble> {
        message(&mut self.to_send)?;
        self.send()
    }

    /// All of a request at once.
    fn send(&mut self) -> Result<(), Trouble> {
        self.stream.write_all(&self.to_send)?;
        self.to_send.clear();
        Ok(())
    }

    /// All that comes until the server is ready again: an answer a statement.
    fn answers(&mut self) -> Result<Vec<Answer>, Trouble> {
        let mut answers = Vec::new();
        let mut rows = Answer::default();
        let mut complaint = None;
        loop {
            match self.message() {
                Ok(Message::DataRow(row)) => rows.0.push(values(&row)?),
                Ok(Message::CommandComplete(_)) => answers.push(std::mem::take(&mut rows)),
                Ok(Message::ReadyForQuery(_)) => break,
                Ok(_) => {}
                Err(Trouble::Said(said)) if !said.is_fatal => complaint = Some(said),
                Err(trouble) => return Err(trouble),
            }
        }
        complaint.map_or(Ok(answers), |said| Err(Trouble::Said(said)))
    }

    /// The next message; an error of the server is one here, too.
    pub(crate) fn message(&mut self) -> Result<Message, Trouble> {
        loop {
            match Message::parse(&mut self.received)? {
                Some(Message::ErrorResponse(body)) => return Err(Trouble::Said(complaint(&body)?)),
                // Both come when the server likes.
                Some(Message::NoticeResponse(_) | Message::ParameterStatus(_)) => {}
                Some(message) => return Ok(message),
                None => self.receive()?,
            }
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut bytes = [0; READ_BYTES];
        match self.stream.read(&mut bytes)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.received.extend_from_slice(&bytes[..count]);
                Ok(())
            }
        }
    }
}

fn values(row: &DataRowBody) -> io::Result<Vec<Option<Bytes>>> {
    let buffer = row.buffer_bytes();
    row.ranges().map(|range| Ok(range.map(|range| buffer.slice(range)))).collect()
}

fn complaint(body: &ErrorResponseBody) -> io::Result<Complaint> {
    let mut complaint = Complaint { code: String::new(), message: String::new(), is_fatal: false };
    let mut fields = body.fields();
    while let Some(field) = fields.next()? {
        let text = || String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => complaint.code = text(),
            b'M' => complaint.message = text(),
            // The severity. That of V is not translated, and follows that of S; poolers may send only S.
            b'S' | b'V' => complaint.is_fatal = matches!(field.value_bytes(), b"FATAL" | b"PANIC"),
            _ => {}
        }
    }
    Ok(complaint)
}
