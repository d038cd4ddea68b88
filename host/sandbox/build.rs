//! Assembles the module that asks strategies.

use std::{env, fs, path::Path};

fn main() {
    let text = "src/roles/strategy/asker.wat";
    println!("cargo::rerun-if-changed={text}");
    let module = wat::parse_file(text).unwrap_or_else(|error| panic!("{error}"));
    let out = env::var_os("OUT_DIR").unwrap_or_else(|| panic!("cargo sets OUT_DIR"));
    fs::write(Path::new(&out).join("asker.wasm"), module).unwrap_or_else(|error| panic!("asker.wasm: {error}"));
}
