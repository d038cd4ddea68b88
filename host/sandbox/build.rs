//! Makes two kinds of components that are a part of the crate: the module that asks strategies, and for each world of
//! the contract a component that has its types and does nothing.

use std::{env, fs, path::PathBuf};

use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

type Done = Result<(), Box<dyn std::error::Error>>;

fn main() -> Done {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let asker = "src/roles/strategy/asker.wat";
    println!("cargo::rerun-if-changed={asker}");
    fs::write(out.join("asker.wasm"), wat::parse_file(asker)?)?;

    let track = "../../wit/0.1";
    println!("cargo::rerun-if-changed={track}");
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(track)?;
    for name in ["strategy", "fenced-backend", "wrapper"] {
        let world = resolve.select_world(&[package], Some(name))?;
        let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
        let component = ComponentEncoder::default().module(&module)?.validate(true).encode()?;
        fs::write(out.join(format!("{name}.wasm")), component)?;
    }
    Ok(())
}
