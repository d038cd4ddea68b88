//! Writes the modules of the host for JavaScript.

use std::{env, fs, path::Path};

fn main() {
    let wit = Path::new("../../../../wit/0.1");
    println!("cargo::rerun-if-changed={}", wit.display());
    let out = Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join("glue.rs");
    fs::write(out, glue::write(&[wit], "strategy")).expect("the folder of a build script can be written to");
}
