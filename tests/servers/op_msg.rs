//! MongoDB's protocol as a test needs it: one command, one answer, written by hand so that what the plugin says is read
//! by something else.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Map, Value};

/// The answer to the command `name` about the collection `sigbox_documents` of the database `sigbox`, on a connection of
/// its own. Binary values become text, times numbers of milliseconds.
pub(super) fn ask(port: u16, name: &str, more: &Value) -> Value {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("it is not zero");
    // The name of a command comes first.
    let mut fields = vec![(name.to_owned(), "sigbox_documents".into()), ("$db".to_owned(), "sigbox".into())];
    fields.extend(more.as_object().expect("a command is a document").clone());
    let body = document(fields);
    let mut message = Vec::new();
    for number in [21 + length(&body), 1, 0, 2013, 0] {
        message.extend_from_slice(&number.to_le_bytes());
    }
    message.push(0);
    message.extend_from_slice(&body);
    stream.write_all(&message).expect("it listens");
    let mut header = [0; 21];
    stream.read_exact(&mut header).expect("it answers");
    let [a, b, c, d, ..] = header;
    let mut answer = vec![0; usize::try_from(i32::from_le_bytes([a, b, c, d])).expect("it has a length") - 21];
    stream.read_exact(&mut answer).expect("it answers");
    Value::Object(Reader(&answer).document())
}

fn length(bytes: &[u8]) -> i32 {
    i32::try_from(bytes.len()).expect("it is short")
}

fn document(fields: impl IntoIterator<Item = (String, Value)>) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    for (name, value) in fields {
        let (kind, value) = encoded(&value);
        bytes.push(kind);
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&value);
    }
    bytes.push(0);
    let length = length(&bytes).to_le_bytes();
    bytes[..4].copy_from_slice(&length);
    bytes
}

fn encoded(value: &Value) -> (u8, Vec<u8>) {
    match value {
        Value::Null => (0x0A, Vec::new()),
        Value::Bool(is_true) => (0x08, vec![(*is_true).into()]),
        Value::Number(number) => {
            let number = number.as_i64().and_then(|number| i32::try_from(number).ok()).expect("numbers are small");
            (0x10, number.to_le_bytes().to_vec())
        }
        Value::String(text) => {
            let mut bytes = (length(text.as_bytes()) + 1).to_le_bytes().to_vec();
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
            (0x02, bytes)
        }
        Value::Array(values) => {
            let fields = values.iter().enumerate().map(|(number, value)| (number.to_string(), value.clone()));
            (0x04, document(fields))
        }
        Value::Object(fields) => (0x03, document(fields.clone())),
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn int(&mut self) -> i32 {
        i32::from_le_bytes(self.take(4).try_into().expect("there are four"))
    }

    fn long(&mut self) -> i64 {
        i64::from_le_bytes(self.take(8).try_into().expect("there are eight"))
    }

    fn size(&mut self) -> usize {
        usize::try_from(self.int()).expect("it is a length")
    }

    fn document(&mut self) -> Map<String, Value> {
        let size = self.size();
        let mut inside = Reader(self.take(size - 4));
        let mut fields = Map::new();
        loop {
            let kind = inside.take(1)[0];
            if kind == 0 {
                return fields;
            }
            let end = inside.0.iter().position(|byte| *byte == 0).expect("a name ends");
            let name = String::from_utf8(inside.take(end).to_vec()).expect("a name is text");
            inside.take(1);
            fields.insert(name, inside.value(kind));
        }
    }

    fn value(&mut self, kind: u8) -> Value {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match kind {
            0x01 => f64::from_bits(self.long().cast_unsigned()).into(),
            0x02 => {
                let size = self.size();
                text(&self.take(size)[..size - 1]).into()
            }
            0x03 => self.document().into(),
            0x04 => self.document().into_iter().map(|(_, value)| value).collect(),
            0x05 => {
                let size = self.size();
                text(&self.take(size + 1)[1..]).into()
            }
            0x07 => format!("{:?}", self.take(12)).into(),
            0x08 => (self.take(1)[0] == 1).into(),
            0x09 | 0x11 | 0x12 => self.long().into(),
            0x0A => Value::Null,
            0x10 => self.int().into(),
            kind => panic!("a value of kind {kind}"),
        }
    }
}
