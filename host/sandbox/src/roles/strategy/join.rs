//! Joins a strategy's component with the module that asks it (`asker.wat`), so that many questions cost one call.
//!
//! The module is appended to the component. Appended items have the highest indices, so no index of the component
//! changes. The module calls the core function behind `get-signal`: numbers go in and nothing comes out, so lifting and
//! lowering would change nothing.

use std::rc::Rc;

use wasm_encoder::{
    Alias, CanonicalFunctionSection, CanonicalOption, ComponentAliasSection, ComponentExportKind,
    ComponentExportSection, ComponentImportSection, ComponentSection as _, ComponentTypeRef, ComponentTypeSection,
    ComponentValType, ExportKind, InstanceSection, ModuleArg, PrimitiveValType, RawSection,
};
use wasmparser::{
    BinaryReaderError, CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentInstance,
    ComponentOuterAliasKind, ExternalKind, Parser, Payload,
};

/// The module, assembled by `build.rs`.
const ASKER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/asker.wasm"));

/// The function that the joined component imports: it begins a question.
pub(super) const BEGIN_QUESTION: &str = "sigbox-begin-question";

/// The function that the joined component exports: it asks a row of questions.
pub(super) const ASK: &str = "sigbox-ask";

/// How many numbers a question is.
pub(super) const NUMBERS: usize = 7;

/// How many questions fit into the module's memory, with room to spare.
pub(super) const MOST_QUESTIONS: usize = 512;

/// Bytes of the module's memory.
pub(super) const MEMORY_BYTES: usize = 64 << 10;

/// How a component is joined. It must change when [`join`] makes something else of a component: otherwise code that is
/// kept from before would run.
const FORM: u32 = 2;

/// What tells code that was compiled with this module from code that was compiled with another one, or with none.
pub(super) fn variant() -> String {
    format!("-{}-{FORM}", &sigbox_market::digest::sha256(ASKER)[..16])
}

/// The strategy's component with the module in it; `None`: the component is built in a way that cannot be joined, and
/// is asked from outside, one question a call.
///
/// Nothing is promised of a component that is broken: the result is compiled like any other, and then refused.
///
/// # Errors
/// When the component uses a name of the module. Otherwise a strategy could pass off a function of its own as the
/// module's, and would see the minutes of a whole row.
pub(super) fn join(component: &[u8], interface: &str) -> Result<Option<Vec<u8>>, String> {
    let mut outline = Outline::default();
    let read = outline.read(component);
    if let Some(name) = outline.taken {
        return Err(format!("has an import or an export {name}, a name that sigbox uses itself: give it another name"));
    }
    let get_signal = read.ok().and_then(|()| outline.core_function(interface, "get-signal"));
    Ok(get_signal.map(|get_signal| outline.append(component, get_signal)))
}

/// Functions by their names.
type Functions<'a> = Vec<(&'a str, Function<'a>)>;

/// The numbers of a component's items, and where its exports come from.
#[derive(Default)]
struct Outline<'a> {
    core_modules: u32,
    core_instances: u32,
    core_functions: u32,
    core_memories: u32,
    types: u32,
    functions: Vec<Function<'a>>,
    /// What they export; `None`: nothing is known of the component.
    components: Vec<Option<Rc<Functions<'a>>>>,
    /// `None`: nothing is known of the instance.
    instances: Vec<Option<Rc<Instance<'a>>>>,
    function_exports: Functions<'a>,
    instance_exports: Vec<(&'a str, u32)>,
    /// A name of the module that the component uses.
    taken: Option<&'a str>,
}

/// Where a function of a component comes from.
#[derive(Clone, Copy)]
enum Function<'a> {
    /// A core function that is lifted with no option that does something at a call.
    Lifted {
        core_function: u32,
    },
    /// Whoever instantiates the component gives it under this name.
    Argument(&'a str),
    Other,
}

/// Where an instance of a component comes from. Its functions are looked up when somebody asks for one: a copy of them
/// for each name of the instance would be far larger than the file.
struct Instance<'a> {
    /// What the component that was instantiated exports; `None`: the instance consists of `items`.
    of: Option<Rc<Functions<'a>>>,
    /// What the component was given, or what the instance consists of: functions of the outer component by their names.
    items: Functions<'a>,
}

impl<'a> Instance<'a> {
    /// The function of this name, as the outer component knows it. Compilers export an interface by a component that
    /// takes each function as an argument and exports it with its types; which argument it exports under a name, only
    /// its exports tell.
    fn function(&self, name: &str) -> Function<'a> {
        let find = |functions: &Functions<'a>, name: &str| {
            let found = functions.iter().find(|(known, _)| *known == name);
            found.map_or(Function::Other, |(_, function)| *function)
        };
        let Some(of) = &self.of else { return find(&self.items, name) };
        match find(of, name) {
            Function::Argument(argument) => find(&self.items, argument),
            Function::Lifted { .. } | Function::Other => Function::Other,
        }
    }
}

impl<'a> Outline<'a> {
    /// Reads the outermost component. A part that was read before an error stays.
    fn read(&mut self, component: &'a [u8]) -> Result<(), BinaryReaderError> {
        /// What the reader is in, inside the outermost component.
        enum Inside<'a> {
            Module,
            Component(Box<Outline<'a>>),
        }
        let mut inside: Vec<Inside<'a>> = Vec::new();
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload?;
            let around = match inside.last_mut() {
                None => &mut *self,
                Some(Inside::Component(outline)) => outline,
                Some(Inside::Module) => {
                    if matches!(payload, Payload::End(_)) {
                        inside.pop();
                    }
                    continue;
                }
            };
            match payload {
                Payload::ModuleSection { .. } => {
                    around.core_modules += 1;
                    inside.push(Inside::Module);
                }
                Payload::ComponentSection { .. } => inside.push(Inside::Component(Box::default())),
                Payload::End(_) => {
                    if let Some(Inside::Component(outline)) = inside.pop() {
                        let around = match inside.last_mut() {
                            Some(Inside::Component(outline)) => outline,
                            Some(Inside::Module) | None => &mut *self,
                        };
                        around.components.push(Some(Rc::new(outline.function_exports)));
                    }
                }
                payload => around.add(payload)?,
            }
        }
        Ok(())
    }

    fn add(&mut self, payload: Payload<'a>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::InstanceSection(section) => self.core_instances += section.count(),
            Payload::ComponentTypeSection(section) => self.types += section.count(),
            Payload::ComponentImportSection(section) => {
                for import in section {
                    let import = import?;
                    let name = import.name.name;
                    self.reserve(name);
                    match import.ty.kind() {
                        ComponentExternalKind::Func => self.functions.push(Function::Argument(name)),
                        kind => self.name(kind, None),
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    let instance = match instance? {
                        ComponentInstance::Instantiate { component_index, args } => {
                            let items = args.iter().map(|arg| (arg.name, arg.kind, arg.index));
                            let of = self.components.get(component_index as usize).cloned().flatten();
                            of.map(|of| Instance { of: Some(of), items: self.functions_of(items) })
                        }
                        ComponentInstance::FromExports(exports) => {
                            let items = exports.iter().map(|export| (export.name.name, export.kind, export.index));
                            Some(Instance { of: None, items: self.functions_of(items) })
                        }
                    };
                    self.instances.push(instance.map(Rc::new));
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    match alias? {
                        ComponentAlias::InstanceExport { kind, .. } => self.name(kind, None),
                        ComponentAlias::CoreInstanceExport { kind: ExternalKind::Func, .. } => self.core_functions += 1,
                        ComponentAlias::CoreInstanceExport { kind: ExternalKind::Memory, .. } => {
                            self.core_memories += 1;
                        }
                        ComponentAlias::Outer { kind: ComponentOuterAliasKind::CoreModule, .. } => {
                            self.core_modules += 1;
                        }
                        ComponentAlias::Outer { kind: ComponentOuterAliasKind::Type, .. } => self.types += 1,
                        ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, .. } => {
                            self.components.push(None);
                        }
                        ComponentAlias::CoreInstanceExport { .. } | ComponentAlias::Outer { .. } => {}
                    }
                }
            }
            Payload::ComponentCanonicalSection(section) => {
                for function in section {
                    match function? {
                        CanonicalFunction::Lift { core_func_index, options, .. } => {
                            let is_plain = !options.iter().copied().any(does_something);
                            let lifted = Function::Lifted { core_function: core_func_index };
                            self.functions.push(if is_plain { lifted } else { Function::Other });
                        }
                        _ => self.core_functions += 1,
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    let export = export?;
                    let name = export.name.name;
                    self.reserve(name);
                    match export.kind {
                        ComponentExternalKind::Instance => self.instance_exports.push((name, export.index)),
                        ComponentExternalKind::Func => self.function_exports.push((name, self.function(export.index))),
                        _ => {}
                    }
                    self.name(export.kind, Some(export.index));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Notes a name of the module.
    fn reserve(&mut self, name: &'a str) {
        if [BEGIN_QUESTION, ASK].contains(&name) {
            self.taken = Some(name);
        }
    }

    fn function(&self, index: u32) -> Function<'a> {
        self.functions.get(index as usize).copied().unwrap_or(Function::Other)
    }

    fn functions_of(&self, items: impl Iterator<Item = (&'a str, ComponentExternalKind, u32)>) -> Functions<'a> {
        let functions = items.filter(|(_, kind, _)| *kind == ComponentExternalKind::Func);
        functions.map(|(name, _, index)| (name, self.function(index))).collect()
    }

    /// Counts a new item. `of`: the item that it is another name of.
    fn name(&mut self, kind: ComponentExternalKind, of: Option<u32>) {
        match kind {
            ComponentExternalKind::Module => self.core_modules += 1,
            ComponentExternalKind::Type => self.types += 1,
            ComponentExternalKind::Func => {
                self.functions.push(of.map_or(Function::Other, |index| self.function(index)));
            }
            ComponentExternalKind::Instance => {
                self.instances.push(of.and_then(|index| self.instances.get(index as usize).cloned().flatten()));
            }
            ComponentExternalKind::Component => {
                self.components.push(of.and_then(|index| self.components.get(index as usize).cloned().flatten()));
            }
            ComponentExternalKind::Value => {}
        }
    }

    /// The core function behind `function` of the exported `interface`.
    fn core_function(&self, interface: &str, function: &str) -> Option<u32> {
        let (_, instance) = self.instance_exports.iter().find(|(name, _)| *name == interface)?;
        match self.instances.get(*instance as usize)?.as_ref()?.function(function) {
            Function::Lifted { core_function } => Some(core_function),
            Function::Argument(_) | Function::Other => None,
        }
    }

    fn append(&self, component: &[u8], get_signal: u32) -> Vec<u8> {
        let mut joined = component.to_vec();
        // More than fit would be refused when the component is compiled.
        let functions = u32::try_from(self.functions.len()).unwrap_or(u32::MAX);

        // The function that begins a question, as a core function.
        let (begin_type, row_type, ask_type) = (self.types, self.types + 1, self.types + 2);
        let mut types = ComponentTypeSection::new();
        let when = [("when-ms", PrimitiveValType::S64)];
        types.function().params(when).result(Some(PrimitiveValType::Bool.into()));
        types.defined_type().list(PrimitiveValType::F64);
        types.function().params([("questions", ComponentValType::Type(row_type))]).result(None);
        types.append_to_component(&mut joined);
        let mut imports = ComponentImportSection::new();
        imports.import(BEGIN_QUESTION, ComponentTypeRef::Func(begin_type));
        imports.append_to_component(&mut joined);
        let begin = self.core_functions;
        let mut lowered = CanonicalFunctionSection::new();
        lowered.lower(functions, []);
        lowered.append_to_component(&mut joined);

        // The module, with what it imports.
        RawSection { id: wasm_encoder::ComponentSectionId::CoreModule as u8, data: ASKER }
            .append_to_component(&mut joined);
        let (host, guest, asker) = (self.core_instances, self.core_instances + 1, self.core_instances + 2);
        let mut instances = InstanceSection::new();
        instances.export_items([("begin-question", ExportKind::Func, begin)]);
        instances.export_items([("get-signal", ExportKind::Func, get_signal)]);
        let arguments = [("host", ModuleArg::Instance(host)), ("guest", ModuleArg::Instance(guest))];
        instances.instantiate(self.core_modules, arguments);
        instances.append_to_component(&mut joined);

        // Its function, lifted and exported.
        let mut aliases = ComponentAliasSection::new();
        for (kind, name) in [(ExportKind::Memory, "memory"), (ExportKind::Func, "realloc"), (ExportKind::Func, "ask")] {
            aliases.alias(Alias::CoreInstanceExport { instance: asker, kind, name });
        }
        aliases.append_to_component(&mut joined);
        let (realloc, ask) = (begin + 1, begin + 2);
        let mut lifted = CanonicalFunctionSection::new();
        lifted.lift(ask, ask_type, [CanonicalOption::Memory(self.core_memories), CanonicalOption::Realloc(realloc)]);
        lifted.append_to_component(&mut joined);
        let mut exports = ComponentExportSection::new();
        exports.export(ASK, ComponentExportKind::Func, functions + 1, None);
        exports.append_to_component(&mut joined);
        joined
    }
}

/// Whether an option of a lifted function does something at a call that takes numbers and returns nothing.
const fn does_something(option: wasmparser::CanonicalOption) -> bool {
    use wasmparser::CanonicalOption as Given;
    !matches!(option, Given::UTF8 | Given::UTF16 | Given::CompactUTF16 | Given::Memory(_) | Given::Realloc(_))
}
