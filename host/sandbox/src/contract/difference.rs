//! Where a component's types differ from those of the contract, for its author.
//!
//! The types of the contract are those of a component that `build.rs` makes from `wit/`: it has the imports and exports
//! of a world, and does nothing.

use wasmtime::{
    Engine,
    component::{
        Component,
        types::{ComponentFunc, ComponentInstance, ComponentItem, Type},
    },
};

/// Every export of a strategy and every import it can have.
pub(super) const STRATEGY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/strategy.wasm"));

/// The same of a backend that keeps two hosts apart.
pub(super) const BACKEND: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fenced-backend.wasm"));

/// The same of a backend that wraps another store.
pub(super) const WRAPPER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/wrapper.wasm"));

/// Where the export `interface` of `component` differs from that of the world `expected`; `None`: nowhere.
pub(super) fn of_export(component: &Component, engine: &Engine, expected: &[u8], interface: &str) -> Option<String> {
    let expected = Component::new(engine, expected).ok()?;
    let (expected, found) = (expected.component_type(), component.component_type());
    let expected = instance(expected.get_export(engine, interface)?.ty)?;
    let found = instance(found.get_export(engine, interface)?.ty)?;
    // What the contract has must be there, and as it is there. What else a component exports is its own affair.
    expected.exports(engine).find_map(|(name, item)| {
        let ComponentItem::ComponentFunc(expected) = item.ty else { return None };
        match found.get_export(engine, name).map(|item| item.ty) {
            Some(ComponentItem::ComponentFunc(found)) => of_function(&expected, &found),
            Some(_) => Some("expected a function, found something else".to_owned()),
            None => Some("it is missing".to_owned()),
        }
        .map(|difference| format!("its export {interface}, function {name}: {difference}"))
    })
}

/// Where the imports of `component` differ from those of the world `expected`; `None`: nowhere, as far as the world has
/// them.
pub(super) fn of_imports(component: &Component, engine: &Engine, expected: &[u8]) -> Option<String> {
    let expected = Component::new(engine, expected).ok()?;
    let expected = expected.component_type();
    component.component_type().imports(engine).find_map(|(interface, item)| {
        let expected = instance(expected.get_import(engine, interface)?.ty)?;
        let found = instance(item.ty)?;
        found.exports(engine).find_map(|(name, item)| {
            let ComponentItem::ComponentFunc(found) = item.ty else { return None };
            match expected.get_export(engine, name).map(|item| item.ty) {
                Some(ComponentItem::ComponentFunc(expected)) => of_function(&expected, &found),
                _ => Some("this sigbox does not have it".to_owned()),
            }
            .map(|difference| format!("its import {interface}, function {name}: {difference}"))
        })
    })
}

fn instance(item: ComponentItem) -> Option<ComponentInstance> {
    match item {
        ComponentItem::ComponentInstance(instance) => Some(instance),
        _ => None,
    }
}

fn of_function(expected: &ComponentFunc, found: &ComponentFunc) -> Option<String> {
    if expected.async_() != found.async_() {
        return Some(format!("expected {}, found {}", kind(expected), kind(found)));
    }
    // The names of parameters are no part of the type.
    if expected.params().len() != found.params().len() {
        let names = |function: &ComponentFunc| {
            function.params().map(|(name, _)| name.to_owned()).collect::<Vec<_>>().join(", ")
        };
        return Some(format!("expected the parameters ({}), found ({})", names(expected), names(found)));
    }
    let parameter = expected.params().zip(found.params()).find_map(|((name, expected), (_, found))| {
        of_type(&expected, &found).map(|difference| format!("parameter {name}{difference}"))
    });
    parameter.or_else(|| {
        let mut results = (expected.results(), found.results());
        of_optional(results.0.next(), results.1.next()).map(|difference| format!("result{difference}"))
    })
}

fn kind(function: &ComponentFunc) -> &'static str {
    if function.async_() { "an async function" } else { "a function that is not async" }
}

/// Where two types differ: the way to it, then what was expected and what was found.
fn of_type(expected: &Type, found: &Type) -> Option<String> {
    match (expected, found) {
        (Type::List(expected), Type::List(found)) => within(", element", &expected.ty(), &found.ty()),
        (Type::Option(expected), Type::Option(found)) => within(", if there is one", &expected.ty(), &found.ty()),
        (Type::Result(expected), Type::Result(found)) => {
            of_optional(expected.ok(), found.ok()).map(|difference| format!(", if it is ok{difference}")).or_else(
                || of_optional(expected.err(), found.err()).map(|difference| format!(", if it fails{difference}")),
            )
        }
        (Type::Tuple(expected), Type::Tuple(found)) if expected.types().len() == found.types().len() => {
            (1..).zip(expected.types().zip(found.types())).find_map(|(number, (expected, found))| {
                of_type(&expected, &found).map(|difference| format!(", part {number}{difference}"))
            })
        }
        (Type::Record(expected), Type::Record(found)) => {
            let names = |record: &wasmtime::component::types::Record| {
                record.fields().map(|field| field.name.to_owned()).collect::<Vec<_>>()
            };
            let (wanted, given) = (names(expected), names(found));
            let missing = wanted.iter().find(|name| !given.contains(name));
            let unknown = given.iter().find(|name| !wanted.contains(name));
            match (missing, unknown) {
                (Some(missing), _) => Some(format!(", record: the field {missing} is missing")),
                (None, Some(unknown)) => Some(format!(", record: the field {unknown} is not in the contract")),
                (None, None) if wanted != given => {
                    Some(format!(", record: expected the fields in the order {}", wanted.join(", ")))
                }
                (None, None) => expected.fields().zip(found.fields()).find_map(|(expected, found)| {
                    of_type(&expected.ty, &found.ty)
                        .map(|difference| format!(", record, field {}{difference}", expected.name))
                }),
            }
        }
        (Type::Enum(expected), Type::Enum(found)) => {
            let cases = |cases: &wasmtime::component::types::Enum| cases.names().collect::<Vec<_>>().join(", ");
            let (wanted, given) = (cases(expected), cases(found));
            (wanted != given).then(|| format!(": expected the cases {wanted}, found {given}"))
        }
        (expected, found) if std::mem::discriminant(expected) == std::mem::discriminant(found) => None,
        (expected, found) => Some(format!(": expected {}, found {}", name(expected), name(found))),
    }
}

fn within(way: &str, expected: &Type, found: &Type) -> Option<String> {
    of_type(expected, found).map(|difference| format!("{way}{difference}"))
}

fn of_optional(expected: Option<Type>, found: Option<Type>) -> Option<String> {
    match (expected, found) {
        (Some(expected), Some(found)) => of_type(&expected, &found),
        (Some(expected), None) => Some(format!(": expected {}, found nothing", name(&expected))),
        (None, Some(found)) => Some(format!(": expected nothing, found {}", name(&found))),
        (None, None) => None,
    }
}

/// A type as WIT writes it. A type with parts is written without them, because they are compared one by one.
fn name(of: &Type) -> &'static str {
    match of {
        Type::Bool => "bool",
        Type::S8 => "s8",
        Type::U8 => "u8",
        Type::S16 => "s16",
        Type::U16 => "u16",
        Type::S32 => "s32",
        Type::U32 => "u32",
        Type::S64 => "s64",
        Type::U64 => "u64",
        Type::Float32 => "f32",
        Type::Float64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::List(_) | Type::FixedLengthList(_) => "a list",
        Type::Map(_) => "a map",
        Type::Record(_) => "a record",
        Type::Tuple(_) => "a tuple",
        Type::Variant(_) => "a variant",
        Type::Enum(_) => "an enum",
        Type::Option(_) => "an option",
        Type::Result(_) => "a result",
        Type::Flags(_) => "flags",
        Type::Own(_) | Type::Borrow(_) => "a resource",
        Type::Future(_) => "a future",
        Type::Stream(_) => "a stream",
        Type::ErrorContext => "an error-context",
    }
}
