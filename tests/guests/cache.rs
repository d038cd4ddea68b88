//! Compiled code, kept between runs: faster, never other code.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use sigbox::sandbox::{Deterministic, Limits, Live, Sandbox, StrategyPlugin};
use tempfile::tempdir;

use super::{
    field::{Trading, backtest},
    logs::captured,
};
use crate::support::plugin;

fn sandbox(cache: &Path) -> Sandbox<Deterministic> {
    Sandbox::new(Limits::default(), Some(cache.to_owned())).unwrap()
}

fn load(cache: &Path, component: &Path) -> StrategyPlugin<Deterministic> {
    StrategyPlugin::load(&sandbox(cache), component).unwrap()
}

/// The files of the cache, and when each was written.
fn files(cache: &Path) -> Vec<(PathBuf, SystemTime)> {
    let mut files: Vec<_> = fs::read_dir(cache)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.path(), entry.metadata().unwrap().modified().unwrap()))
        .collect();
    files.sort();
    files
}

fn events(cache: &Path, component: &Path) -> Vec<String> {
    let settings = serde_json::json!({});
    let record = backtest(&sandbox(cache), &[Trading { name: "a", component, settings }]);
    record.of("a").into_iter().map(str::to_owned).collect()
}

#[test]
fn what_was_compiled_once_is_not_compiled_again() {
    let dir = tempdir().unwrap();
    let cache = dir.path().join("deep/cache");
    let component = plugin("strategies/sma-cross");
    load(&cache, &component);
    let first = files(&cache);
    assert_eq!(first.len(), 1);
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    load(&cache, &component);
    assert_eq!(files(&cache), first, "the file was not written again");
    load(&cache, &plugin("strategies/scripted"));
    assert_eq!(files(&cache).len(), 2);
    Sandbox::<Live>::new(Limits::default(), Some(cache.clone()))
        .map(|sandbox| StrategyPlugin::load(&sandbox, &component).unwrap())
        .unwrap();
    assert_eq!(files(&cache).len(), 3, "the other engine's code is another file");
}

#[test]
fn damaged_code_is_compiled_again_without_a_word() {
    let dir = tempdir().unwrap();
    let cache = dir.path().join("cache");
    let component = plugin("strategies/sma-cross");
    let expected = events(&cache, &component);
    let file = files(&cache)[0].0.clone();
    let sound = fs::read(&file).unwrap();
    let flipped = |at: usize| {
        let mut code = sound.clone();
        code[at] ^= 0x10;
        code
    };
    let damaged = [
        Vec::new(),
        sound[..sound.len() / 2].to_vec(),
        flipped(100),
        // In the middle of the machine code, where nothing but the seal can tell.
        flipped(sound.len() / 2),
        [&sound[..], b"more"].concat(),
    ];
    for (index, code) in damaged.iter().enumerate() {
        fs::write(&file, code).unwrap();
        let (log, found) = captured(|| events(&cache, &component));
        assert_eq!(found, expected, "damage {index}");
        assert!(log.is_empty(), "damage {index}: {log:?}");
        assert_eq!(fs::read(&file).unwrap(), sound, "damage {index}: it was put right");
    }
}

#[test]
fn code_of_another_component_is_never_used() {
    let dir = tempdir().unwrap();
    let cache = dir.path().join("cache");
    let (cross, scripted) = (plugin("strategies/sma-cross"), plugin("strategies/scripted"));
    let expected = events(&cache, &cross);
    let cross_file = files(&cache)[0].0.clone();
    load(&cache, &scripted);
    let scripted_file = files(&cache).into_iter().map(|(file, _)| file).find(|file| *file != cross_file).unwrap();
    fs::copy(&scripted_file, &cross_file).unwrap();
    assert_eq!(events(&cache, &cross), expected);

    // The same name, other content: the content decides.
    let file = dir.path().join("mine.wasm");
    fs::copy(&cross, &file).unwrap();
    load(&cache, &file);
    assert_eq!(files(&cache).len(), 2, "a copy is the same component");
    fs::copy(plugin("hostile/strategy"), &file).unwrap();
    load(&cache, &file);
    assert_eq!(files(&cache).len(), 3);
}

#[test]
fn a_cache_that_cannot_be_used_costs_a_warning() {
    let dir = tempdir().unwrap();
    let component = plugin("strategies/sma-cross");
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let (log, _) = captured(|| load(&file.join("cache"), &component));
    let expected = format!("WARN compiled code cannot be kept in {}/cache: ", file.display());
    assert!(log.len() == 1 && log[0].starts_with(&expected), "{log:?}");

    let open = dir.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let (log, _) = captured(|| load(&open, &component));
    let expected = format!(
        "WARN compiled code cannot be kept in {}: others can write to it (mode 777), and it holds code that is run; \
         run `chmod go-w` on it",
        open.display()
    );
    assert_eq!(log, [expected]);
    assert!(files(&open).is_empty());
}
