//! The check that a component fits the WIT in `wit/`, and the explanation for its author when it does not.

mod difference;

use wasmtime::{
    Engine,
    component::{Component, ComponentExportIndex, types::ComponentItem},
};

/// The interface a strategy exports.
pub(crate) const STRATEGY: Interface = Interface {
    name: "sigbox:strategy/strategy",
    version: "0.1.0",
    kind: "a strategy",
    worlds: &[difference::STRATEGY],
    imports: &[
        "sigbox:host/clock",
        "sigbox:host/config",
        "sigbox:host/logging",
        "sigbox:host/market",
        "sigbox:host/memory",
        "sigbox:host/session",
        "sigbox:host/source",
        "sigbox:host/trades",
        "sigbox:strategy/answer",
    ],
};

/// The interface a persistence backend exports.
pub(crate) const PERSISTENCE: Interface = Interface {
    name: "sigbox:persistence/store",
    version: "0.1.0",
    kind: "a persistence backend",
    worlds: &[difference::BACKEND, difference::WRAPPER],
    imports: &[
        "sigbox:host/config",
        "sigbox:host/logging",
        "sigbox:host/secrets",
        "sigbox:host/source",
        "sigbox:persistence/store",
        "wasi:http/types",
        "wasi:http/outgoing-handler",
    ],
};

/// The interface that a persistence backend exports besides if it keeps two hosts apart.
pub(crate) const FENCED: Interface = Interface {
    name: "sigbox:persistence/fenced",
    version: "0.1.0",
    kind: PERSISTENCE.kind,
    worlds: PERSISTENCE.worlds,
    imports: PERSISTENCE.imports,
};

/// An interface of sigbox that a plugin exports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interface {
    name: &'static str,
    version: &'static str,
    /// What messages call a component that exports it.
    kind: &'static str,
    /// Components with the types of the role's worlds.
    worlds: &'static [&'static [u8]],
    /// The interfaces its role can import besides WASI without HTTP. This list is for messages; the role's `link`
    /// decides.
    imports: &'static [&'static str],
}

impl Interface {
    pub(crate) fn full_name(self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// Whether a component of this role may import the interface `name`, whatever its version.
    fn may_import(self, name: &str) -> bool {
        let name = name.split_once('@').map_or(name, |(name, _)| name);
        self.imports.contains(&name) || (name.starts_with("wasi:") && !name.starts_with("wasi:http/"))
    }
}

/// Where `component` exports `function` of `interface`.
///
/// # Errors
/// A sentence that says what was expected, what was found and what to do.
pub(crate) fn export(
    component: &Component,
    engine: &Engine,
    interface: Interface,
    function: &str,
) -> Result<ComponentExportIndex, String> {
    let expected = interface.full_name();
    let Some((_, instance)) = component.get_export(None, &expected) else {
        return Err(wrong_exports(component, engine, interface));
    };
    let (_, index) = component.get_export(Some(&instance), function).ok_or_else(|| {
        format!(
            "its export {expected} lacks the function {function}; build it against wit/ of this sigbox (`sigbox wit export \
             DIR` writes it)"
        )
    })?;
    Ok(index)
}

/// Whether `component` exports `interface`, in this version.
pub(crate) fn exports(component: &Component, interface: Interface) -> bool {
    component.get_export(None, interface.full_name()).is_some()
}

fn wrong_exports(component: &Component, engine: &Engine, interface: Interface) -> String {
    let found: Vec<String> = component.component_type().exports(engine).map(|(name, _)| name.to_owned()).collect();
    let expected = interface.full_name();
    for other in [STRATEGY, PERSISTENCE] {
        let prefix = format!("{}@", other.name);
        let Some(name) = found.iter().find(|name| name.starts_with(&prefix)) else { continue };
        return if other.name == interface.name {
            format!(
                "was built for {name}; this sigbox serves {expected}: use a plugin built for that track, or the \
                 sigbox that serves {name}"
            )
        } else {
            format!("is {}, but {} was expected here: it exports {name}, not {expected}", other.kind, interface.kind)
        };
    }
    let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
    format!(
        "is not {}: expected the export {expected}, found {found}; build it for the world in wit/ of this sigbox",
        interface.kind
    )
}

/// Checks that a store to wrap is given if `component` wraps a store, and only then.
///
/// # Errors
/// A sentence that says what is missing or is too much, and what to do.
pub(crate) fn wraps(component: &Component, engine: &Engine, is_given: bool) -> Result<(), String> {
    let name = PERSISTENCE.full_name();
    let prefix = format!("{}@", PERSISTENCE.name);
    match (component.component_type().imports(engine).any(|(import, _)| import.starts_with(&prefix)), is_given) {
        (true, false) => Err(format!(
            "wraps another store (it imports {name}): name that one, over = \"file\", \"memory\" or a [stores.NAME]"
        )),
        (false, true) => Err(format!("wraps nothing (it does not import {name}): leave out over")),
        (true, true) | (false, false) => Ok(()),
    }
}

/// Explains why the imports of `component` cannot be met. Its role exports `interface`; `reason` is what the linker
/// said about the first of these imports.
pub(crate) fn explain_imports(component: &Component, engine: &Engine, interface: Interface, reason: &str) -> String {
    let interfaces: Vec<String> = component
        .component_type()
        .imports(engine)
        .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentInstance(_)))
        .map(|(name, _)| name.to_owned())
        .collect();
    let is_ours = |name: &&String| {
        name.starts_with("sigbox:host/")
            || name.starts_with("sigbox:persistence/store@")
            || name.starts_with("sigbox:strategy/answer@")
            || name.starts_with("wasi:")
    };
    let foreign: Vec<&str> = interfaces.iter().filter(|name| !is_ours(name)).map(String::as_str).collect();
    if !foreign.is_empty() {
        return format!(
            "imports {}, which this sigbox does not offer (it offers sigbox:host@0.1 and WASI 0.2): {reason}",
            foreign.join(", ")
        );
    }
    let denied = interfaces.iter().filter(is_ours).find(|name| !interface.may_import(name));
    if let Some(denied) = denied {
        let offered = interface.imports.join(", ");
        return format!(
            "imports {denied}, which {} does not get: it gets {offered}, and WASI; build it for its world in wit/ of this \
             sigbox",
            interface.kind
        );
    }
    let differs = interface.worlds.iter().find_map(|world| difference::of_imports(component, engine, world));
    let differs = differs.unwrap_or_else(|| format!("imports something this sigbox does not offer: {reason}"));
    format!("{differs}; build it against wit/ of this sigbox (`sigbox wit export DIR` writes it)")
}

/// Explains why the export `interface` of `component` has the wrong type. `reason` is what the type check said.
pub(crate) fn explain_export(component: &Component, engine: &Engine, interface: Interface, reason: &str) -> String {
    let name = interface.full_name();
    let differs = interface.worlds.iter().find_map(|world| difference::of_export(component, engine, world, &name));
    let differs = differs.unwrap_or_else(|| format!("its export {name} has another type than expected: {reason}"));
    format!("{differs}; build it against wit/ of this sigbox (`sigbox wit export DIR` writes it)")
}
