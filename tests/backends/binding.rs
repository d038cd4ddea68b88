//! Plugins as an operator binds them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use sigbox::{
    sandbox::{Grant, Limits, Live, PluginError, PluginStore, Sandbox},
    trading::store::{Address, Store},
};
use sigbox_kit::{Case, ComponentSubject, Report};
use tempfile::{TempDir, tempdir, tempdir_in};

use crate::support::plugin;

/// The folder of plugins as they find it.
pub(super) const DATA: &str = "/data";

/// The plugin `plugins/persistence/{name}`, bound.
pub(super) async fn start(name: &str, binding: Grant) -> Result<PluginStore, PluginError> {
    PluginStore::start(&sandbox(Limits::default()), &plugin(&format!("persistence/{name}")), binding).await
}

/// What the kit says of the same. It leaves nothing behind.
pub(super) async fn examined(name: &str, binding: Grant) -> Report {
    examined_by(sigbox_kit::cases(), name, binding).await
}

/// What these cases of the kit say.
pub(super) async fn examined_by(cases: impl IntoIterator<Item = &'static Case>, name: &str, binding: Grant) -> Report {
    // The kit waits for calls that hang; a document takes a second on a machine whose processors compile.
    let limits = Limits { store_timeout: Duration::from_secs(6), ..Limits::default() };
    let subject = ComponentSubject::new(sandbox(limits), plugin(&format!("persistence/{name}")), binding);
    let report = sigbox_kit::run_cases(&subject, cases, |_| ()).await;
    assert_eq!(report.left_behind, Vec::<String>::new(), "{}", report.subject);
    report
}

/// All that the kit asks of a backend without a server, which cannot be slow, gone or cut off.
pub(super) async fn passes_the_kit(name: &str, binding: Grant) {
    let report = examined(name, binding).await;
    let failed: Vec<String> = report.failures().into_iter().map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{}:\n{}", report.subject, failed.join("\n"));
    let reasons: BTreeSet<&str> = report.not_run().iter().map(|case| case.verdict.reason()).collect();
    assert!(report.passed() > report.not_run().len(), "{reasons:#?}");
}

/// Compiled code is kept, so that each component is compiled once and not once a test.
fn sandbox(limits: Limits) -> Sandbox<Live> {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("backends-cache");
    Sandbox::new(limits, Some(cache)).expect("this machine runs WebAssembly")
}

/// The same, granted a folder and nothing else.
pub(super) async fn start_on(name: &str, folder: &Path) -> PluginStore {
    start(name, on(folder)).await.expect("it starts")
}

/// A folder in memory where there is one: the kit writes ten thousand documents, and a disk would sync each.
pub(super) fn quick_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempdir_in(memory) } else { tempdir() };
    folder.expect("a temporary directory can be made")
}

/// A binding with a folder at [`DATA`].
pub(super) fn on(folder: &Path) -> Grant {
    let directories = BTreeMap::from([(DATA.to_owned(), folder.to_owned())]);
    Grant { name: "kept".to_owned(), directories, ..Grant::default() }
}

/// A binding over another store.
pub(super) fn over(store: &Arc<dyn Store>) -> Grant {
    Grant { name: "kept".to_owned(), over: Some(Arc::clone(store)), ..Grant::default() }
}

/// The binding with a setting.
pub(super) fn set(mut binding: Grant, name: &str, value: &str) -> Grant {
    binding.settings.insert(name.to_owned(), value.to_owned());
    binding
}

/// What is said by one that does not start.
pub(super) async fn refusal(name: &str, binding: Grant) -> String {
    start(name, binding).await.err().expect("it does not start").to_string()
}

pub(super) fn at(domain: &str, entity_name: &str, entity_id: &str) -> Address {
    let [domain, entity_name, entity_id] = [domain, entity_name, entity_id].map(str::to_owned);
    Address { domain, entity_name, entity_id }
}

/// The position of a strategy on bitcoin.
pub(super) fn bitcoin() -> Address {
    at("signal", "BTCUSDT_a", "BTCUSDT")
}
