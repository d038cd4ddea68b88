//! Requests of a host that arrive after another one has taken over.

use std::cell::Cell;

use sigbox_sdk::persistence::Holder;

use super::*;

const OTHER_KEY: &str = "signal/e/ETHUSDT";
const SCOPE: &str = "live";

/// A way to the server that can hold requests back.
#[derive(Clone, Default)]
struct Client {
    server: Shared,
    /// How many more `PUT`s arrive before one is held; `None`: all do.
    arriving: Rc<Cell<Option<usize>>>,
    held: Rc<RefCell<Vec<Request>>>,
}

impl Transport for Client {
    fn send(&mut self, request: Request, deadline: Instant) -> Result<Answer, Lost> {
        if let Some((_, query)) = request.path_and_query.split_once("?list-type=2") {
            let prefix = query.split_once("prefix=").expect("listings have one").1;
            let prefix = prefix.split('&').next().unwrap_or_default();
            let prefix = percent_encoding::percent_decode_str(prefix).decode_utf8().expect("keys are text");
            return Ok(list(&self.server.borrow(), &prefix));
        }
        if request.method == "PUT" {
            match self.arriving.get() {
                Some(0) => {
                    self.held.borrow_mut().push(request);
                    return Err(Lost::TimedOut);
                }
                arriving => self.arriving.set(arriving.map(|arriving| arriving - 1)),
            }
        }
        self.server.send(request, deadline)
    }
}

fn list(server: &Server, prefix: &str) -> Answer {
    let keys = server.objects.keys().filter(|key| key.starts_with(prefix));
    let contents: Vec<String> = keys.map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
    let body = format!("<ListBucketResult><IsTruncated>false</IsTruncated>{}</ListBucketResult>", contents.concat());
    Answer { status: 200, body: body.into_bytes(), ..Answer::default() }
}

impl Client {
    fn hold_after(&self, arriving: usize) {
        self.arriving.set(Some(arriving));
    }

    /// Lets what was held arrive, and everything after it.
    fn release(&self) {
        self.arriving.set(None);
        let held = self.held.take();
        assert!(!held.is_empty(), "something was held");
        for request in held {
            self.server.borrow_mut().answer(&request);
        }
    }
}

type Host = FencedDocuments<Client>;

fn host(client: &Client) -> Host {
    let bucket = Bucket::new(settings(ConditionalWrites::Auto), client.clone());
    let (documents, _) = Documents::open(bucket).unwrap();
    FencedDocuments::new(documents, "").unwrap()
}

/// Two hosts, of which only the first one's requests are held back.
fn two_hosts() -> (Client, Host, Host) {
    let old = Client::default();
    let new = Client { server: Rc::clone(&old.server), ..Client::default() };
    let (first, second) = (host(&old), host(&new));
    (old, first, second)
}

fn claim(epoch: u64, owner: &str) -> Holder {
    Holder { epoch, owner: owner.to_owned(), since_ms: 1 }
}

fn assert_fenced<T: std::fmt::Debug>(answer: Result<T, Failure>, owner: &str) {
    let failure = answer.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retryable), ("fenced", false), "{}", failure.message);
    assert!(failure.message.contains(&format!("{owner} holds it")), "{}", failure.message);
}

fn text(document: Option<Vec<u8>>) -> Option<String> {
    document.map(|document| String::from_utf8(document).unwrap())
}

#[test]
fn a_document_that_a_late_host_creates_does_not_count() {
    let (client, mut old, mut new) = two_hosts();
    old.claim(SCOPE, &claim(1, "old")).unwrap();
    assert_eq!(old.read(KEY).unwrap(), None);
    client.hold_after(0);
    assert_eq!(old.write_fenced(KEY, b"1", SCOPE, 1).unwrap_err().code, "unavailable");
    new.claim(SCOPE, &claim(2, "new")).unwrap();
    client.release();
    assert!(client.server.borrow().objects.contains_key(KEY), "it arrived");
    let mut fresh = host(&client);
    for host in [&mut new, &mut fresh] {
        assert_eq!(host.read(KEY).unwrap(), None);
        assert!(!host.has(KEY).unwrap());
        assert_eq!(host.ids("signal/e/", None, 10).unwrap().entity_ids, Vec::<String>::new());
    }
    assert_fenced(old.write_fenced(KEY, b"1", SCOPE, 1), "new");
    assert_fenced(old.remove_fenced(KEY, SCOPE, 1), "new");
    new.write_fenced(KEY, b"2", SCOPE, 2).unwrap();
    assert_eq!(text(host(&client).read(KEY).unwrap()).as_deref(), Some("2"));
    assert_eq!(new.ids("signal/e/", None, 10).unwrap().entity_ids, ["BTCUSDT"]);
}

#[test]
fn a_replacement_that_comes_late_replaces_nothing() {
    let (client, mut old, mut new) = two_hosts();
    old.claim(SCOPE, &claim(1, "old")).unwrap();
    old.write_fenced(KEY, b"1", SCOPE, 1).unwrap();
    client.hold_after(0);
    assert_eq!(old.write_fenced(KEY, b"2", SCOPE, 1).unwrap_err().code, "unavailable");
    assert_eq!(old.remove_fenced(KEY, SCOPE, 1).unwrap_err().code, "unavailable");
    new.claim(SCOPE, &claim(2, "new")).unwrap();
    client.release();
    assert_eq!(text(new.read(KEY).unwrap()).as_deref(), Some("1"));
    assert_fenced(old.write_fenced(KEY, b"2", SCOPE, 1), "new");
    // Also when it has seen what the new host wrote.
    new.write_fenced(KEY, b"3", SCOPE, 2).unwrap();
    assert_eq!(text(old.read(KEY).unwrap()).as_deref(), Some("3"));
    assert_fenced(old.write_fenced(KEY, b"4", SCOPE, 1), "new");
    assert_eq!(text(new.read(KEY).unwrap()).as_deref(), Some("3"));
}

#[test]
fn a_document_from_before_the_fence_is_never_lost() {
    let (client, mut old, mut new) = two_hosts();
    old.write(KEY, b"plain").unwrap();
    old.claim(SCOPE, &claim(1, "old")).unwrap();
    assert_eq!(text(old.read(KEY).unwrap()).as_deref(), Some("plain"));
    // What is held is the replacement of the document by itself.
    client.hold_after(0);
    assert_eq!(old.write_fenced(KEY, b"2", SCOPE, 1).unwrap_err().code, "unavailable");
    new.claim(SCOPE, &claim(2, "new")).unwrap();
    client.release();
    for host in [&mut new, &mut host(&client)] {
        assert_eq!(text(host.read(KEY).unwrap()).as_deref(), Some("plain"));
    }
    assert_fenced(old.write_fenced(KEY, b"2", SCOPE, 1), "new");
    // What is held is the document behind it.
    new.write(OTHER_KEY, b"plain").unwrap();
    old.claim(SCOPE, &claim(3, "old")).unwrap();
    client.hold_after(1);
    assert_eq!(old.write_fenced(OTHER_KEY, b"2", SCOPE, 3).unwrap_err().code, "unavailable");
    new.claim(SCOPE, &claim(4, "new")).unwrap();
    client.release();
    assert_eq!(text(new.read(OTHER_KEY).unwrap()).as_deref(), Some("plain"));
    new.claim(SCOPE, &claim(9, "new")).unwrap();
    new.write_fenced(KEY, b"3", SCOPE, 9).unwrap();
    assert_eq!(text(host(&client).read(KEY).unwrap()).as_deref(), Some("3"));
}

#[test]
fn a_claim_that_was_interrupted_loses_nothing_and_can_be_taken_over() {
    let (client, mut between, mut old) = two_hosts();
    let mut after = host(&Client { server: Rc::clone(&client.server), ..Client::default() });
    old.claim(SCOPE, &claim(1, "old")).unwrap();
    for (key, value) in [(KEY, "1"), (OTHER_KEY, "2")] {
        old.write_fenced(key, value.as_bytes(), SCOPE, 1).unwrap();
    }
    // The fence and one of the two documents.
    client.hold_after(2);
    let failure = between.claim(SCOPE, &claim(2, "between")).unwrap_err();
    assert!(failure.retryable, "{}", failure.message);
    assert_fenced(old.write_fenced(KEY, b"late", SCOPE, 1), "between");
    after.claim(SCOPE, &claim(3, "after")).unwrap();
    client.release();
    for (key, value) in [(KEY, "1"), (OTHER_KEY, "2")] {
        assert_eq!(text(after.read(key).unwrap()).as_deref(), Some(value));
        assert_fenced(old.write_fenced(key, b"late", SCOPE, 1), "after");
    }
    assert_fenced(between.claim(SCOPE, &claim(2, "between")), "after");
}

#[test]
fn a_claim_is_completed_by_whoever_repeats_it() {
    let (client, mut old, mut new) = two_hosts();
    new.claim(SCOPE, &claim(1, "new")).unwrap();
    new.write_fenced(KEY, b"1", SCOPE, 1).unwrap();
    client.hold_after(1);
    assert!(old.claim(SCOPE, &claim(2, "old")).unwrap_err().retryable);
    client.release();
    let mut again = host(&client);
    again.claim(SCOPE, &claim(2, "old")).unwrap();
    assert_eq!(text(again.read(KEY).unwrap()).as_deref(), Some("1"));
    again.write_fenced(KEY, b"2", SCOPE, 2).unwrap();
    assert_fenced(new.write_fenced(KEY, b"3", SCOPE, 1), "old");
}

#[test]
fn what_begins_like_a_line_comes_back_whole() {
    let (client, mut host, _) = two_hosts();
    for document in ["sigbox ", "sigbox set 7 live\n{}", "sigbox gone 7 live\n", "sigbox kept 0 -\n", "sigbox"] {
        host.write(KEY, document.as_bytes()).unwrap();
        assert_eq!(text(host.read(KEY).unwrap()).as_deref(), Some(document));
        assert!(host.has(KEY).unwrap());
    }
    host.claim(SCOPE, &claim(1, "a\nb\n")).unwrap();
    for document in ["sigbox gone 7 live\n", ""] {
        host.write_fenced(KEY, document.as_bytes(), SCOPE, 1).unwrap();
        assert_eq!(text(self::host(&client).read(KEY).unwrap()).as_deref(), Some(document));
    }
    assert_eq!(host.holder(SCOPE).unwrap(), Some(claim(1, "a\nb\n")));
}

#[test]
fn a_removed_document_is_gone_and_can_be_written_again() {
    let (client, mut one, _) = two_hosts();
    one.claim(SCOPE, &claim(1, "one")).unwrap();
    assert!(!one.remove_fenced(KEY, SCOPE, 1).unwrap());
    one.write_fenced(KEY, b"1", SCOPE, 1).unwrap();
    assert!(one.remove_fenced(KEY, SCOPE, 1).unwrap());
    assert!(!one.remove_fenced(KEY, SCOPE, 1).unwrap());
    let mut other = host(&client);
    other.claim(SCOPE, &claim(2, "other")).unwrap();
    assert_eq!(other.read(KEY).unwrap(), None);
    assert_eq!(other.ids("signal/e/", None, 10).unwrap().entity_ids, Vec::<String>::new());
    other.write_fenced(KEY, b"2", SCOPE, 2).unwrap();
    assert_eq!(text(other.read(KEY).unwrap()).as_deref(), Some("2"));
    assert!(other.remove(KEY).unwrap(), "without a fence it is removed for good");
    assert!(!client.server.borrow().objects.contains_key(KEY));
}

#[test]
fn without_conditions_there_is_no_fence() {
    let client = Client::default();
    let bucket = Bucket::new(settings(ConditionalWrites::Off), client);
    let (documents, _) = Documents::open(bucket).unwrap();
    let mut host = FencedDocuments::new(documents, "").unwrap();
    assert_eq!(host.holder(SCOPE).unwrap_err().code, "unsupported");
    assert_eq!(host.claim(SCOPE, &claim(1, "one")).unwrap_err().code, "unsupported");
    assert_eq!(host.write_fenced(KEY, b"1", SCOPE, 1).unwrap_err().code, "unsupported");
}
