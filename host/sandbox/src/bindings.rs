//! Rust types for the WIT in `wit/`. Generated; everything else in this folder gives them a meaning.

#![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic, reason = "generated")]

/// `sigbox:strategy/strategy`.
pub(super) mod strategy {
    wasmtime::component::bindgen!({
        path: ["../../wit/host@0.1", "../../wit/strategy@0.1"],
        world: "sigbox:strategy/strategy",
        // So that work a guest has the host do can end its call.
        imports: { default: trappable },
    });
}

/// What `sigbox:persistence/wrapper` imports besides: the store it wraps. Waited for like the storage itself.
pub(super) mod wrapper {
    wasmtime::component::bindgen!({
        path: ["../../wit/host@0.1", "../../wit/persistence@0.1"],
        world: "sigbox:persistence/wrapper",
        imports: {
            "sigbox:persistence/store": async | trappable,
            default: trappable,
        },
        with: {
            "sigbox:host/config": super::strategy::sigbox::host::config,
            "sigbox:host/logging": super::strategy::sigbox::host::logging,
            "sigbox:host/secrets": super::persistence::sigbox::host::secrets,
        },
    });
}

/// `sigbox:persistence/backend`, called asynchronously because a backend waits for its storage.
pub(super) mod persistence {
    wasmtime::component::bindgen!({
        path: ["../../wit/host@0.1", "../../wit/persistence@0.1"],
        world: "sigbox:persistence/backend",
        exports: { default: async },
        with: {
            "sigbox:host/config": super::strategy::sigbox::host::config,
            "sigbox:host/logging": super::strategy::sigbox::host::logging,
        },
    });
}
