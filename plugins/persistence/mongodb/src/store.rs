//! The calls, each one command on one row. Those that are fenced are in `fence`.

use std::time::Instant;

use bson::{cstr, rawdoc};
use sigbox_sdk::persistence::{Address, Failure, Holder, Page};

use crate::{
    connection::{Connection, Trouble, number},
    failure::{died, is_late, is_race, refused},
    fence::{self, Epoch},
    layout,
    rows::{RACES_MAX, change, find, has, not_ours, row, uncounted, with_value},
    settings::Settings,
};

/// The `_id` of the row that says that the collection is ours, and of which version. No document has it: theirs have
/// two `/`.
const LAYOUT: &str = "layout";

/// Of the rows. A plugin that knows another one changes them when it starts.
const LAYOUT_VERSION: i64 = 1;

/// Ids of a page, however many are asked for.
const PAGE_MAX: u32 = 1000;

pub(crate) struct Store {
    settings: Settings,
    /// None after it broke.
    connection: Option<Connection>,
    /// Which of the servers took writes last.
    last: usize,
}

impl Store {
    /// Connects, makes the collection where there is none, and tells `warn` what the operator should know.
    pub(crate) fn start(settings: Settings, warn: impl Fn(&str)) -> Result<Self, Failure> {
        if settings.tls.is_none() && !settings.servers.iter().all(sigbox_wire::Server::is_loopback) {
            warn("every document goes over the network unencrypted; set tls to \"verify-full\"");
        }
        let deadline = Instant::now() + settings.timeout;
        let mut store = Self { settings, connection: None, last: 0 };
        let mut connection = store.connect("connecting to", deadline)?;
        make_ours(&store.settings, &mut connection)
            .map_err(|trouble| refused("connecting to", connection.server(), trouble))?;
        store.connection = Some(connection);
        Ok(store)
    }

    pub(crate) fn read(&mut self, at: &Address) -> Result<Option<Vec<u8>>, Failure> {
        let id = layout::id(at);
        self.call("reading from", |settings, connection| {
            let found = find(settings, connection, &id, rawdoc! { "value": 1, "scope": 1 })?;
            let Some(row) = row(&found)? else { return Ok(None) };
            match row.get_binary("value") {
                Ok(value) => Ok(Some(value.bytes.to_vec())),
                // It was removed, or is not written yet.
                Err(_) if row.get("value")?.is_none() && row.get_str("scope").is_ok() => Ok(None),
                Err(_) => Err(not_ours(settings, &id)),
            }
        })
    }

    pub(crate) fn has(&mut self, at: &Address) -> Result<bool, Failure> {
        let id = layout::id(at);
        self.call("reading from", |settings, connection| has(settings, connection, &id))
    }

    pub(crate) fn write(&mut self, at: &Address, value: &[u8], when_ms: u64) -> Result<(), Failure> {
        let id = layout::id(at);
        self.call("writing to", |settings, connection| {
            let mut races = 0;
            loop {
                // Who may change the row besides, if somebody does, stays in it.
                let set = rawdoc! { "$set": with_value(value, when_ms) };
                let update = rawdoc! { "q": { "_id": id.as_str() }, "u": set, "upsert": true };
                match change(settings, connection, "update", update) {
                    Err(trouble) if is_race(&trouble) && races < RACES_MAX => races += 1,
                    // It names the row: there is one, and it is this.
                    outcome => return outcome.and_then(|changed| if changed == 1 { Ok(()) } else { Err(uncounted()) }),
                }
            }
        })
    }

    pub(crate) fn remove(&mut self, at: &Address) -> Result<bool, Failure> {
        let id = layout::id(at);
        self.call("removing from", |settings, connection| {
            // A row whose document a fenced removal has taken out goes too.
            let was_there = has(settings, connection, &id)?;
            let delete = rawdoc! { "q": { "_id": id.as_str() }, "limit": 1 };
            Ok(change(settings, connection, "delete", delete)? == 1 && was_there)
        })
    }

    pub(crate) fn holder(&mut self, scope: &str) -> Result<Option<Holder>, Failure> {
        self.fenced("reading from", |settings, connection| fence::holder(settings, connection, scope))
    }

    pub(crate) fn claim(&mut self, scope: &str, claim: &Holder) -> Result<(), Failure> {
        self.fenced("claiming at", |settings, connection| fence::claim(settings, connection, scope, claim))
    }

    pub(crate) fn write_fenced(
        &mut self,
        at: &Address,
        value: &[u8],
        when_ms: u64,
        epoch: Epoch<'_>,
    ) -> Result<(), Failure> {
        let id = layout::id(at);
        self.fenced("writing to", |settings, connection| fence::write(settings, connection, &id, value, when_ms, epoch))
    }

    pub(crate) fn remove_fenced(&mut self, at: &Address, epoch: Epoch<'_>) -> Result<bool, Failure> {
        let id = layout::id(at);
        self.fenced("removing from", |settings, connection| fence::remove(settings, connection, &id, epoch))
    }

    pub(crate) fn keys(
        &mut self,
        domain: &str,
        entity_name: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page, Failure> {
        let prefix = layout::prefix(domain, entity_name);
        let rows = layout::range(&prefix);
        let limit = limit.min(PAGE_MAX);
        self.call("listing the ids at", |settings, connection| {
            let mut range = match cursor {
                None => rawdoc! { "$gte": rows.start.as_str() },
                Some(cursor) => rawdoc! { "$gt": format!("{prefix}{cursor}") },
            };
            range.append(cstr!("$lt"), rows.end.as_str());
            // One more than asked for tells whether there is more.
            let one_more = i64::from(limit) + 1;
            let command = rawdoc! {
                "find": settings.collection.as_str(),
                "filter": { "_id": range, "value": { "$exists": true } },
                "sort": { "_id": 1 },
                "projection": { "_id": 1 },
                "limit": one_more,
                "batchSize": one_more,
                "maxTimeMS": connection.patience_ms(),
                "readConcern": { "level": "majority" },
            };
            let found = connection.ask(&settings.database, command)?;
            let mut ids = Vec::new();
            for row in found.get_document("cursor")?.get_array("firstBatch")? {
                let id = row?.as_document().and_then(|row| row.get_str("_id").ok());
                let id = id.and_then(|id| id.strip_prefix(&prefix)).ok_or_else(|| not_ours(settings, &prefix))?;
                ids.push(id.to_owned());
            }
            // With names so long that they do not fit one answer, the server keeps the rest for later.
            let kept = number(found.get_document("cursor")?, "id").unwrap_or_default();
            if kept != 0 {
                let command = rawdoc! { "killCursors": settings.collection.as_str(), "cursors": [kept] };
                connection.ask(&settings.database, command)?;
            }
            Ok(layout::page(ids, limit as usize, kept != 0))
        })
    }

    /// Runs commands that only a server that keeps hosts apart is given.
    fn fenced<T>(
        &mut self,
        doing: &str,
        run: impl Fn(&Settings, &mut Connection) -> Result<T, Trouble>,
    ) -> Result<T, Failure> {
        self.call(doing, |settings, connection| {
            fence::check_server(connection)?;
            run(settings, connection)
        })
    }

    /// Runs commands, on a new connection if the old one turns out dead: the server was restarted, closed it because
    /// it was idle, or is not the primary any more. Whatever they do, doing it twice comes to the same.
    fn call<T>(
        &mut self,
        doing: &str,
        run: impl Fn(&Settings, &mut Connection) -> Result<T, Trouble>,
    ) -> Result<T, Failure> {
        let deadline = Instant::now() + self.settings.timeout;
        if let Some(mut connection) = self.connection.take() {
            connection.end_by(deadline);
            match run(&self.settings, &mut connection) {
                Err(trouble) if died(&trouble) && !is_late(&trouble) => {}
                outcome => return self.finish(doing, connection, outcome),
            }
        }
        let mut connection = self.connect(doing, deadline)?;
        look_for_layout(&self.settings, &mut connection)
            .map_err(|trouble| refused(doing, connection.server(), trouble))?;
        let outcome = run(&self.settings, &mut connection);
        self.finish(doing, connection, outcome)
    }

    fn finish<T>(&mut self, doing: &str, connection: Connection, outcome: Result<T, Trouble>) -> Result<T, Failure> {
        let server = connection.server().clone();
        if !outcome.as_ref().is_err_and(died) {
            self.connection = Some(connection);
        }
        outcome.map_err(|trouble| refused(doing, &server, trouble))
    }

    /// A connection to the server that takes writes: the last one that did, or else another one. Each has its share of
    /// the time, so that one that does not answer leaves some for the next.
    fn connect(&mut self, doing: &str, deadline: Instant) -> Result<Connection, Failure> {
        let count = self.settings.servers.len();
        let mut problems: Vec<Failure> = Vec::new();
        for (tried, number) in (0..count).map(|offset| (self.last + offset) % count).enumerate() {
            let Some(server) = self.settings.servers.get(number) else { continue };
            let others = u32::try_from(count - tried).unwrap_or(u32::MAX);
            let now = Instant::now();
            let share = now + deadline.saturating_duration_since(now) / others;
            match Connection::open(&self.settings, server, share) {
                Ok(mut connection) => {
                    connection.end_by(deadline);
                    self.last = number;
                    return Ok(connection);
                }
                Err(trouble) => match refused(doing, server, trouble) {
                    failure if failure.retryable => problems.push(failure),
                    // Somebody has to do something, and the others would say the same.
                    failure => return Err(failure),
                },
            }
        }
        let said: Vec<String> = problems.iter().map(|failure| failure.message.clone()).collect();
        let pause = problems.into_iter().find_map(|failure| failure.retry_after_ms);
        Err(Failure { retry_after_ms: pause, ..Failure::retry("unavailable", said.join("; ")) })
    }
}

/// Makes the collection ours, or sees that it is.
fn make_ours(settings: &Settings, connection: &mut Connection) -> Result<(), Trouble> {
    if version(settings, connection)?.is_none() {
        let row = rawdoc! { "_id": LAYOUT, "version": LAYOUT_VERSION };
        match change(settings, connection, "insert", row) {
            // Somebody else did it in this moment.
            Err(trouble) if is_race(&trouble) => {}
            outcome => drop(outcome?),
        }
    }
    look_for_layout(settings, connection)
}

/// Whether the collection is what it was at the start. One that is made anew would look as if nothing had ever been
/// written.
fn look_for_layout(settings: &Settings, connection: &mut Connection) -> Result<(), Trouble> {
    let Settings { database, collection, .. } = settings;
    let refusal = match version(settings, connection)? {
        Some(LAYOUT_VERSION) => return Ok(()),
        Some(version) => Failure::give_up(
            "unsupported",
            format!(
                "collection {collection} is of version {version}, and this plugin knows version {LAYOUT_VERSION}: use a \
                 newer plugin, or another setting collection"
            ),
        ),
        None => Failure::give_up(
            "corrupt",
            format!(
                "collection {collection} of database {database} is gone from {}, or its row {LAYOUT:?} is: bring it \
                 back, or start anew",
                connection.server()
            ),
        ),
    };
    Err(Trouble::Refused(refusal))
}

/// Of the rows; none: the collection is not ours yet.
fn version(settings: &Settings, connection: &mut Connection) -> Result<Option<i64>, Trouble> {
    let found = find(settings, connection, LAYOUT, rawdoc! { "version": 1 })?;
    let Some(row) = row(&found)? else { return Ok(None) };
    number(row, "version").map(Some).ok_or_else(|| not_ours(settings, LAYOUT))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bson::{RawArrayBuf, RawDocument, RawDocumentBuf};

    use super::*;
    use crate::fake::{Fake, found, member, name, settings};

    fn at() -> Address {
        let [domain, entity_name, entity_id] = ["signal", "BTCUSDT_a", "BTCUSDT"].map(str::to_owned);
        Address { domain, entity_name, entity_id }
    }

    fn is_about_layout(command: &RawDocument) -> bool {
        command.get_document("filter").and_then(|filter| filter.get_str("_id")).is_ok_and(|id| id == LAYOUT)
    }

    /// A primary of a replica set with a collection that is ours. `answers` to what is about documents.
    fn primary(answers: impl Fn(&RawDocument) -> Option<RawDocumentBuf> + Send + Sync + 'static) -> Fake {
        Fake::answering(move |command| match name(command).as_str() {
            "hello" => Some(member(true)),
            "find" if is_about_layout(command) => Some(found([rawdoc! { "_id": LAYOUT, "version": 1 }])),
            _ => answers(command),
        })
    }

    fn started(ports: &[u16]) -> Store {
        Store::start(settings(ports), |_| {}).unwrap_or_else(|failure| panic!("{}", failure.message))
    }

    /// The answer of a server that changed one row.
    fn one_row() -> RawDocumentBuf {
        rawdoc! { "ok": 1.0, "n": 1 }
    }

    #[test]
    fn a_change_counts_when_a_majority_has_it_and_a_read_asks_whether_it_is_the_last() {
        let fake = primary(|command| Some(if name(command) == "find" { found([]) } else { one_row() }));
        let mut store = started(&[fake.port()]);
        store.write(&at(), b"1", 1).unwrap();
        assert!(!store.remove(&at()).unwrap());
        assert_eq!(store.read(&at()).unwrap(), None);
        assert!(!store.has(&at()).unwrap());
        store.keys("signal", "BTCUSDT_a", None, 10).unwrap();
        let commands = fake.commands();
        for command in &commands {
            let is_in_time = |time: i64| (1..=1800).contains(&time);
            assert!(number(command, "maxTimeMS").is_some_and(is_in_time), "{command:?}");
            if name(command) == "find" {
                let level = command.get_document("readConcern").unwrap().get_str("level").unwrap();
                let is_listing = command.get("sort").unwrap().is_some();
                assert_eq!(level, if is_listing { "majority" } else { "linearizable" });
            } else {
                let concern = command.get_document("writeConcern").unwrap();
                assert_eq!(concern.get_str("w").unwrap(), "majority");
                assert!(concern.get_bool("j").unwrap());
                assert!(number(concern, "wtimeout").is_some_and(is_in_time));
            }
        }
        let names: Vec<String> = commands.iter().map(|command| name(command)).collect();
        assert_eq!(names, ["find", "find", "update", "find", "delete", "find", "find", "find"]);
    }

    #[test]
    fn a_change_that_a_majority_does_not_have_fails_and_may_be_repeated() {
        let error = rawdoc! { "code": 64, "errmsg": "waiting for replication timed out" };
        let fake = primary(move |_| Some(rawdoc! { "ok": 1.0, "n": 1, "writeConcernError": error.clone() }));
        let failure = started(&[fake.port()]).write(&at(), b"1", 1).unwrap_err();
        assert_eq!((failure.code.as_str(), failure.retryable), ("unavailable", true));
        assert!(failure.message.contains("it may be lost or kept"), "{}", failure.message);
    }

    #[test]
    fn the_primary_is_found_wherever_it_is() {
        let secondary = Fake::answering(|_| Some(member(false)));
        let fake = primary(|_| Some(one_row()));
        started(&[secondary.port(), fake.port()]).write(&at(), b"1", 1).unwrap();
        let failure = Store::start(settings(&[secondary.port(), secondary.port()]), |_| {}).err().unwrap();
        assert_eq!((failure.code.as_str(), failure.retryable), ("unavailable", true));
        assert!(failure.message.contains("is not the primary of the replica set rs0"), "{}", failure.message);
        assert!(secondary.commands().is_empty(), "nothing is asked of who is not the primary");
    }

    #[test]
    fn a_primary_that_steps_down_is_left_for_the_next_one() {
        for code in [91, 189, 10107, 11600, 11602, 13435] {
            let greetings = AtomicUsize::new(0);
            let old = Fake::answering(move |command| match name(command).as_str() {
                "hello" => Some(member(greetings.fetch_add(1, Ordering::SeqCst) == 0)),
                "find" => Some(found([rawdoc! { "_id": LAYOUT, "version": 1 }])),
                _ => Some(rawdoc! { "ok": 0.0, "code": code, "errmsg": "not primary" }),
            });
            let new = primary(|_| Some(one_row()));
            started(&[old.port(), new.port()]).write(&at(), b"1", 1).unwrap();
            assert_eq!(new.commands().iter().filter(|command| name(command) == "update").count(), 1, "{code}");
        }
    }

    #[test]
    fn one_that_is_silent_leaves_time_for_the_next_one() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = primary(|_| Some(one_row()));
        started(&[silent.local_addr().unwrap().port(), fake.port()]).write(&at(), b"1", 1).unwrap();
    }

    #[test]
    fn a_row_that_somebody_else_makes_in_the_same_moment_is_written_again() {
        for (races, is_written) in [(1, true), (RACES_MAX, true), (RACES_MAX + 1, false)] {
            let tries = AtomicUsize::new(0);
            let fake = primary(move |_| {
                let error = rawdoc! { "index": 0, "code": 11000, "errmsg": "E11000 duplicate key" };
                let is_race = tries.fetch_add(1, Ordering::SeqCst) < races;
                Some(if is_race {
                    rawdoc! { "ok": 1, "n": 0, "writeErrors": [error] }
                } else {
                    one_row()
                })
            });
            let outcome = started(&[fake.port()]).write(&at(), b"1", 1);
            assert_eq!(outcome.is_ok(), is_written, "{races}");
            assert!(outcome.err().is_none_or(|failure| failure.retryable));
        }
    }

    #[test]
    fn an_answer_that_does_not_say_what_was_asked_is_an_error_and_never_no_document() {
        for answer in [
            rawdoc! { "ok": 1 },
            rawdoc! { "ok": 1, "cursor": 1 },
            rawdoc! { "ok": 1, "cursor": { "firstBatch": {} } },
            rawdoc! { "ok": 1, "cursor": { "firstBatch": [1] } },
            rawdoc! { "ok": 1, "cursor": { "firstBatch": [{}] } },
            rawdoc! { "ok": 1, "n": "1" },
            rawdoc! { "ok": 1, "n": 2 },
        ] {
            let said = answer.clone();
            let fake = primary(move |_| Some(said.clone()));
            let mut store = started(&[fake.port()]);
            assert!(store.read(&at()).is_err(), "{answer:?}");
            assert!(store.write(&at(), b"1", 1).is_err(), "{answer:?}");
            assert!(store.keys("signal", "BTCUSDT_a", None, 10).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn a_listing_that_does_not_fit_one_answer_goes_on() {
        let fake = primary(|command| {
            if name(command) == "killCursors" {
                return Some(rawdoc! { "ok": 1 });
            }
            let rows = [rawdoc! { "_id": "signal/BTCUSDT_a/a" }, rawdoc! { "_id": "signal/BTCUSDT_a/b" }];
            let rows = RawArrayBuf::from_iter(rows);
            Some(rawdoc! { "ok": 1, "cursor": { "id": 7_i64, "firstBatch": rows } })
        });
        let page = started(&[fake.port()]).keys("signal", "BTCUSDT_a", None, 10).unwrap();
        assert_eq!((page.entity_ids, page.next), (vec!["a".to_owned(), "b".to_owned()], Some("b".to_owned())));
        assert_eq!(fake.commands().last().map(|command| name(command)).as_deref(), Some("killCursors"));
    }
}
