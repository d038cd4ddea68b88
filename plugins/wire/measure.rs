//! A backend's client outside of the sandbox, driven through standard input: "write 20" makes twenty writes and answers
//! with the nanoseconds each took. What drives it, and why, is in bench/README.md.

use std::{
    collections::BTreeMap,
    env,
    fmt::Debug,
    io::{self, BufRead as _},
    time::Instant,
};

use sigbox_sdk::persistence::Address;

/// Settings and secrets.
pub(crate) type Given = (Vec<(String, String)>, BTreeMap<String, String>);

/// From the command line: `name=value` is a setting, `secret:name=value` a secret.
pub(crate) fn given() -> Given {
    let pairs = env::args().skip(1).map(|argument| {
        let (name, value) = argument.split_once('=').expect("arguments are name=value");
        (name.to_owned(), value.to_owned())
    });
    let (secrets, settings): (Vec<_>, Vec<_>) = pairs.partition(|(name, _)| name.starts_with("secret:"));
    let secrets = secrets.into_iter().map(|(name, value)| (name.replacen("secret:", "", 1), value));
    (settings, secrets.collect())
}

/// Makes the calls that are asked for until there are no more.
pub(crate) fn serve<E: Debug>(
    mut write: impl FnMut(&Address, &[u8]) -> Result<(), E>,
    mut read: impl FnMut(&Address) -> Result<(), E>,
) {
    let mut calls = 0;
    for line in io::stdin().lock().lines() {
        let line = line.expect("standard input can be read");
        let (kind, count) = line.split_once(' ').expect("lines are KIND COUNT");
        let mut took = Vec::new();
        for _ in 0..count.parse().expect("COUNT is a number") {
            calls += 1;
            let (at, value) = (at(calls), value(calls));
            let began = Instant::now();
            match kind {
                "write" => write(&at, &value),
                "read" => read(&at),
                _ => panic!("there is no kind {kind}"),
            }
            .expect("the server answers");
            took.push(began.elapsed().as_nanos().to_string());
        }
        println!("{}", took.join(" "));
    }
}

fn at(call: usize) -> Address {
    let entity_id = format!("native-{}", call % 10);
    Address { domain: "signal".to_owned(), entity_name: "BTCUSDT_a".to_owned(), entity_id }
}

/// As long as a position, and never twice the same.
fn value(call: usize) -> Vec<u8> {
    format!("{{\"call\":{call},\"note\":\"{}\"}}", "x".repeat(300)).into_bytes()
}
