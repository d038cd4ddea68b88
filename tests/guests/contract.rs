//! Components that do not fit, and what their authors are told.

use std::{fmt::Write as _, fs, path::Path};

use futures_util::FutureExt as _;
use serde_json::json;
use sigbox::sandbox::{Grant, Limits, PluginStore, StrategyPlugin};
use tempfile::tempdir;

use super::{
    field::{deterministic, live, start},
    text_component::{TextStrategy, component},
};
use crate::support::plugin;

/// What is said when `file` is loaded as a strategy, without the name of the file.
fn as_strategy(file: &Path) -> String {
    let loaded = StrategyPlugin::load(&deterministic(Limits::default()), file);
    without_name(file, &loaded.err().expect("it does not fit").to_string())
}

/// What is said when `file` is loaded as a persistence backend, without the name of the file.
fn as_store(file: &Path) -> String {
    let binding = Grant { name: "rows".to_owned(), ..Grant::default() };
    let started = PluginStore::start(&live(Limits::default()), file, binding).now_or_never();
    let error = started.expect("nothing is run of it").err().expect("it does not fit");
    without_name(file, &error.to_string())
}

fn without_name(file: &Path, message: &str) -> String {
    let name = format!("plugin {}: ", file.display());
    message.strip_prefix(&name).unwrap_or_else(|| panic!("{message:?} does not begin with {name:?}")).to_owned()
}

#[test]
fn a_file_that_is_no_component_is_refused_with_what_it_is() {
    let dir = tempdir().unwrap();
    let not_a_component = |found: &str| {
        format!(
            "is not a WebAssembly component: {found}; build it for wasm32-wasip2, or wrap a core module with \
             `wasm-tools component new`"
        )
    };
    let core_module = wat::parse_str("(module (func (export \"get-signal\")))").unwrap();
    let cases: [(&[u8], &str); 5] = [
        (b"", "it is empty"),
        (&core_module, "it is a core module"),
        (b"#!/bin/sh\necho hello", "it is no WebAssembly at all"),
        (b"(component)", "it is no WebAssembly at all"),
        (b"\0as", "it is no WebAssembly at all"),
    ];
    for (content, found) in cases {
        let file = dir.path().join("some.wasm");
        fs::write(&file, content).unwrap();
        assert_eq!(as_strategy(&file), not_a_component(found));
        assert_eq!(as_store(&file), not_a_component(found));
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let message = as_strategy(Path::new("/nowhere/some.wasm"));
    assert!(message.starts_with("cannot be read: "), "{message}");
}

#[test]
fn a_damaged_component_is_refused_with_what_the_compiler_says() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("some.wasm");
    let mut content = fs::read(plugin("strategies/sma-cross")).unwrap();
    let middle = content.len() / 2;
    content.truncate(middle);
    fs::write(&file, &content).unwrap();
    let message = as_strategy(&file);
    assert!(message.starts_with("is a WebAssembly component this sigbox cannot run: "), "{message}");
    assert!(message.ends_with("; it is damaged, or uses features or sizes beyond what plugins may have"), "{message}");
}

#[test]
fn a_component_of_the_other_kind_is_told_from_one_of_no_kind() {
    assert_eq!(
        as_strategy(&plugin("persistence/memory")),
        "is a persistence backend, but a strategy was expected here: it exports sigbox:persistence/store@0.1.0, not \
         sigbox:strategy/strategy@0.1.0"
    );
    assert_eq!(
        as_store(&plugin("strategies/sma-cross")),
        "is a strategy, but a persistence backend was expected here: it exports sigbox:strategy/strategy@0.1.0, not \
         sigbox:persistence/store@0.1.0"
    );
    let dir = tempdir().unwrap();
    assert_eq!(
        as_strategy(&component(dir.path(), "")),
        "is not a strategy: expected the export sigbox:strategy/strategy@0.1.0, found nothing; build it for the world in \
         wit/ of this sigbox"
    );
    let other = "(core module $m (func (export \"f\"))) (core instance $i (instantiate $m))
        (func (export \"run\") (canon lift (core func $i \"f\")))";
    assert_eq!(
        as_store(&component(dir.path(), other)),
        "is not a persistence backend: expected the export sigbox:persistence/store@0.1.0, found run; build it for the \
         world in wit/ of this sigbox"
    );
}

#[test]
fn a_component_that_would_become_too_large_is_not_compiled() {
    let dir = tempdir().unwrap();
    let refused = |items: &str, reason: &str| {
        let file = TextStrategy { items, ..TextStrategy::default() }.write(dir.path());
        let expected = format!(
            "is a WebAssembly component this sigbox cannot run: {reason}; it is damaged, or uses features or sizes \
             beyond what plugins may have"
        );
        assert_eq!(as_strategy(&file), expected);
    };
    // Six levels of thirty instances each are 729 million.
    let modules = "(core instance (instantiate $m)) ".repeat(30);
    let mut items = format!("(component $c0 (core module $m) {modules})");
    for level in 1..6 {
        let (below, instances) = (level - 1, "(instance (instantiate $c)) ".repeat(30));
        write!(items, "(component $c{level} (alias outer 1 $c{below} (component $c)) {instances})")
            .expect("a text grows");
    }
    items += "(instance (instantiate $c5))";
    refused(&items, "it has more than 1000 instances of core modules");

    let globals = "(global (mut i64) (i64.const 0)) ".repeat(60_000);
    let instances = "(core instance (instantiate $m)) ".repeat(40);
    refused(&format!("(core module $m {globals}) {instances}"), "its globals and functions need more than 32 MiB");

    let importing = "(component (import \"c\" (core module $m)))";
    refused(importing, "a component in it imports a component or a core module");
}

#[test]
fn a_component_of_another_track_is_told_which_sigbox_it_needs() {
    let dir = tempdir().unwrap();
    let file =
        TextStrategy { interface: "sigbox:strategy/strategy@0.2.0", ..TextStrategy::default() }.write(dir.path());
    assert_eq!(
        as_strategy(&file),
        "was built for sigbox:strategy/strategy@0.2.0; this sigbox serves sigbox:strategy/strategy@0.1.0: use a plugin built \
         for that track, or the sigbox that serves sigbox:strategy/strategy@0.2.0"
    );
}

#[test]
fn an_import_nobody_offers_is_named() {
    let dir = tempdir().unwrap();
    let items = "(import \"acme:billing/invoices@1.0.0\" (instance (export \"pay\" (func))))";
    let file = TextStrategy { items, ..TextStrategy::default() }.write(dir.path());
    let message = as_strategy(&file);
    let expected = "imports acme:billing/invoices@1.0.0, which this sigbox does not offer (it offers sigbox:host@0.1 \
                    and WASI 0.2): ";
    assert!(message.starts_with(expected), "{message}");
}

/// A role is what its world imports: the rest does not even link, in backtests or live.
#[test]
fn what_the_world_of_a_role_does_not_import_does_not_link() {
    let dir = tempdir().unwrap();
    let get = "(export \"get\" (func (param \"name\" string) (result (option string))))";
    let handle = "(export \"handle\" (func))";
    let now = "(export \"now-ms\" (func (result u64)))";
    let close = "(export \"close\" (func))";
    let of_strategies = "a strategy does not get: it gets sigbox:host/clock, sigbox:host/config, sigbox:host/logging, \
                         sigbox:host/market, sigbox:host/memory, sigbox:host/session, sigbox:host/source, sigbox:host/trades, \
                         sigbox:strategy/answer, and WASI; build it for its \
                         world in wit/ of this sigbox";
    for (interface, function) in [
        ("sigbox:host/secrets@0.1.0", get),
        ("sigbox:persistence/store@0.1.0", close),
        ("wasi:http/outgoing-handler@0.2.6", handle),
    ] {
        let items = format!("(import \"{interface}\" (instance {function}))");
        let file = TextStrategy { items: &items, ..TextStrategy::default() }.write(dir.path());
        let expected = format!("imports {interface}, which {of_strategies}");
        assert_eq!(as_strategy(&file), expected);
        let loaded = StrategyPlugin::load(&live(Limits::default()), &file);
        assert_eq!(without_name(&file, &loaded.err().expect("it does not link").to_string()), expected);
    }
    let exports = "(core module $m (func (export \"f\"))) (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i \"f\"))) (instance $store (export \"read-value\" (func $f)))
        (export \"sigbox:persistence/store@0.1.0\" (instance $store))";
    for interface in ["sigbox:host/clock@0.1.0", "sigbox:host/market@0.1.0"] {
        let file = component(dir.path(), &format!("(import \"{interface}\" (instance {now})) {exports}"));
        let message = as_store(&file);
        let expected = format!("imports {interface}, which a persistence backend does not get: it gets ");
        assert!(message.starts_with(&expected), "{message}");
    }
}

const ADVICE: &str = "; build it against wit/ of this sigbox (`sigbox wit export DIR` writes it)";

#[test]
fn an_export_that_lacks_a_function_or_has_another_type_is_named() {
    let dir = tempdir().unwrap();
    let lacking = "(core module $m (func (export \"f\"))) (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i \"f\")))
        (instance $guest (export \"describe\" (func $f)) (export \"start\" (func $f)))
        (export \"sigbox:strategy/strategy@0.1.0\" (instance $guest))";
    assert_eq!(
        as_strategy(&component(dir.path(), lacking)),
        format!("its export sigbox:strategy/strategy@0.1.0 lacks the function get-signal{ADVICE}")
    );
    let other = lacking
        .replace("(export \"start\" (func $f))", "(export \"start\" (func $f)) (export \"get-signal\" (func $f))");
    let start_it = |file: &Path| {
        let error = start(&deterministic(Limits::default()), file, "odd", &json!({})).err().expect("it does not fit");
        without_name(file, &error.to_string())
    };
    let function = "its export sigbox:strategy/strategy@0.1.0, function";
    assert_eq!(
        start_it(&component(dir.path(), &other)),
        format!("{function} describe: result: expected a record, found nothing{ADVICE}")
    );
    // Down to the field of a record, wherever it is.
    let cases = [
        (
            "(field \"interval\" string)",
            "(field \"interval\" u32)",
            "describe: result, record, field interval: expected string, found u32",
        ),
        ("(field \"name\" string) ", "", "describe: result, record: the field name is missing"),
        (
            "(field \"features\" (list string))",
            "(field \"features\" (list u8))",
            "describe: result, record, field features, element: expected string, found u8",
        ),
        (
            "(field \"retryable\" bool)",
            "(field \"again\" bool)",
            "start: result, if it fails, record: the field retryable is missing",
        ),
    ];
    for (from, to, expected) in cases {
        let file = TextStrategy::default().write_with(dir.path(), from, to);
        assert_eq!(start_it(&file), format!("{function} {expected}{ADVICE}"), "{to}");
    }
}

#[test]
fn an_import_of_another_type_is_named_down_to_the_parameter() {
    let dir = tempdir().unwrap();
    let cases = [
        (
            "(export \"average-price\" (func (param \"symbol\" u32) (result f64)))",
            "average-price: parameter symbol: expected string, found u32",
        ),
        ("(export \"peek\" (func))", "peek: this sigbox does not have it"),
    ];
    for (function, expected) in cases {
        let items = format!("(import \"sigbox:host/market@0.1.0\" (instance {function}))");
        let file = TextStrategy { items: &items, ..TextStrategy::default() }.write(dir.path());
        let expected = format!("its import sigbox:host/market@0.1.0, function {expected}{ADVICE}");
        assert_eq!(as_strategy(&file), expected);
    }
}

#[test]
fn a_component_with_the_async_abi_is_told_how_to_be_built() {
    let dir = tempdir().unwrap();
    let items = "(core module $m (func (export \"f\") (result i32) i32.const 0)
            (func (export \"g\") (param i32 i32 i32) (result i32) i32.const 0))
        (core instance $i (instantiate $m))
        (func $f async (canon lift (core func $i \"f\") async (callback (core func $i \"g\"))))
        (export \"f\" (func $f))";
    let message = as_strategy(&component(dir.path(), items));
    assert!(message.contains("it is built with component-model async; build it without (jco: "), "{message}");
}
