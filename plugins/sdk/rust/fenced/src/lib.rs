//! The world `sigbox:plugin/fenced-backend`. `sigbox-sdk` uses it; a plugin needs only that crate.
#![expect(missing_docs, reason = "generated from the WIT, where the documentation is")]
#![allow(clippy::pedantic, unused_qualifications, reason = "generated from the WIT")]

wit_bindgen::generate!({
    path: "../../../../wit/0.1",
    world: "fenced-backend",
    pub_export_macro: true,
    export_macro_name: "export_fenced_world",
    default_bindings_module: "sigbox_sdk::persistence::fenced_bindings",
    generate_all,
});
