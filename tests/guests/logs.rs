//! What plugins log, as the host passes it on.

use std::{
    fmt::{Debug, Write as _},
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber,
};

use super::field::{Trading, backtest, deterministic, hostile, once, once_by, tight};

/// The lines logged on this thread during `run` at the level of information and above, each as
/// `LEVEL message name=value …`.
pub(super) fn captured<T>(run: impl FnOnce() -> T) -> (Vec<String>, T) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let returned = subscriber::with_default(Lines(Arc::clone(&lines)), run);
    let lines = lines.lock().expect("nobody panics while logging").clone();
    (lines, returned)
}

struct Lines(Arc<Mutex<Vec<String>>>);

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
            && (metadata.target() == "plugin" || metadata.target().starts_with("sigbox"))
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let text = format!("{} {}{}", event.metadata().level(), line.message, line.fields);
        self.0.lock().expect("nobody panics while logging").push(text);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            write!(self.fields, " {}={value:?}", field.name()).expect("a text grows");
        }
    }
}

/// What the hostile strategy had logged.
fn logged(settings: serde_json::Value) -> Vec<String> {
    let (sandbox, component) = (deterministic(tight()), hostile());
    captured(|| backtest(&sandbox, &[Trading { name: "hostile", component: &component, settings }])).0
}

#[test]
fn a_logged_line_stays_one_line_of_its_own() {
    let now_ms = *super::field::ASKED_MS;
    let expected = format!(
        "INFO a\\r\\n2024-01-01 ERROR forged\\u{{1b}}[2J\\u{{9b}}31m\\u{{2028}}b\\u{{202e}}c\\u{{0}}d \
         plugin=\"hostile\" instance=\"BTCUSDT\" now_ms={now_ms} part=\"a\\\\nb\""
    );
    assert_eq!(logged(once("forged-log")), [expected]);
}

#[test]
fn a_long_line_is_cut() {
    let lines = logged(once_by("long-log", 400 << 10));
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("WARN xxxx") && lines[0].contains("xxx…"), "{}", lines[0]);
    assert!(lines[0].len() < 4096 + 64 + 200, "{} bytes", lines[0].len());
}

#[test]
fn lines_beyond_the_limit_are_counted() {
    let lines = logged(once_by("log-flood", 1000));
    assert_eq!(lines.len(), 65);
    assert!(lines[63].starts_with("INFO 63 "), "{}", lines[63]);
    assert_eq!(
        lines[64],
        "WARN log lines beyond the limit were dropped plugin=\"hostile\" instance=\"BTCUSDT\" dropped=936"
    );
}

#[test]
fn lines_of_a_call_that_broke_down_are_counted_too() {
    let lines = logged(once_by("log-forever", 1000));
    assert_eq!(lines.len(), 65);
    assert!(lines[64].starts_with("WARN log lines beyond the limit were dropped "), "{}", lines[64]);
}
