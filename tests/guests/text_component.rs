//! Components written by hand, for what no compiler would do.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// A strategy that answers nothing, but for what is changed here.
pub(super) struct TextStrategy<'a> {
    /// Bodies of its functions. The first two return the place of their result in memory: [`DESCRIPTOR`], and 256, where
    /// zeros are, which mean `ok`. `get-signal` may call `$fail`, which is `answer.fail`.
    pub(super) describe: &'a str,
    pub(super) start: &'a str,
    pub(super) get_signal: &'a str,
    /// The interval it describes itself with.
    pub(super) interval: &'a str,
    /// Pages of its memory.
    pub(super) pages: u32,
    /// More fields of its core module.
    pub(super) fields: &'a str,
    /// Options of the lifted `get-signal`. Its module exports `after`, which does nothing.
    pub(super) after: &'a str,
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
            start: "i32.const 256",
            get_signal: "",
            interval: "1m",
            pages: 1,
            fields: "",
            after: "",
            items: "",
            interface: "sigbox:strategy/strategy@0.1.0",
        }
    }
}

impl TextStrategy<'_> {
    /// Writes the component to a file in `dir`.
    pub(super) fn write(&self, dir: &Path) -> PathBuf {
        write(dir, &self.text())
    }

    /// The same, with one part of the text replaced.
    pub(super) fn write_with(&self, dir: &Path, from: &str, to: &str) -> PathBuf {
        let text = self.text();
        assert_eq!(text.matches(from).count(), 1, "{from}");
        write(dir, &text.replace(from, to))
    }

    fn text(&self) -> String {
        let Self { describe, start, get_signal, interval, pages, fields, after, items, interface } = self;
        let length = u32::try_from(interval.len()).expect("an interval is short");
        let descriptor = words(&[TEXTS, 0, TEXTS, 0, TEXTS, length, 0, 0, 0, 0, 0, 0, 0, 0]);
        format!(
            r#"(component
              {items}
              (import "sigbox:strategy/answer@0.1.0" (instance $answer
                (export "fail" (func (param "code" string) (param "message" string) (param "retryable" bool)))))
              (core module $memory (memory (export "memory") {pages}))
              (core instance $memory (instantiate $memory))
              (alias core export $memory "memory" (core memory $memory))
              (core func $fail (canon lower (func $answer "fail") (memory $memory)))
              (core module $code
                (import "host" "memory" (memory {pages}))
                (import "host" "fail" (func $fail (param i32 i32 i32 i32 i32)))
                (data (i32.const {DESCRIPTOR}) "{descriptor}")
                (data (i32.const {TEXTS}) "{interval}")
                (func (export "describe") (result i32) {describe})
                (func (export "start") (result i32) {start})
                (func (export "get-signal") (param i64 f64 f64 f64 f64 f64 f64) {get_signal})
                (func (export "after"))
                {fields})
              (core instance $host (export "memory" (memory $memory)) (export "fail" (func $fail)))
              (core instance $code (instantiate $code (with "host" (instance $host))))
              (type $descriptor (record
                (field "name" string) (field "version" string) (field "interval" string)
                (field "settings-schema" (option string)) (field "features" (list string))
                (field "extra" (option string))))
              (type $failure (record
                (field "code" string) (field "message" string) (field "retryable" bool)
                (field "extra" (option string))))
              (func $describe (result $descriptor)
                (canon lift (core func $code "describe") (memory $memory)))
              (func $start (result (result (error $failure)))
                (canon lift (core func $code "start") (memory $memory)))
              (func $get-signal (param "when-ms" u64) (param "price" f64)
                (param "open" f64) (param "high" f64) (param "low" f64) (param "close" f64) (param "volume" f64)
                (canon lift (core func $code "get-signal") {after}))
              (instance $strategy
                (export "descriptor" (type $descriptor)) (export "failure" (type $failure))
                (export "describe" (func $describe)) (export "start" (func $start))
                (export "get-signal" (func $get-signal)))
              (export "{interface}" (instance $strategy)))"#
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
