//! Backends: persistence plugins, each served as a [`Store`].

mod circuit;
mod context;
mod http;
mod instance;
mod look_up;
mod network;
mod probe;
mod supervisor;
mod thread;
mod wrapped;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use sigbox_events::Incident;
use sigbox_files::Disk;
use sigbox_market::digest::sha256;
use sigbox_trading::store::{
    Address, Apart, DirectoryLock, FENCED, Fence, Holder, Incidents, LockError, OTHER, Store, StoreError, UNAVAILABLE,
};
use tokio::time::{Instant, timeout_at};

use self::{
    context::Shared,
    http::Http,
    instance::{Blueprint, Call, Exports, Failed, wait_for_init},
    network::Network,
    supervisor::{Problem, Supervision, Supervisor},
    thread::{Gone, Thread},
};
use crate::{
    PluginError, Program, Sandbox, Text,
    bindings::persistence::exports::sigbox::persistence::{fenced, store as wit},
    limits::{LISTING_PAGE, LISTING_PAGES},
    mode::Live,
    sandbox::TimeLimit,
    secret::{Secret, hide},
    text::{message, words},
};

pub use self::{
    network::{Endpoint, EndpointError},
    probe::{Descriptor, Probe},
};

/// The setting of the time of a call.
const STORE_TIMEOUT: &str = "[limits] store-timeout-ms";

/// What a persistence plugin is granted. It has nothing else.
#[derive(Clone, Default)]
pub struct Grant {
    /// The store's name in the configuration.
    pub name: String,
    /// Settings, for `sigbox:host/config`.
    pub settings: BTreeMap<String, String>,
    /// Secrets granted by name.
    pub secrets: BTreeMap<String, Secret>,
    /// Addresses it may connect to.
    pub network: Vec<Endpoint>,
    /// Folders that it may read and write, by the path at which the plugin sees them. Missing folders are made. No
    /// other store may use a folder while this one does.
    pub directories: BTreeMap<String, PathBuf>,
    /// The store that a wrapper wraps. Others may use it too, so the wrapper does not close it; its owner does.
    pub over: Option<Arc<dyn Store>>,
}

/// A [`Store`] served by one long-lived instance of a component, on a thread of its own. Calls are made one at a time,
/// in the order in which they arrive.
///
/// If the backend refuses a call but the same call may succeed later, the call is repeated after the pause that the
/// backend asks for, or after a growing pause. If the instance breaks down, a fresh one takes its place and is told
/// which entities are ready, and the call is repeated once, unless its time is up. All of this happens within the time
/// of one call. A backend that fails several calls in a row is not asked for a while. See [`Store::incidents`].
pub struct PluginStore {
    thread: Thread,
    summary: String,
    /// The largest document that the plugin says it takes, in bytes.
    most_bytes: u64,
    time: TimeLimit,
    incidents: Arc<Incidents>,
    over: Option<Arc<dyn Store>>,
    /// Whether its storage can be claimed.
    is_fenced: bool,
    /// Whether it has nothing but folders of this machine, so that their locks keep others out.
    is_local: bool,
    /// The claim that every change is made with.
    claimed: Mutex<Option<Arc<Claimed>>>,
    /// Shared with the call under way, which may go on after its caller stopped waiting.
    directories: Arc<[DirectoryLock]>,
}

/// A claim that was accepted.
struct Claimed {
    scope: String,
    holder: Holder,
}

impl PluginStore {
    /// Compiles the component of `program`, or loads its compiled code, checks that it is a backend and starts it.
    ///
    /// # Errors
    /// When the file cannot be read, is not a component, does not fit `sigbox:persistence`, or cannot start, or when a
    /// directory is in use.
    pub async fn start(
        sandbox: &Sandbox<Live>,
        program: impl Into<Program>,
        grant: Grant,
    ) -> Result<Self, PluginError> {
        Self::start_with(sandbox, program.into(), grant, Supervision::On, None).await
    }

    /// Checks that the component of `program` is a backend, and that it is a wrapper if and only if `over` is given.
    ///
    /// # Errors
    /// When one of these is not so, or the component cannot be loaded.
    pub fn check(
        sandbox: &Sandbox<Live>,
        program: impl Into<Program>,
        over: Option<Arc<dyn Store>>,
    ) -> Result<(), PluginError> {
        let program = program.into();
        let time = TimeLimit { limit: sandbox.limits().store_timeout, setting: STORE_TIMEOUT };
        let shared = Shared::of(Grant { over, ..Grant::default() }, program.text, None);
        Blueprint::new(sandbox, &program.component, shared, time).map(drop)
    }

    /// Starts one instance with a probe in it. The instance is not restarted, and its calls are not repeated.
    ///
    /// # Errors
    /// As [`PluginStore::start`].
    pub async fn start_probed(
        sandbox: &Sandbox<Live>,
        program: impl Into<Program>,
        grant: Grant,
        probe: Arc<Probe>,
    ) -> Result<Self, PluginError> {
        Self::start_with(sandbox, program.into(), grant, Supervision::Off, Some(probe)).await
    }

    async fn start_with(
        sandbox: &Sandbox<Live>,
        Program { component, text }: Program,
        grant: Grant,
        supervision: Supervision,
        probe: Option<Arc<Probe>>,
    ) -> Result<Self, PluginError> {
        let mut locks = Vec::new();
        for directory in grant.directories.values() {
            if sandbox.has_code_in_reach_of(directory) {
                return Err(PluginError::Directory {
                    plugin: grant.name,
                    directory: directory.clone(),
                    reason: "it and the folder of compiled code ([limits] cache-dir) are one in the other, and who \
                             writes there decides what this process runs; grant another folder"
                        .to_owned(),
                });
            }
            locks.push(lock(&grant.name, directory, sandbox.limits().store_timeout).await?);
        }
        let (name, over) = (grant.name.clone(), grant.over.clone());
        let is_local = grant.network.is_empty() && !grant.directories.is_empty();
        let shared = Shared::of(grant, text, probe);
        let secrets = Arc::clone(&shared.secrets);
        // A wrapper waits for the store it wraps, so its time includes the time of that store.
        let limit = sandbox.limits().store_timeout + over.as_ref().map_or(Duration::ZERO, |over| over.time_limit());
        let time = TimeLimit { limit, setting: STORE_TIMEOUT };
        let blueprint = Blueprint::new(sandbox, &component, shared, time)?;
        let is_fenced = blueprint.is_fenced();
        let incidents = Arc::new(Incidents::default());
        let supervisor = Supervisor::new(blueprint, supervision, Arc::clone(&incidents));
        let thread = Thread::spawn(&name, supervisor)
            .map_err(|error| PluginError::Sandbox(format!("no thread for {name}: {error}")))?;

        let deadline = Instant::now() + limit;
        let started = thread.call(move |supervisor| Box::pin(supervisor.start(deadline))).await;
        let started = started.map_err(|Gone| PluginError::Sandbox(format!("the thread of {name} ended")))?;
        let descriptor = started.map_err(|failed| match failed {
            Failed::Refused(function, failure) => PluginError::Refused {
                plugin: name.clone(),
                function,
                code: message(&failure.code),
                message: words(&hide(failure.message, &secrets)),
                retryable: failure.retryable,
            },
            Failed::Broke(function, breakdown) => PluginError::Broke { plugin: name.clone(), function, breakdown },
        })?;
        let wit::Descriptor { name: kind, version, summary, features: _, max_value_bytes, extra: _ } = descriptor;
        let said = hide(message(&format!("{kind} {version}: {summary}")), &secrets);
        let summary = format!("{name} ({said})");
        Ok(Self {
            thread,
            summary,
            most_bytes: max_value_bytes,
            time,
            incidents,
            over,
            is_fenced,
            is_local,
            claimed: Mutex::default(),
            directories: locks.into(),
        })
    }

    /// Makes a call on the backend's thread. The thread ends the call when its time is up.
    async fn call<T: Send + 'static>(
        &self,
        at: &Address,
        function: &'static str,
        call: impl Call<T> + 'static,
    ) -> Result<T, StoreError> {
        let deadline = Instant::now() + self.time.limit;
        let directories = Arc::clone(&self.directories);
        let answer = self.thread.call(move |supervisor| {
            Box::pin(async move {
                if deadline <= Instant::now() {
                    return None;
                }
                if let Err(problem) = check(&directories) {
                    return Some(Err(problem));
                }
                let answered = supervisor.call(deadline, function, &call).await;
                // The directories are checked again after the call. If one went away during the call, a document
                // missing in it must not be taken for "empty".
                Some(check(&directories).and(answered))
            })
        });
        let answered = match timeout_at(deadline + LAST_WORD, answer).await {
            Ok(Ok(Some(answered))) => answered,
            // An earlier call ended too late, or the thread is stuck.
            Ok(Ok(None)) | Err(_) => Err(unavailable(format!("{function}: {}", self.time.exceeded()))),
            Ok(Err(Gone)) => Err(unavailable(format!("{function}: its thread is gone"))),
        };
        answered.map_err(|Problem { code, message, retryable, retry_after }| StoreError {
            code,
            retryable,
            retry_after,
            ..self.error(at.clone(), message)
        })
    }

    /// An error that will not pass by itself.
    fn error(&self, at: Address, message: String) -> StoreError {
        StoreError::new(self.summary.clone(), at, message)
    }

    fn claimed(&self) -> Option<Arc<Claimed>> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn put_claim(&self, scope: &str, claim: &Holder) -> Result<(), StoreError> {
        let given = Arc::new((scope.to_owned(), claim.clone()));
        self.call(&whole("scope", scope), "claim", move |guest: &Exports, store: &mut wasmtime::Store<_>| {
            let given = Arc::clone(&given);
            Box::pin(async move {
                let (scope, Holder { epoch, owner, since_ms }) = &*given;
                guest.fenced()?.call_claim(store, scope, *epoch, owner, since_ms.unsigned_abs()).await
            })
        })
        .await
    }

    /// Claims again what this host has claimed, if the store has lost the claim with everything else. False if another
    /// host holds it.
    async fn claimed_again(&self, claimed: &Claimed) -> Result<bool, StoreError> {
        let Claimed { scope, holder } = claimed;
        if self.holder(scope).await?.is_some() {
            return Ok(false);
        }
        tracing::warn!(target: "plugin", "{}: it has lost who holds it, so it is claimed again", self.summary);
        self.put_claim(scope, holder).await?;
        Ok(true)
    }

    /// Lets another host claim what this one has claimed, without being told to take over.
    async fn release(&self) {
        let Some(claimed) = self.claimed.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let Claimed { scope, holder } = &*claimed;
        let nobody = Holder { epoch: holder.epoch + 1, owner: String::new(), since_ms: now_ms() };
        // The scope of a host that was fenced is not its own to release.
        if let Err(error) = self.put_claim(scope, &nobody).await
            && error.code != FENCED
        {
            tracing::warn!(target: "plugin", "{error}; so the next start on another machine needs --take-over");
        }
    }

    fn bad_listing(&self, at: Address, how: &str) -> StoreError {
        self.error(at, format!("keys: {how}"))
    }
}

impl Shared {
    fn of(grant: Grant, text: Option<Arc<Text>>, probe: Option<Arc<Probe>>) -> Self {
        let Grant { name, settings, secrets, network, directories, over } = grant;
        let network = Network::new(format!("[stores.{name}]"), network, probe.clone());
        let http = Http::new(Arc::clone(&network));
        let (config, secrets) = (Arc::new(settings), Arc::new(secrets));
        Self { name, text, config, secrets, network, http, directories, over, probe }
    }
}

fn unavailable(message: String) -> Problem {
    Problem { code: UNAVAILABLE.to_owned(), message, retryable: true, retry_after: None }
}

/// How long a caller waits for the thread after the time of a call is up, to hear how the call ended. A thread that has
/// not said so by then is stuck, for instance in a file operation that does not end.
const LAST_WORD: Duration = Duration::from_millis(250);

/// How often a lock that this process is about to release is tried again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Makes a granted directory and locks it, because guests cannot lock it. If this process has just dropped a store, a
/// call of that store may still be under way and keeps its lock until it ends. Such a lock is waited for; a lock of
/// another process is not.
async fn lock(store: &str, directory: &Path, patience: Duration) -> Result<DirectoryLock, PluginError> {
    let unusable =
        |reason: String| PluginError::Directory { plugin: store.to_owned(), directory: directory.to_owned(), reason };
    let absolute = std::path::absolute(directory).map_err(|error| unusable(format!("cannot be made: {error}")))?;
    sigbox_files::make_dir(&Disk, &absolute).map_err(|error| unusable(format!("cannot be made: {error}")))?;
    let deadline = Instant::now() + patience;
    loop {
        match DirectoryLock::acquire(directory) {
            Err(LockError::Held { by_this_process: true, .. }) if Instant::now() < deadline => {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            locked => return locked.map_err(|error| unusable(error.to_string())),
        }
    }
}

/// Whether the granted directories are still the ones that were locked.
fn check(directories: &[DirectoryLock]) -> Result<(), Problem> {
    directories.iter().try_for_each(DirectoryLock::check).map_err(|error| Problem {
        code: if error.is_retryable() { UNAVAILABLE } else { OTHER }.to_owned(),
        message: error.to_string(),
        retryable: error.is_retryable(),
        retry_after: None,
    })
}

fn lower(at: &Address) -> Arc<wit::Address> {
    let Address { domain, entity_name, entity_id } = at.clone();
    Arc::new(wit::Address { domain, entity_name, entity_id })
}

/// The address in errors that concern a whole entity name.
fn whole(domain: &str, entity_name: &str) -> Address {
    Address { domain: domain.to_owned(), entity_name: entity_name.to_owned(), entity_id: String::new() }
}

/// The time by the clock of this machine.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[async_trait]
impl Fence for PluginStore {
    async fn holder(&self, scope: &str) -> Result<Option<Holder>, StoreError> {
        let asked: Arc<str> = scope.into();
        let at = whole("scope", scope);
        let holder = self.call(&at, "get-holder", move |guest: &Exports, store: &mut wasmtime::Store<_>| {
            let asked = Arc::clone(&asked);
            Box::pin(async move { guest.fenced()?.call_get_holder(store, &asked).await })
        });
        Ok(holder.await?.map(|fenced::Holder { epoch, owner, since_ms }| Holder {
            epoch,
            owner,
            since_ms: i64::try_from(since_ms).unwrap_or(i64::MAX),
        }))
    }

    async fn claim(&self, scope: &str, claim: &Holder) -> Result<(), StoreError> {
        self.put_claim(scope, claim).await?;
        let claimed = Claimed { scope: scope.to_owned(), holder: claim.clone() };
        *self.claimed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(claimed));
        Ok(())
    }
}

#[async_trait]
impl Store for PluginStore {
    fn describe(&self) -> String {
        self.summary.clone()
    }

    fn max_value_bytes(&self) -> u64 {
        self.most_bytes
    }

    fn time_limit(&self) -> Duration {
        self.time.limit
    }

    fn apart(&self) -> Apart<'_> {
        match &self.over {
            // What a wrapper writes goes through the store under it, with the claim of that one.
            Some(over) => over.apart(),
            None if self.is_fenced => Apart::Fence(self),
            None if self.is_local => Apart::Lock,
            None => Apart::No,
        }
    }

    fn incidents(&self) -> Vec<Incident> {
        let mut incidents = self.incidents.take();
        incidents.extend(self.over.iter().flat_map(|over| over.incidents()));
        incidents
    }

    async fn wait_for_init(&self, domain: &str, entity_name: &str, initial: bool) -> Result<(), StoreError> {
        let entity = Arc::new((domain.to_owned(), entity_name.to_owned()));
        let at = whole(domain, entity_name);
        self.call(&at, "wait-for-init", wait_for_init(&entity, initial)).await?;
        let noted = self.thread.call(move |supervisor| {
            supervisor.made_ready(entity);
            Box::pin(std::future::ready(()))
        });
        noted.await.map_err(|Gone| self.error(at, "its thread is gone".to_owned()))
    }

    async fn read_value(&self, at: &Address) -> Result<Option<Vec<u8>>, StoreError> {
        let lowered = lower(at);
        self.call(at, "read-value", move |guest: &Exports, store: &mut wasmtime::Store<_>| {
            let at = Arc::clone(&lowered);
            Box::pin(async move { guest.store.call_read_value(store, &at).await })
        })
        .await
    }

    async fn has_value(&self, at: &Address) -> Result<bool, StoreError> {
        let lowered = lower(at);
        self.call(at, "has-value", move |guest, store| {
            let at = Arc::clone(&lowered);
            Box::pin(async move { guest.store.call_has_value(store, &at).await })
        })
        .await
    }

    async fn write_value(&self, at: &Address, value: &[u8], when_ms: i64) -> Result<(), StoreError> {
        if value.len() as u64 > self.most_bytes {
            let message = format!("write-value: {} bytes; the plugin takes at most {}", value.len(), self.most_bytes);
            return Err(StoreError { code: "too-large".to_owned(), ..self.error(at.clone(), message) });
        }
        let lowered = lower(at);
        let value: Arc<[u8]> = value.into();
        let when_ms = when_ms.unsigned_abs();
        let Some(claimed) = self.claimed() else {
            return self
                .call(at, "write-value", move |guest, store| {
                    let (at, value) = (Arc::clone(&lowered), Arc::clone(&value));
                    Box::pin(async move { guest.store.call_write_value(store, &at, &value, when_ms).await })
                })
                .await;
        };
        let write = || {
            let (lowered, value, claimed) = (Arc::clone(&lowered), Arc::clone(&value), Arc::clone(&claimed));
            self.call(at, "write-fenced", move |guest: &Exports, store: &mut wasmtime::Store<_>| {
                let (at, value, claimed) = (Arc::clone(&lowered), Arc::clone(&value), Arc::clone(&claimed));
                Box::pin(async move {
                    let Claimed { scope, holder } = &*claimed;
                    guest.fenced()?.call_write_fenced(store, &at, &value, when_ms, scope, holder.epoch).await
                })
            })
        };
        match write().await {
            Err(error) if error.code == FENCED && self.claimed_again(&claimed).await? => write().await,
            written => written,
        }
    }

    async fn remove_value(&self, at: &Address) -> Result<bool, StoreError> {
        let lowered = lower(at);
        let Some(claimed) = self.claimed() else {
            return self
                .call(at, "remove-value", move |guest, store| {
                    let at = Arc::clone(&lowered);
                    Box::pin(async move { guest.store.call_remove_value(store, &at).await })
                })
                .await;
        };
        let remove = || {
            let (lowered, claimed) = (Arc::clone(&lowered), Arc::clone(&claimed));
            self.call(at, "remove-fenced", move |guest: &Exports, store: &mut wasmtime::Store<_>| {
                let (at, claimed) = (Arc::clone(&lowered), Arc::clone(&claimed));
                Box::pin(async move {
                    let Claimed { scope, holder } = &*claimed;
                    guest.fenced()?.call_remove_fenced(store, &at, scope, holder.epoch).await
                })
            })
        };
        match remove().await {
            Err(error) if error.code == FENCED && self.claimed_again(&claimed).await? => remove().await,
            removed => removed,
        }
    }

    async fn keys(&self, domain: &str, entity_name: &str) -> Result<Vec<String>, StoreError> {
        let at = whole(domain, entity_name);
        let entity = Arc::new((domain.to_owned(), entity_name.to_owned()));
        let mut ids: Vec<String> = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..LISTING_PAGES {
            let (asked, from) = (Arc::clone(&entity), cursor.clone());
            let page = self
                .call(&at, "keys", move |guest, store| {
                    let (entity, from) = (Arc::clone(&asked), from.clone());
                    Box::pin(async move {
                        guest.store.call_keys(store, &entity.0, &entity.1, from.as_deref(), LISTING_PAGE).await
                    })
                })
                .await?;
            if page.entity_ids.len() > LISTING_PAGE as usize {
                return Err(self.bad_listing(at, "the plugin gave more ids than it was asked for"));
            }
            let is_last = page.next.is_none();
            if page.entity_ids.is_empty() && !is_last {
                return Err(self.bad_listing(at, "the plugin's listing does not advance"));
            }
            for id in page.entity_ids {
                if ids.last().is_some_and(|before| *before >= id) {
                    return Err(self.bad_listing(at, "the plugin's ids do not ascend"));
                }
                ids.push(id);
            }
            if is_last {
                return Ok(ids);
            }
            cursor = page.next;
        }
        Err(self.bad_listing(at, &format!("the plugin's listing has more than {LISTING_PAGES} pages")))
    }

    async fn quarantine(&self, at: &Address) -> Result<String, StoreError> {
        // The contract has no rename: the document is copied under a name of its own and only then removed.
        let Some(value) = self.read_value(at).await? else {
            return Ok("nowhere: it is gone".to_owned());
        };
        let aside = Address { entity_id: format!("{}.corrupt-{}", at.entity_id, &sha256(&value)[..12]), ..at.clone() };
        self.write_value(&aside, &value, 0).await?;
        self.remove_value(at).await?;
        Ok(format!("{} {}/{}", aside.domain, aside.entity_name, aside.entity_id))
    }

    async fn close(&self) {
        self.release().await;
        let deadline = Instant::now() + self.time.limit;
        let closed = self.thread.call(move |supervisor| Box::pin(supervisor.close(deadline)));
        // The result is not needed: the thread logs a close that failed, and a thread that is gone or stuck has failed
        // its calls.
        let _ = timeout_at(deadline, closed).await;
    }
}
