//! Writes the Rust that makes the imports of a WIT world modules of JavaScript. A build script calls [`write`].
//!
//! `wit-bindgen` makes types and functions of Rust from the world, in a module `bindings` of the crate. For each of these
//! types, this crate writes an implementation of `engine::Wit`, which converts it from and to a value of JavaScript; for
//! each function, a function of JavaScript. Names and shapes are those of componentize-qjs, so a plugin is the same text
//! whether an interpreter runs it or it is built.

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use heck::{ToLowerCamelCase as _, ToShoutySnakeCase as _, ToSnakeCase as _, ToUpperCamelCase as _};
use wit_parser::{
    Function, FunctionKind, Handle, InterfaceId, Resolve, Result_, Type, TypeDefKind, TypeId, TypeOwner, WorldId,
    WorldItem,
};

/// Returns the Rust for `world` of the WIT packages in the folders `wit`, the package of the world last.
///
/// # Panics
/// When there is no such world, or it has something that this crate does not know.
#[must_use]
pub fn write(wit: &[&Path], world: &str) -> String {
    let mut resolve = Resolve::default();
    let mut package = None;
    for folder in wit {
        let (pushed, _) = resolve.push_path(folder).unwrap_or_else(|error| panic!("{}: {error:#}", folder.display()));
        package = Some(pushed);
    }
    let package = package.expect("a folder of WIT");
    let world = resolve.select_world(&[package], Some(world)).unwrap_or_else(|error| panic!("{world}: {error:#}"));
    Glue { resolve, world, out: String::new() }.write()
}

struct Glue {
    resolve: Resolve,
    world: WorldId,
    out: String,
}

/// What a path of Rust begins with: the types of what is exported stand apart.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Import,
    Export,
}

impl Glue {
    fn write(mut self) -> String {
        let interfaces = |items: Vec<&WorldItem>| -> Vec<InterfaceId> {
            let id = |item: &WorldItem| match item {
                WorldItem::Interface { id, .. } => Some(*id),
                WorldItem::Function(_) | WorldItem::Type { .. } => None,
            };
            items.into_iter().filter_map(id).collect()
        };
        let world = &self.resolve.worlds[self.world];
        let imports = interfaces(world.imports.values().collect());
        let exports = interfaces(world.exports.values().collect());
        for id in &imports {
            self.types(*id, Side::Import);
        }
        for id in exports {
            self.types(id, Side::Export);
        }
        let tables: Vec<String> = imports.into_iter().map(|id| self.interface(id)).collect();
        writeln!(
            self.out,
            "/// The modules of the host.\npub(crate) const IMPORTS: &[engine::Import] = &[{}];",
            tables.concat()
        )
        .expect("a string");
        self.out
    }

    // ---- Types.

    fn types(&mut self, interface: InterfaceId, side: Side) {
        let types: Vec<TypeId> = self.resolve.interfaces[interface].types.values().copied().collect();
        for id in types {
            let rust = self.path(id, side);
            let (from, to) = match &self.resolve.types[id].kind {
                TypeDefKind::Record(record) => {
                    let mut from = String::new();
                    let mut to = "let object = engine::object(ctx)?;".to_owned();
                    for field in &record.fields {
                        let (js, rust) = (field.name.to_lower_camel_case(), rust_name(&field.name));
                        write!(from, "{rust}: engine::field(value, \"{js}\")?,").expect("a string");
                        write!(to, "object.set(\"{js}\", engine::Wit::to_js(self.{rust}, ctx)?)?;").expect("a string");
                    }
                    (format!("Ok(Self {{ {from} }})"), format!("{to} Ok(object.into_value())"))
                }
                TypeDefKind::Enum(cases) => {
                    let names: Vec<&str> = cases.cases.iter().map(|case| case.name.as_str()).collect();
                    let from = names.iter().fold(String::new(), |all, name| {
                        all + &format!("\"{name}\" => Ok(Self::{}),", name.to_upper_camel_case())
                    });
                    let to = names.iter().fold(String::new(), |all, name| {
                        all + &format!("Self::{} => \"{name}\",", name.to_upper_camel_case())
                    });
                    let wanted = names.join("\\\", \\\"");
                    (
                        format!(
                            "match engine::text(value)?.as_str() {{ {from} \
                             _ => Err(engine::Mismatch::new(\"one of \\\"{wanted}\\\"\", value)) }}"
                        ),
                        format!("engine::string(ctx, match self {{ {to} }})"),
                    )
                }
                TypeDefKind::Flags(flags) => {
                    let mut from = "let mut all = Self::empty();".to_owned();
                    let mut to = "let object = engine::object(ctx)?;".to_owned();
                    for flag in &flags.flags {
                        let (js, rust) = (flag.name.to_lower_camel_case(), flag.name.to_shouty_snake_case());
                        write!(from, "if engine::flag(value, \"{js}\")? {{ all |= Self::{rust}; }}").expect("a string");
                        write!(to, "object.set(\"{js}\", self.contains(Self::{rust}))?;").expect("a string");
                    }
                    (format!("{from} Ok(all)"), format!("{to} Ok(object.into_value())"))
                }
                TypeDefKind::Variant(variant) => {
                    let (mut from, mut to) = (String::new(), String::new());
                    for case in &variant.cases {
                        let (name, rust) = (&case.name, case.name.to_upper_camel_case());
                        if case.ty.is_some() {
                            write!(from, "\"{name}\" => Ok(Self::{rust}(engine::field(value, \"val\")?)),")
                                .expect("a string");
                            write!(to, "Self::{rust}(val) => engine::tagged(ctx, \"{name}\", Some(engine::Wit::to_js(val, ctx)?)),")
                                .expect("a string");
                        } else {
                            write!(from, "\"{name}\" => Ok(Self::{rust}),").expect("a string");
                            write!(to, "Self::{rust} => engine::tagged(ctx, \"{name}\", None),").expect("a string");
                        }
                    }
                    let names: Vec<&str> = variant.cases.iter().map(|case| case.name.as_str()).collect();
                    let wanted = names.join("\\\", \\\"");
                    (
                        format!(
                            "let tag: String = engine::field(value, \"tag\")?; match tag.as_str() {{ {from} \
                             _ => Err(engine::Mismatch::new(\"with a tag of \\\"{wanted}\\\"\", value)) }}"
                        ),
                        format!("match self {{ {to} }}"),
                    )
                }
                TypeDefKind::Resource => {
                    self.resource(id, interface, &rust);
                    ("engine::take(value)".to_owned(), "engine::give(ctx, self)".to_owned())
                }
                // Other names of types, and what has no name in Rust.
                _ => continue,
            };
            write!(
                self.out,
                "impl engine::Wit for {rust} {{\n\
                 fn from_js(value: &engine::Value<'_>) -> Result<Self, engine::Mismatch> {{ {from} }}\n\
                 fn to_js<'js>(self, ctx: &engine::Ctx<'js>) -> engine::JsResult<engine::Value<'js>> {{ {to} }}\n}}\n"
            )
            .expect("a string");
        }
    }

    /// What an object of a resource can do in JavaScript.
    fn resource(&mut self, id: TypeId, interface: InterfaceId, rust: &str) {
        let functions: Vec<Function> = self.resolve.interfaces[interface].functions.values().cloned().collect();
        let mut methods = String::new();
        for function in functions {
            if !matches!(function.kind, FunctionKind::Method(of) if of == id) || !self.is_known(&function) {
                continue;
            }
            let name = self.function(&function, rust);
            write!(methods, "(\"{}\", {name}),", function.item_name().to_lower_camel_case()).expect("a string");
        }
        let name = self.resolve.types[id].name.as_ref().expect("a resource has a name").to_upper_camel_case();
        write!(
            self.out,
            "impl engine::Resource for {rust} {{\nconst NAME: &'static str = \"{name}\";\n\
             const METHODS: &'static [(&'static str, engine::Native)] = &[{methods}];\n}}\n"
        )
        .expect("a string");
    }

    // ---- Functions.

    /// The functions and classes of an interface, and its entry in the table.
    fn interface(&mut self, id: InterfaceId) -> String {
        let functions: Vec<Function> = self.resolve.interfaces[id].functions.values().cloned().collect();
        let types: Vec<TypeId> = self.resolve.interfaces[id].types.values().copied().collect();
        let module = self.module(id, Side::Import);
        let mut items = String::new();
        for function in &functions {
            if function.kind == FunctionKind::Freestanding && self.is_known(function) {
                let name = self.function(function, &module);
                write!(items, "engine::Item::Function(\"{}\", {name}),", function.name.to_lower_camel_case())
                    .expect("a string");
            }
        }
        for of in types {
            if !matches!(self.resolve.types[of].kind, TypeDefKind::Resource) {
                continue;
            }
            let (rust, mut statics, mut constructor) = (self.path(of, Side::Import), String::new(), "None".to_owned());
            for function in &functions {
                if !self.is_known(function) {
                    continue;
                }
                match function.kind {
                    FunctionKind::Static(resource) if resource == of => {
                        let name = self.function(function, &rust);
                        write!(statics, "(\"{}\", {name}),", function.item_name().to_lower_camel_case())
                            .expect("a string");
                    }
                    FunctionKind::Constructor(resource) if resource == of => {
                        constructor = format!("Some({})", self.function(function, &rust));
                    }
                    _ => {}
                }
            }
            let name = self.resolve.types[of].name.as_ref().expect("a resource has a name").to_upper_camel_case();
            write!(
                items,
                "engine::Item::Class {{ name: \"{name}\", make: engine::class::<{rust}>, constructor: {constructor}, \
                 statics: &[{statics}] }},"
            )
            .expect("a string");
        }
        let name = self.resolve.id_of(id).expect("an interface of a package");
        format!("engine::Import {{ name: \"{name}\", items: &[{items}] }},\n")
    }

    /// Whether it is not about the other side of HTTP: a plugin asks and does not answer.
    fn is_known(&self, function: &Function) -> bool {
        let is_response = |id: TypeId| self.resolve.types[id].name.as_deref() == Some("response-outparam");
        !matches!(function.kind, FunctionKind::Static(id) | FunctionKind::Method(id) if is_response(id))
    }

    /// Writes a function that calls `within::NAME` with what it finds in its arguments. Returns its name.
    fn function(&mut self, function: &Function, within: &str) -> String {
        let item = function.item_name().to_lower_camel_case();
        let (mut body, mut passed) = (String::new(), Vec::new());
        let is_method = matches!(function.kind, FunctionKind::Method(_));
        for (index, param) in function.params.iter().enumerate() {
            let name = param.name.to_lower_camel_case();
            let from = match (is_method, index) {
                (true, 0) => "this".to_owned(),
                (true, _) => format!("args.get({})", index - 1),
                (false, _) => format!("args.get({index})"),
            };
            let at = format!("ctx, \"{item}\", \"{name}\"");
            if is_method && index == 0 {
                write!(body, "let p0 = engine::this(ctx, \"{item}\", this)?;").expect("a string");
                passed.push("&p0".to_owned());
            } else if self.lends(&param.ty) {
                write!(body, "let p{index} = engine::lent({at}, {from})?;").expect("a string");
                passed.push(format!("&p{index}"));
            } else if let Some(element) = self.list_of_lent(&param.ty) {
                write!(
                    body,
                    "let p{index}: Vec<std::rc::Rc<{}>> = engine::lent_list({at}, {from})?;\
                     let p{index}: Vec<_> = p{index}.iter().map(|lent| &**lent).collect();",
                    self.path(element, Side::Import)
                )
                .expect("a string");
                passed.push(format!("&p{index}"));
            } else {
                write!(body, "let p{index} = engine::argument::<{}>({at}, {from})?;", self.rust(&param.ty))
                    .expect("a string");
                passed.push(self.passed(&param.ty, &format!("p{index}")));
            }
        }
        let rust = match function.kind {
            FunctionKind::Constructor(_) => "new".to_owned(),
            _ => rust_name(function.item_name()),
        };
        let finish = match function.result.as_ref().map(|ty| self.kind(ty)) {
            Some(Some(TypeDefKind::Result(_))) => "engine::outcome",
            _ => "engine::answer",
        };
        let name = format!("f{}", self.out.len());
        let this = if is_method { "this" } else { "_this" };
        let args = if passed.len() > usize::from(is_method) { "args" } else { "_args" };
        writeln!(
            self.out,
            "fn {name}<'js>(ctx: &engine::Ctx<'js>, {this}: &engine::Value<'js>, {args}: &[engine::Value<'js>]) \
             -> engine::JsResult<engine::Value<'js>> {{ {body} {finish}(ctx, {within}::{rust}({})) }}",
            passed.join(", ")
        )
        .expect("a string");
        name
    }

    /// How an owned value is passed to a function of `wit-bindgen`: what has memory of its own by reference.
    fn passed(&self, ty: &Type, name: &str) -> String {
        match ty {
            Type::String => format!("&{name}"),
            Type::Id(id) => match &self.resolve.types[*id].kind {
                TypeDefKind::Type(ty) => self.passed(ty, name),
                TypeDefKind::Handle(_) => name.to_owned(),
                TypeDefKind::Option(inner) if self.is_plain(inner) || self.owns(inner) => name.to_owned(),
                TypeDefKind::Option(inner) => match (inner, self.kind(inner)) {
                    (Type::String, _) | (_, Some(TypeDefKind::List(_))) => format!("{name}.as_deref()"),
                    _ => format!("{name}.as_ref()"),
                },
                _ if self.is_plain(ty) => name.to_owned(),
                _ => format!("&{name}"),
            },
            _ => name.to_owned(),
        }
    }

    /// The kind of a type that is not built in, behind its other names.
    fn kind(&self, ty: &Type) -> Option<&TypeDefKind> {
        let Type::Id(id) = ty else { return None };
        match &self.resolve.types[*id].kind {
            TypeDefKind::Type(ty) => self.kind(ty),
            kind => Some(kind),
        }
    }

    fn lends(&self, ty: &Type) -> bool {
        matches!(self.kind(ty), Some(TypeDefKind::Handle(Handle::Borrow(_))))
    }

    fn owns(&self, ty: &Type) -> bool {
        matches!(self.kind(ty), Some(TypeDefKind::Handle(Handle::Own(_))))
    }

    fn list_of_lent(&self, ty: &Type) -> Option<TypeId> {
        let Some(TypeDefKind::List(element)) = self.kind(ty) else { return None };
        match self.kind(element) {
            Some(TypeDefKind::Handle(Handle::Borrow(id))) => Some(*id),
            _ => None,
        }
    }

    /// Whether it is copied as it is: no text, list or handle is in it.
    fn is_plain(&self, ty: &Type) -> bool {
        let all = |types: Vec<&Type>| types.into_iter().all(|ty| self.is_plain(ty));
        match (ty, self.kind(ty)) {
            (Type::String, _) => false,
            (_, None) => true,
            (_, Some(kind)) => match kind {
                TypeDefKind::Record(record) => all(record.fields.iter().map(|field| &field.ty).collect()),
                TypeDefKind::Tuple(tuple) => all(tuple.types.iter().collect()),
                TypeDefKind::Variant(variant) => {
                    all(variant.cases.iter().filter_map(|case| case.ty.as_ref()).collect())
                }
                TypeDefKind::Option(ty) => self.is_plain(ty),
                TypeDefKind::Result(Result_ { ok, err }) => all(ok.iter().chain(err).collect()),
                TypeDefKind::Enum(_) | TypeDefKind::Flags(_) => true,
                _ => false,
            },
        }
    }

    // ---- Names of Rust.

    fn rust(&self, ty: &Type) -> String {
        match ty {
            Type::Bool => "bool".into(),
            Type::U8 => "u8".into(),
            Type::U16 => "u16".into(),
            Type::U32 => "u32".into(),
            Type::U64 => "u64".into(),
            Type::S8 => "i8".into(),
            Type::S16 => "i16".into(),
            Type::S32 => "i32".into(),
            Type::S64 => "i64".into(),
            Type::F32 => "f32".into(),
            Type::F64 => "f64".into(),
            Type::Char => "char".into(),
            Type::String => "String".into(),
            Type::ErrorContext => unsupported("error-context"),
            Type::Id(id) => match &self.resolve.types[*id].kind {
                TypeDefKind::Type(ty) => self.rust(ty),
                TypeDefKind::Option(ty) => format!("Option<{}>", self.rust(ty)),
                TypeDefKind::List(ty) => format!("Vec<{}>", self.rust(ty)),
                TypeDefKind::Tuple(tuple) => {
                    format!("({},)", tuple.types.iter().map(|ty| self.rust(ty)).collect::<Vec<_>>().join(", "))
                }
                TypeDefKind::Result(Result_ { ok, err }) => {
                    let or_nothing = |ty: &Option<Type>| ty.as_ref().map_or("()".to_owned(), |ty| self.rust(ty));
                    format!("Result<{}, {}>", or_nothing(ok), or_nothing(err))
                }
                TypeDefKind::Handle(Handle::Own(id)) => self.path(*id, Side::Import),
                TypeDefKind::Record(_)
                | TypeDefKind::Enum(_)
                | TypeDefKind::Flags(_)
                | TypeDefKind::Variant(_)
                | TypeDefKind::Resource => self.path(*id, Side::Import),
                kind => unsupported(kind.as_str()),
            },
        }
    }

    /// The path of a type with a name, where it was defined.
    fn path(&self, id: TypeId, side: Side) -> String {
        let ty = &self.resolve.types[id];
        if let TypeDefKind::Type(Type::Id(other)) = ty.kind {
            return self.path(other, side);
        }
        let TypeOwner::Interface(interface) = ty.owner else { unsupported("a type that a world defines") };
        let name = ty.name.as_ref().expect("a type with a name").to_upper_camel_case();
        format!("{}::{name}", self.module(interface, side))
    }

    fn module(&self, interface: InterfaceId, side: Side) -> String {
        let interface = &self.resolve.interfaces[interface];
        let package = &self.resolve.packages[interface.package.expect("an interface of a package")].name;
        let name = interface.name.as_ref().expect("an interface with a name");
        let side = if side == Side::Export { "exports::" } else { "" };
        let parts = [&package.namespace, &package.name, name].map(|part| rust_name(part));
        format!("crate::bindings::{side}{}", parts.join("::"))
    }
}

/// Ends the build: a type like that has no values of JavaScript. None of the contract and of WASI 0.2 is one.
fn unsupported(what: &str) -> ! {
    panic!("the contract has a type that cannot be made a value of JavaScript: {what}")
}

/// As `wit-bindgen` names it.
fn rust_name(name: &str) -> String {
    let keywords: BTreeSet<&str> = [
        "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern", "false",
        "final", "fn", "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return",
        "self", "static", "struct", "super", "trait", "true", "try", "type", "unsafe", "use", "virtual", "where",
        "while", "yield",
    ]
    .into();
    let name = name.to_snake_case();
    if keywords.contains(name.as_str()) { name + "_" } else { name }
}
