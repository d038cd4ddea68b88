//! The scene of a case: names that nothing else uses, calls that are watched, and the removal of what was written.

use std::{
    collections::BTreeSet,
    future::Future,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sigbox_events::IncidentKind;
use sigbox_market::digest::sha256;
use sigbox_sandbox::Descriptor;
use sigbox_trading::store::{Address, Apart, Holder, OTHER, StoreError, UNSUPPORTED};
use tokio::time::{Instant, sleep, timeout};

use super::{
    case::{Done, Stop, check},
    component::{ComponentSubject, with_denials},
    subject::{Opened, Subject, Trouble, VOLATILE},
};

/// The time of a call. It bounds the calls of stores in Rust, which have no other limit. A component has a limit of its
/// own, by default a shorter one.
const CALL: Duration = Duration::from_mins(1);

/// How long a store may say "later" after a case disturbed it. This is longer than servers take to notice that a client
/// has died.
const RECOVERY: Duration = Duration::from_secs(10);

/// The pause between two attempts within [`RECOVERY`].
const PAUSE: Duration = Duration::from_millis(50);

/// Characters of a name or a value that a reason shows.
const SHOWN_CHARACTERS: usize = 48;

/// What is the same in all cases of a run.
pub(super) struct Run<'r> {
    pub(super) subject: &'r dyn Subject,
    pub(super) descriptor: Result<Descriptor, Trouble>,
    /// Whether the subject starts at all.
    pub(super) start: Result<(), Trouble>,
    /// Why its storage cannot be claimed, if it cannot.
    pub(super) unfenced: Option<String>,
    heard: Arc<Heard>,
}

/// Everything the subject said: its errors, and its log lines.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Heard {
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        // A panic cannot leave a list half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'r> Run<'r> {
    pub(super) async fn begin(subject: &'r dyn Subject) -> Self {
        let descriptor = subject.describe().await;
        let mut unfenced = None;
        let start = match subject.open().await {
            Ok(opened) => {
                unfenced = match opened.store.apart() {
                    Apart::Fence(fence) => match fence.holder("kit").await {
                        Err(error) if error.code == UNSUPPORTED => Some(error.message),
                        _ => None,
                    },
                    Apart::No | Apart::Lock => Some("it does not offer sigbox:persistence/fenced".to_owned()),
                };
                opened.store.close().await;
                Ok(())
            }
            Err(trouble) => Err(trouble),
        };
        Self { subject, descriptor, start, unfenced, heard: Arc::default() }
    }

    pub(super) fn component(&self) -> Result<&'r ComponentSubject, String> {
        self.subject.as_component()
    }

    /// Why the documents of the subject are lost with the instance, if they are.
    pub(super) fn volatile(&self) -> Option<String> {
        let said = self.descriptor.as_ref().ok()?;
        let is_volatile = said.features.iter().any(|feature| feature == VOLATILE);
        is_volatile.then(|| format!("it says that it is {VOLATILE}: its documents go with the instance"))
    }

    pub(super) fn summary(&self) -> String {
        match &self.descriptor {
            Ok(Descriptor { name, version, summary, .. }) => format!("{name} {version}: {summary}"),
            Err(trouble) => format!("a store that does not say what it is: {}", trouble.message),
        }
    }

    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lines().clone()
    }
}

/// The scene of one case.
pub(super) struct Scene<'s> {
    pub(super) run: &'s Run<'s>,
    token: String,
    written: Arc<Written>,
    note: Mutex<String>,
}

/// Addresses at which a case may have left documents.
#[derive(Default)]
struct Written(Mutex<BTreeSet<Address>>);

impl Written {
    fn addresses(&self) -> MutexGuard<'_, BTreeSet<Address>> {
        // A panic cannot leave a set half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'s> Scene<'s> {
    pub(super) fn new(run: &'s Run<'s>) -> Self {
        // The keys of hash tables are random; the standard library has no other random numbers.
        let token = format!("{:012x}", RandomState::new().hash_one(0) >> 16);
        Self { run, token, written: Arc::default(), note: Mutex::default() }
    }

    /// A name that no other case and no other run uses.
    pub(super) fn unique(&self, name: &str) -> String {
        format!("{name}_kit-{}", self.token)
    }

    /// An address whose entity name is unique.
    pub(super) fn at(&self, domain: &str, entity_name: &str, entity_id: &str) -> Address {
        at(domain, &self.unique(entity_name), entity_id)
    }

    pub(super) fn component(&self) -> Result<&'s ComponentSubject, Stop> {
        self.run.component().map_err(Stop::NotRun)
    }

    /// Notes what was found on the way, for the report.
    pub(super) fn note(&self, note: impl Into<String>) {
        *self.note.lock().unwrap_or_else(PoisonError::into_inner) = note.into();
    }

    pub(super) fn take_note(&self) -> String {
        std::mem::take(&mut *self.note.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens a fresh instance.
    pub(super) async fn open(&self) -> Result<Handle, Stop> {
        self.watch(self.run.subject.open().await).map_err(|trouble| does_not_open(&trouble))
    }

    /// Opens a fresh instance after something was done to the store. The store may say "later" for a while.
    pub(super) async fn recover(&self, after: &str) -> Result<Handle, Stop> {
        let until = Instant::now() + RECOVERY;
        loop {
            match self.watch(self.run.subject.open().await) {
                Err(trouble) if trouble.retryable && Instant::now() < until => sleep(PAUSE).await,
                opened => {
                    return opened.map_err(|trouble| {
                        Stop::Failed(format!("after {after} it does not open any more: {}", trouble.message))
                    });
                }
            }
        }
    }

    /// Watches an instance that was opened in some other way.
    pub(super) fn watch(&self, opened: Result<Opened, Trouble>) -> Result<Handle, Trouble> {
        match opened {
            Ok(opened) => Ok(Handle {
                opened,
                written: Arc::clone(&self.written),
                heard: Arc::clone(&self.run.heard),
                ready: Mutex::default(),
            }),
            Err(trouble) => {
                self.run.heard.lines().push(trouble.message.clone());
                Err(trouble)
            }
        }
    }

    /// Removes what the case wrote. Returns what could not be removed, with the reason.
    pub(super) async fn clean_up(&self) -> Vec<String> {
        let addresses = std::mem::take(&mut *self.written.addresses());
        if addresses.is_empty() || self.run.volatile().is_some() {
            return Vec::new();
        }
        let handle = match self.recover("a case").await {
            Ok(handle) => handle,
            Err(Stop::Failed(reason) | Stop::NotRun(reason)) => {
                return vec![format!("{} documents: {reason}", addresses.len())];
            }
        };
        let mut left = Vec::new();
        for address in addresses {
            if let Err(trouble) = handle.remove(&address).await {
                left.push(format!("{}: {}", shown_address(&address), trouble.message));
                if trouble.broke {
                    break;
                }
            }
        }
        handle.close().await;
        left
    }
}

/// The address of exactly these parts.
pub(super) fn at(domain: &str, entity_name: &str, entity_id: &str) -> Address {
    let [domain, entity_name, entity_id] = [domain, entity_name, entity_id].map(str::to_owned);
    Address { domain, entity_name, entity_id }
}

fn does_not_open(trouble: &Trouble) -> Stop {
    Stop::Failed(format!("it does not open: {}", trouble.message))
}

/// One instance, through which a case makes its calls. The handle makes an entity ready before its first call.
pub(super) struct Handle {
    opened: Opened,
    written: Arc<Written>,
    heard: Arc<Heard>,
    ready: Mutex<BTreeSet<(String, String)>>,
}

/// How a call failed, and at which address.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) retryable: bool,
    pub(super) broke: bool,
    at: Address,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(format!("{}: {}", shown_address(&failure.at), failure.message))
    }
}

type Answer<T> = Result<T, Failure>;

impl Handle {
    pub(super) async fn init(&self, domain: &str, entity_name: &str, initial: bool) -> Answer<()> {
        let whole = at(domain, entity_name, "");
        self.watched(&whole, self.opened.store.wait_for_init(domain, entity_name, initial)).await?;
        self.ready().insert((domain.to_owned(), entity_name.to_owned()));
        Ok(())
    }

    pub(super) async fn read(&self, at: &Address) -> Answer<Option<Vec<u8>>> {
        self.make_ready(at).await?;
        self.watched(at, self.opened.store.read_value(at)).await
    }

    pub(super) async fn has(&self, at: &Address) -> Answer<bool> {
        self.make_ready(at).await?;
        self.watched(at, self.opened.store.has_value(at)).await
    }

    pub(super) async fn write(&self, at: &Address, value: impl AsRef<[u8]>) -> Answer<()> {
        self.make_ready(at).await?;
        let is_first = self.written.addresses().insert(at.clone());
        let written = self.watched(at, self.opened.store.write_value(at, value.as_ref(), WHEN_MS)).await;
        if is_first && written.as_ref().is_err_and(|failure| !failure.retryable) {
            // The store refused the write, so there is nothing to remove.
            self.written.addresses().remove(at);
        }
        written
    }

    pub(super) async fn remove(&self, at: &Address) -> Answer<bool> {
        self.make_ready(at).await?;
        self.watched(at, self.opened.store.remove_value(at)).await
    }

    pub(super) async fn keys(&self, domain: &str, entity_name: &str) -> Answer<Vec<String>> {
        let whole = at(domain, entity_name, "");
        self.make_ready(&whole).await?;
        self.watched(&whole, self.opened.store.keys(domain, entity_name)).await
    }

    pub(super) async fn holder(&self, scope: &str) -> Answer<Option<Holder>> {
        let Apart::Fence(fence) = self.opened.store.apart() else { return Ok(None) };
        self.watched(&at("scope", scope, ""), fence.holder(scope)).await
    }

    /// From now on, writes and removals of this instance are fenced.
    pub(super) async fn claim(&self, scope: &str, claim: &Holder) -> Answer<()> {
        let Apart::Fence(fence) = self.opened.store.apart() else { return Ok(()) };
        self.watched(&at("scope", scope, ""), fence.claim(scope, claim)).await
    }

    pub(super) async fn close(self) {
        let _ = timeout(CALL, self.opened.store.close()).await;
        self.listen();
    }

    /// The largest document that the store takes, in bytes.
    pub(super) fn most_bytes(&self) -> u64 {
        self.opened.store.max_value_bytes()
    }

    /// Fails the case unless both `read-value` and `has-value` answer that `expected` is there.
    pub(super) async fn expect(&self, at: &Address, expected: Option<&[u8]>, when: &str) -> Done {
        let found = self.read(at).await?;
        check(found.as_deref() == expected, || {
            format!(
                "{}: {when}, read-value gave {} instead of {}",
                shown_address(at),
                shown_value(found.as_deref()),
                shown_value(expected)
            )
        })?;
        let has = self.has(at).await?;
        check(has == expected.is_some(), || format!("{}: {when}, has-value gave {has}", shown_address(at)))
    }

    /// Fails the case unless `expected` is the whole list of ids under the entity name of `at`.
    pub(super) async fn expect_keys(&self, at: &Address, expected: &[&str], when: &str) -> Done {
        let found = self.keys(&at.domain, &at.entity_name).await?;
        check(found == expected, || {
            format!("{} {}: {when}, keys gave {found:?} instead of {expected:?}", at.domain, shown(&at.entity_name))
        })
    }

    async fn make_ready(&self, at: &Address) -> Answer<()> {
        if self.ready().contains(&(at.domain.clone(), at.entity_name.clone())) {
            return Ok(());
        }
        // False: the entity may have been used before. The handle does not know that, and a store must not depend on
        // it.
        self.init(&at.domain, &at.entity_name, false).await
    }

    fn ready(&self) -> MutexGuard<'_, BTreeSet<(String, String)>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn watched<T>(&self, at: &Address, call: impl Future<Output = Result<T, StoreError>>) -> Answer<T> {
        let answer = timeout(CALL, call).await;
        let broke = self.opened.store.incidents().iter().any(|incident| incident.kind == IncidentKind::Restarted);
        let mut failure = match answer {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(StoreError { code, message, retryable, .. })) => {
                Failure { code, message, retryable, broke, at: at.clone() }
            }
            Err(_) => Failure {
                code: OTHER.to_owned(),
                message: format!("the call did not come back within {} s", CALL.as_secs()),
                retryable: false,
                broke: true,
                at: at.clone(),
            },
        };
        if let Some(probe) = &self.opened.probe {
            failure.message = with_denials(failure.message, probe);
        }
        self.heard.lines().push(failure.message.clone());
        self.listen();
        Err(failure)
    }

    /// Records what the instance logged.
    fn listen(&self) {
        if let Some(probe) = &self.opened.probe {
            self.heard.lines().extend(probe.take_heard());
        }
    }
}

/// The engine's time that each write is given.
const WHEN_MS: i64 = 1_700_000_000_000;

/// [`text`] repeats itself after this many bytes. This is more than any index or file name has.
const PERIOD: usize = 128 << 10;

/// Text of hexadecimal digits that hardly compresses. Two parts of it differ, so a store that cuts or mixes them up is
/// noticed.
pub(super) fn text(seed: &str, characters: usize) -> String {
    let mut text = String::with_capacity(characters + 64);
    for number in 0_u32.. {
        if text.len() >= characters.min(PERIOD) {
            break;
        }
        text.push_str(&sha256(format!("{seed} {number}")));
    }
    while text.len() < characters {
        text.extend_from_within(..text.len().min(characters - text.len()));
    }
    text.truncate(characters);
    text
}

/// A JSON document of `bytes` bytes.
pub(super) fn document(seed: &str, bytes: usize) -> Vec<u8> {
    format!("\"{}\"", text(seed, bytes.saturating_sub(2))).into_bytes()
}

/// A text as a reason shows it: one printable line, not too long.
pub(super) fn shown(text: &str) -> String {
    let beginning: String = text.chars().take(SHOWN_CHARACTERS).collect();
    let rest = text.len() - beginning.len();
    if rest == 0 { format!("{text:?}") } else { format!("{beginning:?} and {rest} bytes more") }
}

pub(super) fn shown_address(Address { domain, entity_name, entity_id }: &Address) -> String {
    format!("({}, {}, {})", shown(domain), shown(entity_name), shown(entity_id))
}

/// What is at an address, as a reason shows it.
pub(super) fn shown_value(value: Option<&[u8]>) -> String {
    match value {
        None => "none".to_owned(),
        Some(bytes) => format!("{} bytes {}", bytes.len(), shown(&String::from_utf8_lossy(bytes))),
    }
}
