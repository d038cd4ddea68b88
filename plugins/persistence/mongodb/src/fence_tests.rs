//! The fence, with a server that does what it is told, and with one that keeps commands back.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use bson::{Document, RawDocument, RawDocumentBuf, doc};
use sigbox_sdk::persistence::{Address, Failure, Holder};

use crate::{
    fake::{
        Fake, name,
        rows::{Fate, Rows, server},
        settings,
    },
    fence::Epoch,
    layout,
    store::Store,
};

const SCOPE: &str = "live";

fn at() -> Address {
    let [domain, entity_name, entity_id] = ["signal", "BTCUSDT_a", "BTCUSDT"].map(str::to_owned);
    Address { domain, entity_name, entity_id }
}

fn of(number: u64) -> Epoch<'static> {
    Epoch { scope: SCOPE, number }
}

fn holder_of(epoch: u64, owner: &str) -> Holder {
    Holder { epoch, owner: owner.to_owned(), since_ms: 1_769_860_800_000 }
}

fn started(fake: &Fake) -> Store {
    Store::start(settings(&[fake.port()]), |_| {}).unwrap_or_else(|failure| panic!("{}", failure.message))
}

/// A server that does what it is told, and a store on it.
fn plain() -> (Arc<Mutex<Rows>>, Fake, Store) {
    let rows = Arc::<Mutex<Rows>>::default();
    let fake = server(&rows, |_| Fate::Run);
    let store = started(&fake);
    (rows, fake, store)
}

fn row_of(rows: &Mutex<Rows>) -> Option<Document> {
    rows.lock().unwrap_or_else(PoisonError::into_inner).0.get(&layout::id(&at())).cloned()
}

fn document_of(rows: &Rows) -> Option<Vec<u8>> {
    let row = rows.0.get(&layout::id(&at()))?;
    row.get_binary_generic("value").ok().cloned()
}

/// The commands that a call gives, by name.
fn commands_of<T>(fake: &Fake, call: impl FnOnce() -> T) -> (T, Vec<String>) {
    let before = fake.commands().len();
    let outcome = call();
    (outcome, fake.commands()[before..].iter().map(|command| name(command)).collect())
}

fn fenced<T: std::fmt::Debug>(outcome: Result<T, Failure>, by: &str) {
    let failure = outcome.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retryable), ("fenced", false), "{}", failure.message);
    assert!(failure.message.contains(by), "{}", failure.message);
}

#[test]
fn a_greater_epoch_takes_over_and_an_older_one_is_refused_by_the_name_of_the_holder() {
    let (rows, _, mut store) = plain();
    assert_eq!(store.holder(SCOPE).unwrap(), None);
    fenced(store.write_fenced(&at(), b"1", 1, of(0)), "nobody holds it");
    store.claim(SCOPE, &holder_of(9, "one")).unwrap();
    store.claim(SCOPE, &holder_of(9, "one")).unwrap();
    for claim in [holder_of(9, "other"), holder_of(8, "one"), holder_of(0, "")] {
        fenced(store.claim(SCOPE, &claim), "one holds it with epoch 9");
    }
    store.write_fenced(&at(), b"1", 1, of(9)).unwrap();
    // Ten is greater than nine, and this is the greatest.
    for (epoch, before) in [(10, 9), (u64::MAX, 10)] {
        store.claim(SCOPE, &holder_of(epoch, "other")).unwrap();
        assert_eq!(store.holder(SCOPE).unwrap(), Some(holder_of(epoch, "other")));
        let unchanged = row_of(&rows);
        fenced(store.write_fenced(&at(), b"2", 1, of(before)), "other holds it");
        fenced(store.remove_fenced(&at(), of(before)), "other holds it");
        assert_eq!(row_of(&rows), unchanged);
        store.write_fenced(&at(), b"3", 1, of(epoch)).unwrap();
        assert_eq!(store.read(&at()).unwrap().as_deref(), Some(b"3".as_slice()));
    }
    let elsewhere = Address { entity_id: "ETHUSDT".to_owned(), ..at() };
    fenced(store.write_fenced(&elsewhere, b"2", 1, of(10)), "other holds it");
    assert_eq!(rows.lock().unwrap().0.get(&layout::id(&elsewhere)), None, "who is refused leaves nothing");
}

#[test]
fn a_write_is_one_command_once_a_row_is_checked_also_after_the_next_claim() {
    let (_, fake, mut store) = plain();
    store.claim(SCOPE, &holder_of(1, "one")).unwrap();
    let ((), first) = commands_of(&fake, || store.write_fenced(&at(), b"1", 1, of(1)).unwrap());
    assert_eq!(first, ["update", "find", "update", "find", "update"]);
    store.claim(SCOPE, &holder_of(2, "two")).unwrap();
    for value in [b"2", b"3"] {
        let ((), then) = commands_of(&fake, || store.write_fenced(&at(), value, 1, of(2)).unwrap());
        assert_eq!(then, ["update"]);
    }
    let (removed, removal) = commands_of(&fake, || store.remove_fenced(&at(), of(2)).unwrap());
    assert!(removed && removal == ["update"], "{removal:?}");
    let ((), again) = commands_of(&fake, || store.write_fenced(&at(), b"4", 1, of(2)).unwrap());
    assert_eq!(again, ["update"]);
}

#[test]
fn a_document_that_was_removed_is_none_in_every_call() {
    let (rows, _, mut store) = plain();
    store.claim(SCOPE, &holder_of(1, "one")).unwrap();
    assert!(!store.remove_fenced(&at(), of(1)).unwrap());
    assert_eq!(row_of(&rows), None, "there was nothing, and nothing is made");
    store.write_fenced(&at(), b"1", 7, of(1)).unwrap();
    assert!(store.remove_fenced(&at(), of(1)).unwrap());
    assert!(row_of(&rows).is_some_and(|row| !row.contains_key("value") && !row.contains_key("when")), "its row stays");
    assert_eq!(store.read(&at()).unwrap(), None);
    assert!(!store.has(&at()).unwrap());
    assert!(!store.remove_fenced(&at(), of(1)).unwrap());
    assert!(!store.remove(&at()).unwrap(), "there is no document");
    assert_eq!(row_of(&rows), None, "and without an epoch, no row");
    store.write(&at(), b"2", 1).unwrap();
    assert!(store.remove(&at()).unwrap());
    assert_eq!(row_of(&rows), None);
}

#[test]
fn what_was_written_without_an_epoch_is_taken_into_the_scope() {
    let (rows, _, mut store) = plain();
    store.write(&at(), b"1", 1).unwrap();
    store.claim(SCOPE, &holder_of(1, "one")).unwrap();
    assert_eq!(store.read(&at()).unwrap().as_deref(), Some(b"1".as_slice()));
    assert!(store.remove_fenced(&at(), of(1)).unwrap());
    store.write(&at(), b"2", 1).unwrap();
    let row = row_of(&rows).unwrap();
    assert_eq!((row.get_str("scope").ok(), row.get_bool("checked").ok()), (Some(SCOPE), Some(true)), "they stay");
    store.write_fenced(&at(), b"3", 1, of(1)).unwrap();
    assert_eq!(store.read(&at()).unwrap().as_deref(), Some(b"3".as_slice()));
}

#[test]
fn ferretdb_is_not_trusted_with_a_fence_and_keeps_documents() {
    for version in [doc! { "ferretdbVersion": "v1.24.2" }, doc! { "ferretdb": { "version": "v2.0.0" } }] {
        let mut build = version.clone();
        build.insert("ok", 1);
        let build = RawDocumentBuf::try_from(&build).unwrap();
        let rows = Mutex::<Rows>::default();
        let fake = Fake::answering(move |command| match name(command).as_str() {
            "hello" => Some(crate::fake::member(true)),
            "buildInfo" => Some(build.clone()),
            _ => Some(rows.lock().unwrap().run(command)),
        });
        let mut store = started(&fake);
        let refusals = [
            store.holder(SCOPE).map(drop),
            store.claim(SCOPE, &holder_of(1, "one")),
            store.write_fenced(&at(), b"1", 1, of(1)),
            store.remove_fenced(&at(), of(1)).map(drop),
        ];
        for refusal in refusals {
            let failure = refusal.unwrap_err();
            assert_eq!((failure.code.as_str(), failure.retryable), ("unsupported", false), "{version}");
            assert!(failure.message.contains("is FerretDB"), "{}", failure.message);
        }
        store.write(&at(), b"1", 1).unwrap();
        assert_eq!(store.read(&at()).unwrap().as_deref(), Some(b"1".as_slice()));
    }
}

#[test]
fn a_fence_that_cannot_be_read_is_an_error_and_never_no_holder() {
    for fence in [
        doc! {},
        doc! { "epoch": 1, "owner": "one", "since": bson::DateTime::now() },
        doc! { "epoch": "x", "owner": "one", "since": bson::DateTime::now() },
        doc! { "epoch": "1", "owner": "one", "since": 1 },
        doc! { "epoch": "1", "owner": "one", "since": bson::DateTime::from_millis(-1) },
    ] {
        let (rows, _, mut store) = plain();
        let mut row = doc! { "_id": layout::fence_id(SCOPE) };
        row.extend(fence.clone());
        rows.lock().unwrap().0.insert(layout::fence_id(SCOPE), row);
        for failure in [store.holder(SCOPE).unwrap_err(), store.write_fenced(&at(), b"1", 1, of(1)).unwrap_err()] {
            assert_eq!((failure.code.as_str(), failure.retryable), ("corrupt", false), "{fence}");
        }
    }
}

/// What the old host does, and what is there before.
#[derive(Clone, Copy, Debug)]
struct Case {
    is_removal: bool,
    before: Before,
    /// Which changes of the old host are kept back, by their number.
    kept: [Option<usize>; 2],
    /// The command of the old host before which the new host claims.
    paused_at: usize,
}

#[derive(Clone, Copy, Debug)]
enum Before {
    Nothing,
    Unfenced,
    /// A document of another scope, which is checked.
    Elsewhere,
    /// Of an epoch before.
    Checked,
}

const OLD: u64 = 2;

const NEW: u64 = 3;

/// The old host claims and makes its call. The network keeps some of its commands back, so it repeats them. At some
/// command it is paused, and the new host claims. Then the old host goes on. What was kept back arrives in every order
/// that there is, and with it a take of a still older host.
///
/// How many changes the old host had sent by then, and whether the new host came to claim. If not, the old one had ended
/// before.
fn takes_over(case: Case, late_take: &RawDocument) -> (usize, bool) {
    let rows = Arc::<Mutex<Rows>>::default();
    let of_new = server(&rows, |_| Fate::Run);
    let mut new = started(&of_new);
    match case.before {
        Before::Nothing => {}
        Before::Unfenced => new.write(&at(), b"first", 1).unwrap(),
        Before::Elsewhere => {
            let other = Epoch { scope: "elsewhere", number: 9 };
            new.claim(other.scope, &holder_of(other.number, "other")).unwrap();
            new.write_fenced(&at(), b"first", 1, other).unwrap();
        }
        Before::Checked => {
            new.claim(SCOPE, &holder_of(1, "oldest")).unwrap();
            new.write_fenced(&at(), b"first", 1, of(1)).unwrap();
        }
    }
    let kept = Arc::new(Mutex::new(vec![late_take.to_owned()]));
    let after_claim = Arc::new(Mutex::new(None));
    let (commands, changes) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let is_setup = Arc::new(AtomicBool::new(true));
    let taking_over = {
        let (rows, kept, after_claim) = (Arc::clone(&rows), Arc::clone(&kept), Arc::clone(&after_claim));
        let (is_setup, changes) = (Arc::clone(&is_setup), Arc::clone(&changes));
        let new = Mutex::new(new);
        move |command: &RawDocument| {
            let is_about_layout = contains(command, "layout");
            if is_setup.load(Ordering::SeqCst) || is_about_layout {
                return Fate::Run;
            }
            if commands.fetch_add(1, Ordering::SeqCst) == case.paused_at {
                new.lock().unwrap().claim(SCOPE, &holder_of(NEW, "new")).unwrap();
                *after_claim.lock().unwrap() = Some(rows.lock().unwrap().clone());
            }
            if name(command) == "update" && after_claim.lock().unwrap().is_none() {
                let number = changes.fetch_add(1, Ordering::SeqCst);
                if case.kept.contains(&Some(number)) {
                    kept.lock().unwrap().push(command.to_owned());
                    return Fate::Keep;
                }
            }
            Fate::Run
        }
    };
    let fake = server(&rows, taking_over);
    let mut old = started(&fake);
    is_setup.store(false, Ordering::SeqCst);
    repeated(|| old.claim(SCOPE, &holder_of(OLD, "old")));
    repeated(|| {
        if case.is_removal {
            old.remove_fenced(&at(), of(OLD)).map(drop)
        } else {
            old.write_fenced(&at(), b"old", 1, of(OLD))
        }
    });
    let changes = changes.load(Ordering::SeqCst);
    let Some(after_claim) = after_claim.lock().unwrap().clone() else { return (changes, false) };
    let expected = document_of(&after_claim);
    let now = rows.lock().unwrap().clone();
    assert_eq!(document_of(&now), expected, "{case:?}: what the old host did afterwards");
    let kept = kept.lock().unwrap().clone();
    for order in orders(kept.len()) {
        let mut rows = now.clone();
        for number in &order {
            rows.run(&kept[*number]);
            assert_eq!(document_of(&rows), expected, "{case:?}: {order:?} of {kept:#?}");
        }
    }
    (changes, true)
}

/// As the host does it.
fn repeated(mut call: impl FnMut() -> Result<(), Failure>) {
    for _ in 0..10 {
        match call() {
            Err(failure) if failure.retryable => {}
            Err(failure) => return assert_eq!(failure.code, "fenced", "{}", failure.message),
            Ok(()) => return,
        }
    }
    panic!("it is never done");
}

/// A host with epoch 1 takes the row.
fn late_take() -> RawDocumentBuf {
    let rows = Arc::<Mutex<Rows>>::default();
    let fake = server(&rows, |_| Fate::Run);
    let mut store = started(&fake);
    store.claim(SCOPE, &holder_of(1, "oldest")).unwrap();
    store.write_fenced(&at(), b"oldest", 1, of(1)).unwrap();
    let is_take = |command: &RawDocumentBuf| contains(command, "$or");
    fake.commands().into_iter().find(is_take).expect("a first write takes the row")
}

/// Whether the text is somewhere in the command.
fn contains(command: &RawDocument, text: &str) -> bool {
    command.as_bytes().windows(text.len()).any(|bytes| bytes == text.as_bytes())
}

/// Every order of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(count - 1);
    shorter.iter().flat_map(|order| (0..count).map(|at| [&order[..at], &[count - 1], &order[at..]].concat())).collect()
}

/// Runs the case, and those in which one or two more changes are kept back; in how many the new host claimed.
fn take_over_whatever_is_kept(case: Case, late_take: &RawDocument) -> usize {
    let (changes, has_claimed) = takes_over(case, late_take);
    let more = match case.kept {
        [None, _] => (0..changes).map(|first| [Some(first), None]).collect::<Vec<_>>(),
        [Some(first), None] => (first + 1..changes).map(|second| [Some(first), Some(second)]).collect(),
        [Some(_), Some(_)] => Vec::new(),
    };
    let claims = more.into_iter().map(|kept| take_over_whatever_is_kept(Case { kept, ..case }, late_take));
    claims.sum::<usize>() + usize::from(has_claimed)
}

#[test]
fn nothing_of_an_older_epoch_is_written_after_a_claim_however_late_it_arrives() {
    let late_take = late_take();
    for (is_removal, before) in [
        (false, Before::Nothing),
        (false, Before::Unfenced),
        (false, Before::Elsewhere),
        (false, Before::Checked),
        (true, Before::Unfenced),
        (true, Before::Checked),
    ] {
        let mut claims = 0;
        for paused_at in 0.. {
            let case = Case { is_removal, before, kept: [None; 2], paused_at };
            match take_over_whatever_is_kept(case, &late_take) {
                0 => break,
                count => claims += count,
            }
        }
        assert!(claims > 20, "{is_removal} {before:?}: {claims}");
    }
}
