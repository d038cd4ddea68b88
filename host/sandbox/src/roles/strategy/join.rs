//! Joins a strategy's component with the module that asks it (`asker.wat`), so that many questions cost one call.
//!
//! The module is appended to the component. Appended items have the highest indices, so no index of the component
//! changes. The module calls the core function behind `get-signal`: numbers go in and nothing comes out, so lifting and
//! lowering would change nothing.

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

/// What tells code that was compiled with this module from code that was compiled with another one, or with none.
pub(super) fn variant() -> String {
    format!("-{}", &sigbox_market::digest::sha256(ASKER)[..16])
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

/// The numbers of a component's items, and where its exports come from.
#[derive(Default)]
struct Outline<'a> {
    core_modules: u32,
    core_instances: u32,
    core_functions: u32,
    core_memories: u32,
    types: u32,
    functions: Vec<Function>,
    instances: Vec<Instance<'a>>,
    exports: Vec<(&'a str, u32)>,
    /// A name of the module that the component uses.
    taken: Option<&'a str>,
}

/// Where a function of the component comes from.
#[derive(Clone, Copy)]
enum Function {
    /// A core function that is lifted with no option that does something at a call.
    Lifted {
        core_function: u32,
    },
    Other,
}

/// Where an instance of the component comes from.
#[derive(Clone)]
enum Instance<'a> {
    /// Functions by their names. A component that only gives functions their types takes each of them as an argument
    /// whose name ends with the function's: this is how compilers export an interface.
    Of(Vec<(&'a str, u32)>),
    Other,
}

impl<'a> Outline<'a> {
    fn read(&mut self, component: &'a [u8]) -> Result<(), BinaryReaderError> {
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload?;
            match &payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                    if depth == 0 && matches!(payload, Payload::ModuleSection { .. }) {
                        self.core_modules += 1;
                    }
                    depth += 1;
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                _ if depth == 0 => self.add(payload)?,
                _ => {}
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
                    self.reserve(import.name.name);
                    self.name(import.ty.kind(), None);
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    let of = |args: Vec<(&'a str, ComponentExternalKind, u32)>| {
                        let functions = args.into_iter().filter(|(_, kind, _)| *kind == ComponentExternalKind::Func);
                        Instance::Of(functions.map(|(name, _, index)| (name, index)).collect())
                    };
                    self.instances.push(match instance? {
                        ComponentInstance::Instantiate { args, .. } => {
                            of(args.iter().map(|arg| (arg.name, arg.kind, arg.index)).collect())
                        }
                        ComponentInstance::FromExports(exports) => {
                            of(exports.iter().map(|export| (export.name.name, export.kind, export.index)).collect())
                        }
                    });
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
                    self.reserve(export.name.name);
                    if export.kind == ComponentExternalKind::Instance {
                        self.exports.push((export.name.name, export.index));
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

    /// Counts a new item. `of`: the item that it is another name of.
    fn name(&mut self, kind: ComponentExternalKind, of: Option<u32>) {
        let at = |index: u32| index as usize;
        match kind {
            ComponentExternalKind::Module => self.core_modules += 1,
            ComponentExternalKind::Type => self.types += 1,
            ComponentExternalKind::Func => {
                let function = of.and_then(|index| self.functions.get(at(index)).copied());
                self.functions.push(function.unwrap_or(Function::Other));
            }
            ComponentExternalKind::Instance => {
                let instance = of.and_then(|index| self.instances.get(at(index)).cloned());
                self.instances.push(instance.unwrap_or(Instance::Other));
            }
            ComponentExternalKind::Component | ComponentExternalKind::Value => {}
        }
    }

    /// The core function behind `function` of the exported `interface`.
    fn core_function(&self, interface: &str, function: &str) -> Option<u32> {
        let (_, instance) = self.exports.iter().find(|(name, _)| *name == interface)?;
        let Instance::Of(functions) = self.instances.get(*instance as usize)? else { return None };
        let is_it = |name: &str| name == function || name.strip_prefix("import-func-") == Some(function);
        let (_, index) = functions.iter().find(|(name, _)| is_it(name))?;
        match self.functions.get(*index as usize)? {
            Function::Lifted { core_function } => Some(*core_function),
            Function::Other => None,
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
