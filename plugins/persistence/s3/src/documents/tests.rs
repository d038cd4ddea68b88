//! What a real server does not do on demand: lose an answer, take a request late, write in between.

mod fenced;

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use http::uri::Scheme;

use super::*;
use crate::{
    answer::{Answer, Lost},
    request::Request,
    settings::{Credentials, Settings},
};

const KEY: &str = "signal/e/BTCUSDT";

/// What happens to one request.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    /// It is done, and the answer lost.
    AnswerLost,
    /// It is never done, and nobody knows.
    NeverArrives,
    /// It is done before the next request, which is after its answer was given up.
    ArrivesLate,
    /// It is answered so and not done.
    Answered(u16),
    /// The same, with a code in the body.
    Refused(u16, &'static str),
}

/// Objects that are versioned by their bytes, as those of S3 are.
#[derive(Default)]
struct Server {
    objects: BTreeMap<String, Vec<u8>>,
    fates: VecDeque<Fate>,
    late: Vec<Request>,
    heeds: Heeds,
    requests: usize,
}

/// How a server takes conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Heeds {
    /// As S3 does.
    #[default]
    All,
    Nothing,
    NoIfMatch,
    NoIfNoneMatch,
    /// If-Match makes an object where there is none.
    NoAbsence,
    /// If-Match never holds.
    IfMatchNever,
    /// If-None-Match never holds.
    IfNoneMatchNever,
    /// 501.
    Unknown,
    /// No entity tags at all.
    NoTags,
    /// Entity tags that cannot be compared.
    WeakTags,
    /// Other entity tags for the answer to a write.
    TwoTags,
}

type Shared = Rc<RefCell<Server>>;

impl Transport for Shared {
    fn send(&mut self, request: Request, _: Instant) -> Result<Answer, Lost> {
        let server = &mut *self.borrow_mut();
        server.requests += 1;
        for late in std::mem::take(&mut server.late) {
            server.answer(&late);
        }
        match server.fates.pop_front().unwrap_or(Fate::Arrives) {
            Fate::Arrives => Ok(server.answer(&request)),
            Fate::AnswerLost => {
                server.answer(&request);
                Err(Lost::Broken("reset".to_owned()))
            }
            Fate::NeverArrives => Err(Lost::Broken("reset".to_owned())),
            Fate::ArrivesLate => {
                server.late.push(request);
                Err(Lost::TimedOut)
            }
            Fate::Answered(status) => Ok(Answer { status, ..Answer::default() }),
            Fate::Refused(status, code) => {
                let body = format!("<Error><Code>{code}</Code></Error>").into_bytes();
                Ok(Answer { status, body, ..Answer::default() })
            }
        }
    }
}

impl Server {
    fn answer(&mut self, request: &Request) -> Answer {
        let mut answer = self.strict_answer(request);
        match self.heeds {
            Heeds::NoTags => answer.headers.clear(),
            Heeds::WeakTags => answer.headers.iter_mut().for_each(|(_, tag)| tag.insert_str(0, "W/")),
            _ => {}
        }
        answer
    }

    fn strict_answer(&mut self, request: &Request) -> Answer {
        let (path, query) = request.path_and_query.split_once('?').unwrap_or((&request.path_and_query, ""));
        let key = path.strip_prefix("/state/").expect("requests are for the bucket").to_owned();
        let header = |name: &str| request.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value);
        let found = self.objects.get(&key).map(|bytes| tag(bytes));
        let is_as_expected = match (header("if-match"), header("if-none-match"), self.heeds) {
            (None, None, _)
            | (_, _, Heeds::Nothing)
            | (Some(_), _, Heeds::NoIfMatch)
            | (None, Some(_), Heeds::NoIfNoneMatch) => true,
            (Some(_), _, Heeds::IfMatchNever) | (None, Some(_), Heeds::IfNoneMatchNever) => false,
            (Some(_), _, Heeds::NoAbsence) if found.is_none() => true,
            (Some(expected), ..) => found.as_ref() == Some(expected),
            (None, Some(_), _) => found.is_none(),
        };
        let no_such_key =
            Answer { status: 404, body: b"<Error><Code>NoSuchKey</Code></Error>".to_vec(), ..Answer::default() };
        match request.method {
            "GET" if !query.is_empty() => {
                let body = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
                Answer { status: 200, body: body.to_vec(), ..Answer::default() }
            }
            "GET" => self.objects.get(&key).map_or(no_such_key, |bytes| stored(200, bytes, bytes.clone())),
            "HEAD" => match self.objects.get(&key) {
                Some(bytes) => stored(200, bytes, Vec::new()),
                None => Answer { status: 404, ..Answer::default() },
            },
            "PUT" if self.heeds == Heeds::Unknown && (header("if-match").or(header("if-none-match"))).is_some() => {
                Answer { status: 501, ..Answer::default() }
            }
            "PUT" if is_as_expected => {
                self.objects.insert(key, request.body.clone());
                let mut answer = stored(200, &request.body, Vec::new());
                if self.heeds == Heeds::TwoTags {
                    answer.headers[0].1 = "\"1\"".to_owned();
                }
                answer
            }
            "PUT" => Answer { status: 412, ..Answer::default() },
            "DELETE" => {
                self.objects.remove(&key);
                Answer { status: 204, ..Answer::default() }
            }
            other => panic!("{other}"),
        }
    }
}

fn tag(bytes: &[u8]) -> String {
    format!("\"{:02x?}\"", Sha256::digest(bytes))
}

fn stored(status: u16, bytes: &[u8], body: Vec<u8>) -> Answer {
    Answer { status, headers: vec![("etag".to_owned(), tag(bytes))], body }
}

fn settings(conditional_writes: ConditionalWrites) -> Settings {
    Settings {
        scheme: Scheme::HTTP,
        authority: "localhost".to_owned(),
        region: "us-east-1".to_owned(),
        bucket: "state".to_owned(),
        keys: key::Keys { prefix: String::new(), bytes_max: key::BYTES_MAX },
        path_style: true,
        conditional_writes,
        timeout: std::time::Duration::from_secs(4),
        credentials: Credentials {
            access_key_id: "key".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: None,
        },
    }
}

fn open(server: &Shared) -> Documents<Shared> {
    let (documents, trouble) =
        Documents::open(Bucket::new(settings(ConditionalWrites::Auto), Rc::clone(server))).unwrap();
    assert_eq!(trouble, None);
    documents
}

fn fates(server: &Shared, fates: &[Fate]) {
    server.borrow_mut().fates = fates.iter().copied().collect();
}

fn value(server: &Shared) -> String {
    String::from_utf8(server.borrow().objects[KEY].clone()).unwrap()
}

#[test]
fn a_second_writer_is_noticed_and_nothing_of_it_undone() {
    let server = Shared::default();
    let (mut first, mut second) = (open(&server), open(&server));
    assert_eq!(first.read(KEY).unwrap(), None);
    assert_eq!(second.read(KEY).unwrap(), None);
    first.write(KEY, b"1").unwrap();
    for _ in 0..2 {
        let failure = second.write(KEY, b"2").unwrap_err();
        assert_eq!((failure.code.as_str(), failure.retryable), ("conflict", false));
        assert!(failure.message.contains("somebody else changed signal/e/BTCUSDT in state"), "{}", failure.message);
    }
    let failure = second.remove(KEY).unwrap_err();
    assert_eq!(failure.code, "conflict");
    assert_eq!(value(&server), "1");
    // Who has seen it may go on.
    second.read(KEY).unwrap();
    second.write(KEY, b"2").unwrap();
    assert_eq!(first.write(KEY, b"3").unwrap_err().code, "conflict");
}

#[test]
fn the_same_bytes_from_somebody_else_are_somebody_elses() {
    let server = Shared::default();
    let (mut first, mut second) = (open(&server), open(&server));
    first.read(KEY).unwrap();
    second.read(KEY).unwrap();
    first.write(KEY, b"1").unwrap();
    assert_eq!(second.write(KEY, b"1").unwrap_err().code, "conflict");
}

#[test]
fn somebody_else_removing_it_is_noticed() {
    let server = Shared::default();
    let mut documents = open(&server);
    documents.write(KEY, b"1").unwrap();
    server.borrow_mut().objects.clear();
    let failure = documents.write(KEY, b"2").unwrap_err();
    assert_eq!(failure.code, "conflict");
    assert!(failure.message.contains("somebody else removed signal/e/BTCUSDT"), "{}", failure.message);
    // Servers differ in how they say that there is nothing.
    fates(&server, &[Fate::Answered(404)]);
    assert_eq!(documents.write(KEY, b"2").unwrap_err().code, "conflict");
    assert_eq!(documents.read(KEY).unwrap(), None);
    documents.write(KEY, b"3").unwrap();
}

#[test]
fn seeing_that_it_is_there_is_not_seeing_it() {
    let server = Shared::default();
    let (mut first, mut second) = (open(&server), open(&server));
    first.write(KEY, b"1").unwrap();
    second.write(KEY, b"2").unwrap();
    assert!(first.has(KEY).unwrap());
    assert_eq!(first.write(KEY, b"3").unwrap_err().code, "conflict");
}

#[test]
fn a_lost_answer_is_not_somebody_else() {
    let server = Shared::default();
    let mut documents = open(&server);
    documents.write(KEY, b"1").unwrap();
    fates(&server, &[Fate::AnswerLost]);
    documents.write(KEY, b"2").unwrap();
    fates(&server, &[Fate::NeverArrives]);
    documents.write(KEY, b"3").unwrap();
    documents.write(KEY, b"4").unwrap();
    assert_eq!(value(&server), "4");
}

#[test]
fn after_lost_answers_the_newest_is_written() {
    let server = Shared::default();
    let mut documents = open(&server);
    documents.write(KEY, b"1").unwrap();
    for lost in [Fate::AnswerLost, Fate::NeverArrives, Fate::Answered(500)] {
        fates(&server, &[lost, Fate::Answered(503)]);
        let failure = documents.write(KEY, b"2").unwrap_err();
        assert_eq!((failure.code.as_str(), failure.retryable), ("unavailable", true));
    }
    fates(&server, &[]);
    documents.write(KEY, b"3").unwrap();
    assert_eq!(value(&server), "3");
}

#[test]
fn an_earlier_write_that_arrives_late_does_not_undo_a_later_one() {
    let server = Shared::default();
    let mut documents = open(&server);
    documents.write(KEY, b"1").unwrap();
    // It arrives before the second try is done, which is then refused.
    fates(&server, &[Fate::ArrivesLate]);
    assert!(documents.write(KEY, b"2").unwrap_err().retryable);
    documents.write(KEY, b"3").unwrap();
    assert_eq!(value(&server), "3");
    // It arrives after the second try, and is refused itself.
    fates(&server, &[Fate::ArrivesLate]);
    assert!(documents.write(KEY, b"4").unwrap_err().retryable);
    let late = std::mem::take(&mut server.borrow_mut().late);
    documents.write(KEY, b"5").unwrap();
    server.borrow_mut().late = late;
    documents.write(KEY, b"6").unwrap();
    assert_eq!(value(&server), "6");
}

#[test]
fn a_removal_whose_answer_was_lost_was_one() {
    let server = Shared::default();
    let mut documents = open(&server);
    documents.write(KEY, b"1").unwrap();
    fates(&server, &[Fate::Arrives, Fate::AnswerLost]);
    assert!(documents.remove(KEY).unwrap());
    assert!(!documents.remove(KEY).unwrap());
    documents.write(KEY, b"2").unwrap();
    fates(&server, &[Fate::Arrives, Fate::AnswerLost, Fate::Answered(503)]);
    assert!(documents.remove(KEY).unwrap_err().retryable);
    assert!(documents.remove(KEY).unwrap());
    documents.write(KEY, b"3").unwrap();
}

#[test]
fn a_write_that_was_refused_is_not_ours_when_it_is_found() {
    let server = Shared::default();
    let mut documents = open(&server);
    documents.write(KEY, b"1").unwrap();
    fates(&server, &[Fate::Answered(403)]);
    assert_eq!(documents.write(KEY, b"2").unwrap_err().code, "denied");
    server.borrow_mut().objects.insert(KEY.to_owned(), b"2".to_vec());
    assert_eq!(documents.write(KEY, b"2").unwrap_err().code, "conflict");
}

#[test]
fn an_answer_that_is_not_about_the_object_is_no_absence() {
    let server = Shared::default();
    let mut documents = open(&server);
    for status in [404, 403, 500, 301] {
        fates(&server, &[Fate::Answered(status)]);
        assert!(documents.read(KEY).is_err(), "{status}");
    }
}

#[test]
fn a_write_costs_one_request_once_the_object_is_known() {
    let server = Shared::default();
    let mut documents = open(&server);
    documents.read(KEY).unwrap();
    let before = server.borrow().requests;
    documents.write(KEY, b"1").unwrap();
    documents.write(KEY, b"2").unwrap();
    assert_eq!(server.borrow().requests - before, 2);
}

#[test]
fn a_server_whose_conditions_cannot_be_used_is_found_out_and_used_without() {
    for (heeds, why) in [
        (Heeds::Nothing, "ignores If-Match when there is no object"),
        (Heeds::NoIfMatch, "ignores If-Match"),
        (Heeds::NoIfNoneMatch, "ignores If-None-Match"),
        (Heeds::NoAbsence, "ignores If-Match when there is no object"),
        (Heeds::IfMatchNever, "refuses If-Match with the right entity tag"),
        (Heeds::IfNoneMatchNever, "refuses If-None-Match although there is no object"),
        (Heeds::Unknown, "does not know them: the server answered HTTP 501"),
        (Heeds::NoTags, "does not say the entity tag of what was written"),
        (Heeds::WeakTags, "does not say the entity tag of what was written"),
        (Heeds::TwoTags, "gives an object another entity tag when it is read than when it was written"),
    ] {
        let server = Shared::default();
        server.borrow_mut().heeds = heeds;
        let with = |conditional| Documents::open(Bucket::new(settings(conditional), Rc::clone(&server)));
        let (mut documents, trouble) = with(ConditionalWrites::Auto).unwrap();
        assert!(trouble.as_ref().is_some_and(|trouble| trouble.contains(why)), "{heeds:?}: {trouble:?}");
        for value in [b"1", b"2"] {
            documents.write(KEY, value).unwrap();
        }
        server.borrow_mut().objects.clear();
        documents.write(KEY, b"3").unwrap();
        assert!(documents.remove(KEY).unwrap(), "{heeds:?}");
        assert_eq!(with(ConditionalWrites::Off).unwrap().1, None);
        let failure = with(ConditionalWrites::Required).err().unwrap();
        assert_eq!(failure.code, "unsupported");
        assert!(failure.message.contains(why), "{}", failure.message);
        assert!(server.borrow().objects.is_empty(), "{heeds:?}: what was tried is gone");
    }
}

#[test]
fn a_server_that_refuses_what_holds_is_not_somebody_else() {
    let server = Shared::default();
    let mut documents = open(&server);
    documents.write(KEY, b"1").unwrap();
    server.borrow_mut().heeds = Heeds::IfMatchNever;
    let failure = documents.write(KEY, b"2").unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retryable), ("unavailable", true));
    assert!(failure.message.contains("although the condition holds"), "{}", failure.message);
    assert!(!failure.message.contains("somebody else"), "{}", failure.message);
    // Somebody else is still somebody else.
    server.borrow_mut().objects.insert(KEY.to_owned(), b"3".to_vec());
    assert_eq!(documents.write(KEY, b"2").unwrap_err().code, "conflict");
    server.borrow_mut().heeds = Heeds::All;
    documents.read(KEY).unwrap();
    documents.write(KEY, b"4").unwrap();
    // Once refused for nothing, it is tried again.
    fates(&server, &[Fate::Answered(412)]);
    documents.write(KEY, b"5").unwrap();
    assert_eq!(value(&server), "5");
}

#[test]
fn a_conflict_that_the_server_has_with_itself_may_pass() {
    let server = Shared::default();
    let mut documents = open(&server);
    documents.write(KEY, b"1").unwrap();
    fates(&server, &[Fate::Refused(409, "ConditionalRequestConflict")]);
    assert!(documents.write(KEY, b"2").unwrap_err().retryable);
    documents.write(KEY, b"2").unwrap();
    assert_eq!(value(&server), "2");
}

#[test]
fn an_answer_lost_while_it_is_tried_out_misleads_nobody() {
    // The requests of a start: a listing, seven of the probe, and its removal.
    for lost in 1..9 {
        for fate in [Fate::AnswerLost, Fate::NeverArrives] {
            let server = Shared::default();
            fates(&server, &[Fate::Arrives; 9]);
            server.borrow_mut().fates[lost] = fate;
            open(&server);
            assert!(server.borrow().objects.is_empty(), "{lost} {fate:?}");
        }
    }
}
