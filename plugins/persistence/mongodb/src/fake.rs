//! A server of tests that answers as it is told to: what no real server here can be made to do.

pub(crate) mod rows;

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use bson::{RawDocument, RawDocumentBuf, rawdoc};

use crate::settings::Settings;

/// What it sends back to a command; nothing: it closes the connection.
type Answers = dyn Fn(&RawDocument) -> Option<RawDocumentBuf> + Send + Sync;

/// It takes connections until it is dropped.
pub(crate) struct Fake {
    port: u16,
    commands: Arc<Mutex<Vec<RawDocumentBuf>>>,
    is_over: Arc<AtomicBool>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // One more connection, so that it looks. Who does not listen any more needs none.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Fake {
    /// A server that answers each command so.
    pub(crate) fn answering(answers: impl Fn(&RawDocument) -> Option<RawDocumentBuf> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let commands = Arc::<Mutex<Vec<RawDocumentBuf>>>::default();
        let (heard, answers): (_, Arc<Answers>) = (Arc::clone(&commands), Arc::new(answers));
        let is_over = Arc::<AtomicBool>::default();
        let must_end = Arc::clone(&is_over);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if must_end.load(Ordering::SeqCst) {
                    return;
                }
                let (heard, answers) = (Arc::clone(&heard), Arc::clone(&answers));
                thread::spawn(move || serve(stream, &heard, &*answers));
            }
        });
        Self { port, commands, is_over }
    }

    /// A server that answers whatever it hears with these bytes, once, and closes.
    pub(crate) fn saying(bytes: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let is_over = Arc::<AtomicBool>::default();
        let must_end = Arc::clone(&is_over);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                if must_end.load(Ordering::SeqCst) {
                    return;
                }
                let _ = read(&mut stream);
                let _ = stream.write_all(&bytes);
            }
        });
        Self { port, commands: Arc::default(), is_over }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The commands it was given, without the greetings.
    pub(crate) fn commands(&self) -> Vec<RawDocumentBuf> {
        let commands = self.commands.lock().unwrap();
        let is_greeting = |command: &&RawDocumentBuf| ["hello", "buildInfo"].contains(&name(command).as_str());
        commands.iter().filter(|command| !is_greeting(command)).cloned().collect()
    }
}

/// Settings for the servers at these ports.
pub(crate) fn settings(ports: &[u16]) -> Settings {
    let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let url = format!("mongodb://{}/trading", hosts.join(","));
    let settings = [("url", url), ("timeout-ms", "2000".to_owned())];
    let settings = settings.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Settings::read(settings, &|_| None).unwrap_or_else(|failure| panic!("{}", failure.message))
}

/// What a member of a replica set says of itself.
pub(crate) fn member(is_primary: bool) -> RawDocumentBuf {
    rawdoc! { "ok": 1.0, "isWritablePrimary": is_primary, "maxWireVersion": 21, "setName": "rs0" }
}

/// What MongoDB says of its version.
pub(crate) fn build() -> RawDocumentBuf {
    rawdoc! { "ok": 1.0, "version": "7.0.0" }
}

/// The answer of a server that found these rows.
pub(crate) fn found(rows: impl IntoIterator<Item = RawDocumentBuf>) -> RawDocumentBuf {
    let rows = bson::RawArrayBuf::from_iter(rows);
    rawdoc! { "ok": 1.0, "cursor": { "id": 0_i64, "firstBatch": rows } }
}

/// The first field of a command is its name.
pub(crate) fn name(command: &RawDocument) -> String {
    command.iter().next().expect("it has a name").expect("it is BSON").0.as_str().to_owned()
}

/// A message around a document.
pub(crate) fn message(answers: i32, document: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    for number in [i32::try_from(21 + document.len()).expect("it is short"), 1, answers, 2013, 0] {
        message.extend_from_slice(&number.to_le_bytes());
    }
    message.push(0);
    message.extend_from_slice(document);
    message
}

fn serve(mut stream: TcpStream, heard: &Mutex<Vec<RawDocumentBuf>>, answers: &Answers) {
    while let Some((request, command)) = read(&mut stream) {
        heard.lock().unwrap().push(command.clone());
        let Some(answer) = answers(&command) else { return };
        if stream.write_all(&message(request, answer.as_bytes())).is_err() {
            return;
        }
    }
}

fn read(stream: &mut TcpStream) -> Option<(i32, RawDocumentBuf)> {
    let mut header = [0; 21];
    stream.read_exact(&mut header).ok()?;
    let number = |at: usize| i32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    let mut document = vec![0; usize::try_from(number(0)).unwrap() - 21];
    stream.read_exact(&mut document).ok()?;
    Some((number(4), RawDocumentBuf::from_bytes(document).expect("what we send is BSON")))
}
