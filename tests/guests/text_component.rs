//! Components written by hand, for what no compiler would do.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// A strategy that answers nothing, but for what is changed here.
pub(super) struct TextStrategy<'a> {
    /// Bodies of its functions. Each returns the place of its result in memory: [`DESCRIPTOR`], or 256, where zeros are,
    /// which mean `ok(none)`.
    pub(super) describe: &'a str,
    pub(super) init: &'a str,
    pub(super) get_signal: &'a str,
    /// The interval it describes itself with.
    pub(super) interval: &'a str,
    /// Pages of its memory.
    pub(super) pages: u32,
    /// More fields of its core module.
    pub(super) fields: &'a str,
    /// More items of the component.
    pub(super) items: &'a str,
    /// What it exports.
    pub(super) interface: &'a str,
}

/// Where the descriptor is.
const DESCRIPTOR: u32 = 64;
/// Where the texts of the descriptor are.
const TEXTS: u32 = 1024;

impl Default for TextStrategy<'_> {
    fn default() -> Self {
        Self {
            describe: "i32.const 64",
            init: "i32.const 256",
            get_signal: "i32.const 256",
            interval: "1m",
            pages: 1,
            fields: "",
            items: "",
            interface: "sigbox:strategy/guest@0.1.0",
        }
    }
}

impl TextStrategy<'_> {
    /// Writes the component to a file in `dir`.
    pub(super) fn write(&self, dir: &Path) -> PathBuf {
        write(dir, &self.text())
    }

    fn text(&self) -> String {
        let Self { describe, init, get_signal, interval, pages, fields, items, interface } = self;
        let length = u32::try_from(interval.len()).expect("an interval is short");
        let descriptor = words(&[TEXTS, 0, TEXTS, 0, TEXTS, length, 0, 0, 0, 0, 0]);
        format!(
            r#"(component
              {items}
              (core module $code
                (memory (export "memory") {pages})
                (data (i32.const {DESCRIPTOR}) "{descriptor}")
                (data (i32.const {TEXTS}) "{interval}")
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)
                (func (export "describe") (result i32) {describe})
                (func (export "init") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) {init})
                (func (export "get-signal") (param i64 f64) (result i32) {get_signal})
                {fields})
              (core instance $code (instantiate $code))
              (alias core export $code "memory" (core memory $memory))
              (alias core export $code "cabi_realloc" (core func $realloc))
              (type $position (enum "long" "short"))
              (type $signal (record
                (field "id" (option string)) (field "symbol" (option string)) (field "position" $position)
                (field "price-open" (option f64)) (field "price-take-profit" f64) (field "price-stop-loss" f64)
                (field "minute-estimated-time" (option f64)) (field "cost" (option f64))
                (field "multiplier" (option f64)) (field "isolated" (option bool)) (field "note" (option string))
                (field "extra" (option string))))
              (type $descriptor (record
                (field "name" string) (field "version" string) (field "interval" string)
                (field "settings-schema" (option string)) (field "features" (list string))))
              (type $session (record
                (field "symbol" string) (field "strategy" string) (field "exchange" string)
                (field "frame" (option string))))
              (type $failure (record (field "code" string) (field "message" string) (field "retryable" bool)))
              (func $describe (result $descriptor)
                (canon lift (core func $code "describe") (memory $memory)))
              (func $init (param "session" $session) (param "settings" string) (result (result (error $failure)))
                (canon lift (core func $code "init") (memory $memory) (realloc $realloc)))
              (func $get-signal (param "when-ms" u64) (param "price" f64)
                (result (result (option $signal) (error $failure)))
                (canon lift (core func $code "get-signal") (memory $memory)))
              (instance $guest
                (export "position" (type $position)) (export "signal" (type $signal))
                (export "descriptor" (type $descriptor)) (export "session" (type $session))
                (export "failure" (type $failure))
                (export "describe" (func $describe)) (export "init" (func $init))
                (export "get-signal" (func $get-signal)))
              (export "{interface}" (instance $guest)))"#
        )
    }
}

/// A component of no use, with these items.
pub(super) fn component(dir: &Path, items: &str) -> PathBuf {
    write(dir, &format!("(component {items})"))
}

fn write(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("text.wasm");
    let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
    std::fs::write(&path, bytes).expect("the folder can be written to");
    path
}

/// Little-endian words as a text component writes them.
pub(super) fn words(words: &[u32]) -> String {
    let mut text = String::new();
    for byte in words.iter().flat_map(|word| word.to_le_bytes()) {
        write!(text, "\\{byte:02x}").expect("a text grows");
    }
    text
}
