//! Components, built once from their sources in this repository.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use sigbox::plugin_source;

use super::repository;

/// The component of `plugins/{folder}`.
pub(crate) fn plugin(folder: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    // A build that panicked left nothing behind.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(component) = built.get(folder) {
        return component.clone();
    }
    let source = repository().join("plugins").join(folder);
    let component = plugin_source::resolve(&source, OsStr::new(env!("CARGO")), &mut |_| {}).expect("the plugin builds");
    built.insert(folder.to_owned(), component.clone());
    component
}
