//! Where the documents are: in memory, in the folder `/data`, or with a server of the tests.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    time::Duration,
};

use sigbox_sdk::persistence::Holder;

/// Domain, entity name and entity id.
pub(crate) type Key = (String, String, String);

pub(crate) trait Medium {
    fn read(&mut self, key: &Key) -> io::Result<Option<Vec<u8>>>;
    fn write(&mut self, key: &Key, value: &[u8]) -> io::Result<()>;
    fn remove(&mut self, key: &Key) -> io::Result<bool>;
    /// Ascending by bytes.
    fn ids(&mut self, domain: &str, entity_name: &str) -> io::Result<Vec<String>>;

    fn holder(&mut self, _: &str) -> io::Result<Option<Holder>> {
        Ok(None)
    }

    fn claim(&mut self, _: &str, _: &Holder) -> io::Result<Changed> {
        Ok(Changed::Done(true))
    }

    /// Writes, or removes for want of a value, if the epoch is that of the scope. Memory and folder have one host, which
    /// is never refused.
    fn change(&mut self, key: &Key, value: Option<&[u8]>, _scope: &str, _epoch: u64) -> io::Result<Changed> {
        match value {
            Some(value) => self.write(key, value).map(|()| Changed::Done(true)),
            None => self.remove(key).map(Changed::Done),
        }
    }
}

/// What became of a fenced change.
pub(crate) enum Changed {
    /// Whether there was something to change.
    Done(bool),
    /// It was refused.
    Held(Holder),
}

pub(crate) type Memory = BTreeMap<Key, Vec<u8>>;

impl Medium for Memory {
    fn read(&mut self, key: &Key) -> io::Result<Option<Vec<u8>>> {
        Ok(self.get(key).cloned())
    }

    fn write(&mut self, key: &Key, value: &[u8]) -> io::Result<()> {
        self.insert(key.clone(), value.to_owned());
        Ok(())
    }

    fn remove(&mut self, key: &Key) -> io::Result<bool> {
        Ok(BTreeMap::remove(self, key).is_some())
    }

    fn ids(&mut self, domain: &str, entity_name: &str) -> io::Result<Vec<String>> {
        let from = (domain.to_owned(), entity_name.to_owned(), String::new());
        let ours = self.range(from..).map(|(key, _)| key).take_while(|key| key.0 == domain && key.1 == entity_name);
        Ok(ours.map(|key| key.2.clone()).collect())
    }
}

/// A file a document, each part of its address in hexadecimal.
pub(crate) struct Folder;

const ROOT: &str = "/data";

/// Bytes of a file's name.
const NAME_MAX: usize = 255;

impl Folder {
    /// The file of a document.
    pub(crate) fn file(key: &Key) -> PathBuf {
        Self::folder(&key.0, &key.1).join(format!("d{}", hex(key.2.as_bytes())))
    }

    fn folder(domain: &str, entity_name: &str) -> PathBuf {
        // No name may be empty.
        Path::new(ROOT).join(format!("d{}", hex(domain.as_bytes()))).join(format!("d{}", hex(entity_name.as_bytes())))
    }

    fn check(key: &Key) -> io::Result<()> {
        let longest = [&key.0, &key.1, &key.2].into_iter().map(String::len).max().unwrap_or_default();
        if 2 * longest < NAME_MAX { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidFilename, "too long")) }
    }
}

/// `None` for what is not there.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Only where the folder itself is there.
            fs::metadata(ROOT)?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl Medium for Folder {
    fn read(&mut self, key: &Key) -> io::Result<Option<Vec<u8>>> {
        Self::check(key)?;
        found(fs::read(Self::file(key)))
    }

    fn write(&mut self, key: &Key, value: &[u8]) -> io::Result<()> {
        Self::check(key)?;
        let (file, folder) = (Self::file(key), Self::folder(&key.0, &key.1));
        fs::create_dir_all(&folder)?;
        let temporary = folder.join("temporary");
        let mut writing = File::create(&temporary)?;
        writing.write_all(value)?;
        writing.sync_all()?;
        fs::rename(temporary, file)
    }

    fn remove(&mut self, key: &Key) -> io::Result<bool> {
        Self::check(key)?;
        Ok(found(fs::remove_file(Self::file(key)))?.is_some())
    }

    fn ids(&mut self, domain: &str, entity_name: &str) -> io::Result<Vec<String>> {
        let Some(entries) = found(fs::read_dir(Self::folder(domain, entity_name)))? else { return Ok(Vec::new()) };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            if let Some(id) = name.to_str().and_then(|name| name.strip_prefix('d')) {
                ids.push(text(id)?);
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }
}

/// A server of the tests: each request is a line of words, each word but the first in hexadecimal, and so is each answer.
///
/// ```text
/// read D E I      -> some VALUE | none
/// write D E I V   -> done
/// remove D E I    -> done | none
/// ids D E         -> some ID ID …
/// holder S        -> some EPOCH OWNER SINCE | none
/// claim S EPOCH OWNER SINCE    -> done | some EPOCH OWNER SINCE
/// write-fenced S EPOCH D E I V -> done | some EPOCH OWNER SINCE
/// remove-fenced S EPOCH D E I  -> done | none | some EPOCH OWNER SINCE
/// ```
pub(crate) struct Server {
    address: String,
    connection: Option<BufReader<TcpStream>>,
    /// A connection that ended is not replaced.
    pub(crate) gives_up: bool,
    /// An answer that ends early is taken as it is.
    pub(crate) credulous: bool,
    /// How long it waits for an answer, when that is shorter than its limit.
    pub(crate) patience: Option<Duration>,
    /// The longest that it waits for bytes; `None`: as long as the host lets it.
    pub(crate) limit: Option<Duration>,
}

/// Below the limit of the tests, 2 s. An answer may come in several parts.
const LIMIT: Duration = Duration::from_secs(1);

impl Server {
    pub(crate) fn at(address: String) -> Self {
        Self { address, connection: None, gives_up: false, credulous: false, patience: None, limit: Some(LIMIT) }
    }

    pub(crate) fn connect(&mut self) -> io::Result<()> {
        let connection = TcpStream::connect(&self.address)?;
        connection.set_nodelay(true)?;
        connection.set_read_timeout(self.limit)?;
        self.connection = Some(BufReader::new(connection));
        Ok(())
    }

    /// Asks, on a fresh connection if the one there was has ended: every request may be repeated.
    fn ask(&mut self, verb: &str, words: &[&[u8]]) -> io::Result<Option<Vec<Vec<u8>>>> {
        let mut request = verb.to_owned();
        for word in words {
            request.push(' ');
            request.push_str(&hex(word));
        }
        request.push('\n');
        let was_connected = self.connection.is_some();
        match self.ask_once(request.as_bytes()) {
            Err(error) if was_connected && !self.gives_up && !is_late(&error) => self.ask_once(request.as_bytes()),
            answer => answer,
        }
    }

    fn ask_once(&mut self, request: &[u8]) -> io::Result<Option<Vec<Vec<u8>>>> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None if self.gives_up => return Err(io::Error::other("the connection ended")),
            None => {
                self.connect()?;
                self.connection.take().expect("it was connected above")
            }
        };
        connection.get_mut().write_all(request)?;
        let mut answer = String::new();
        self.wait(&mut connection, &mut answer)?;
        if !answer.ends_with('\n') && !self.credulous {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended in an answer"));
        }
        if !self.gives_up || answer.ends_with('\n') {
            self.connection = Some(connection);
        }
        let mut words = answer.trim_end_matches('\n').split(' ');
        match words.next() {
            Some("some" | "done") => words.map(bytes).collect::<io::Result<Vec<_>>>().map(Some),
            _ => Ok(None),
        }
    }

    fn wait(&self, connection: &mut BufReader<TcpStream>, answer: &mut String) -> io::Result<()> {
        let Some(patience) = self.patience else {
            return connection.read_line(answer).map(drop);
        };
        connection.get_mut().set_nonblocking(true)?;
        let until = std::time::Instant::now() + patience;
        let mut byte = [0];
        while !answer.ends_with('\n') {
            match connection.read(&mut byte) {
                Ok(0) => break,
                Ok(_) => answer.push(char::from(byte[0])),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if std::time::Instant::now() >= until {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(error),
            }
        }
        connection.get_mut().set_nonblocking(false)
    }
}

/// Whether the time is over.
fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl Medium for Server {
    fn read(&mut self, (domain, entity_name, id): &Key) -> io::Result<Option<Vec<u8>>> {
        let answer = self.ask("read", &[domain.as_bytes(), entity_name.as_bytes(), id.as_bytes()])?;
        Ok(answer.map(|words| words.into_iter().next().unwrap_or_default()))
    }

    fn write(&mut self, (domain, entity_name, id): &Key, value: &[u8]) -> io::Result<()> {
        self.ask("write", &[domain.as_bytes(), entity_name.as_bytes(), id.as_bytes(), value]).map(drop)
    }

    fn remove(&mut self, (domain, entity_name, id): &Key) -> io::Result<bool> {
        Ok(self.ask("remove", &[domain.as_bytes(), entity_name.as_bytes(), id.as_bytes()])?.is_some())
    }

    fn ids(&mut self, domain: &str, entity_name: &str) -> io::Result<Vec<String>> {
        let ids = self.ask("ids", &[domain.as_bytes(), entity_name.as_bytes()])?.unwrap_or_default();
        ids.into_iter().map(|id| String::from_utf8(id).map_err(io::Error::other)).collect()
    }

    fn holder(&mut self, scope: &str) -> io::Result<Option<Holder>> {
        self.ask("holder", &[scope.as_bytes()])?.map(held).transpose()
    }

    fn claim(&mut self, scope: &str, Holder { epoch, owner, since_ms }: &Holder) -> io::Result<Changed> {
        let (epoch, since) = (epoch.to_string(), since_ms.to_string());
        let words = [scope.as_bytes(), epoch.as_bytes(), owner.as_bytes(), since.as_bytes()];
        changed(self.ask("claim", &words)?)
    }

    fn change(&mut self, key: &Key, value: Option<&[u8]>, scope: &str, epoch: u64) -> io::Result<Changed> {
        let (domain, entity_name, id) = key;
        let epoch = epoch.to_string();
        let mut words =
            vec![scope.as_bytes(), epoch.as_bytes(), domain.as_bytes(), entity_name.as_bytes(), id.as_bytes()];
        words.extend(value);
        changed(self.ask(if value.is_some() { "write-fenced" } else { "remove-fenced" }, &words)?)
    }
}

fn changed(answer: Option<Vec<Vec<u8>>>) -> io::Result<Changed> {
    Ok(match answer {
        None => Changed::Done(false),
        Some(words) if words.is_empty() => Changed::Done(true),
        Some(words) => Changed::Held(held(words)?),
    })
}

fn held(words: Vec<Vec<u8>>) -> io::Result<Holder> {
    let words: Result<Vec<String>, _> = words.into_iter().map(String::from_utf8).collect();
    let words = <[String; 3]>::try_from(words.map_err(io::Error::other)?);
    let [epoch, owner, since] = words.map_err(|_| io::Error::other("a holder has three words"))?;
    let number = |text: String| text.parse().map_err(io::Error::other);
    Ok(Holder { epoch: number(epoch)?, owner, since_ms: number(since)? })
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]].map(char::from);
    bytes.iter().flat_map(digits).collect()
}

fn bytes(hex: &str) -> io::Result<Vec<u8>> {
    let pair = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes = hex.as_bytes().chunks(2).map(pair).collect::<Option<_>>();
    bytes.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not hexadecimal"))
}

fn text(hex: &str) -> io::Result<String> {
    String::from_utf8(bytes(hex)?).map_err(io::Error::other)
}
