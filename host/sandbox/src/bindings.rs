//! Rust types generated from the WIT in `wit/`. The other modules of this crate give the types a meaning.

#![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic, reason = "generated")]

/// The world `sigbox:plugin/strategy`.
pub(super) mod strategy {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1",
        world: "strategy",
        // Trappable: work that the host does for a guest can end the guest's call.
        imports: { default: trappable },
    });
}

/// The world `sigbox:plugin/wrapper`: a backend that also imports a store, the one it wraps. The functions of this import
/// are asynchronous because the wrapped store waits for its own storage.
pub(super) mod wrapper {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1",
        world: "wrapper",
        imports: {
            "sigbox:persistence/store": async | trappable,
            default: trappable,
        },
        with: {
            "sigbox:host/config": super::strategy::sigbox::host::config,
            "sigbox:host/logging": super::strategy::sigbox::host::logging,
            "sigbox:host/source": super::strategy::sigbox::host::source,
            "sigbox:host/secrets": super::persistence::sigbox::host::secrets,
        },
    });
}

/// The world `sigbox:plugin/fenced-backend`, whose export `fenced` is optional. Its functions are called asynchronously
/// because a backend waits for its storage.
pub(super) mod persistence {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1",
        world: "fenced-backend",
        exports: { default: async },
        with: {
            "sigbox:host/config": super::strategy::sigbox::host::config,
            "sigbox:host/logging": super::strategy::sigbox::host::logging,
            "sigbox:host/source": super::strategy::sigbox::host::source,
        },
    });
}
