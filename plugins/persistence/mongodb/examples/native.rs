//! This plugin's client outside of the sandbox, to compare with: see bench/README.md.
#![allow(dead_code, missing_docs, reason = "only what is measured is called")]

#[path = "../src/authentication.rs"]
mod authentication;
#[path = "../src/connection.rs"]
mod connection;
#[path = "../src/failure.rs"]
mod failure;
#[path = "../src/fence.rs"]
mod fence;
#[path = "../src/layout.rs"]
mod layout;
#[path = "../../../wire/measure.rs"]
mod measure;
#[path = "../src/primary.rs"]
mod primary;
#[path = "../src/rows.rs"]
mod rows;
#[path = "../src/scram.rs"]
mod scram;
#[path = "../src/settings.rs"]
mod settings;
#[path = "../src/store.rs"]
mod store;

use std::cell::RefCell;

use self::{settings::Settings, store::Store};

fn main() {
    let (settings, secrets) = measure::given();
    let settings = Settings::read(settings, &|name| secrets.get(name).cloned()).expect("the settings are good");
    let store = RefCell::new(Store::start(settings, |_| {}).expect("the server is there"));
    measure::serve(|at, value| store.borrow_mut().write(at, value, 1), |at| store.borrow_mut().read(at).map(drop));
}
