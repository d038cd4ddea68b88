//! How large a component becomes when it is instantiated, found out before it is compiled.
//!
//! A component can instantiate a component that instantiates another one, each many times. So a file of some hundred
//! bytes can stand for millions of instances. The compiler takes all of them in before any limit of a store applies, and
//! would use up the memory of the machine. What an instance has besides its memories and tables (its globals, and what it
//! needs for its functions) is the host's memory too.

use std::{fmt, mem};

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentTypeRef, Instance,
    Parser, Payload,
};

use crate::{growth::CORE_INSTANCES, limits::INSTANCE_BYTES};

/// What is made when a component is instantiated once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    /// Instances of core modules.
    instances: usize,
    /// Bytes of the host for their globals and functions, at most.
    bytes: usize,
}

impl Size {
    const fn and(self, other: Self) -> Self {
        Self {
            instances: self.instances.saturating_add(other.instances),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    fn at_least(self, other: Self) -> Self {
        Self { instances: self.instances.max(other.instances), bytes: self.bytes.max(other.bytes) }
    }
}

/// Bytes of a global in an instance.
const GLOBAL_BYTES: usize = 16;

/// Bytes of a function in an instance that others can call, or of an import.
const FUNCTION_BYTES: usize = 32;

/// How deep components may lie in each other; those of compilers and linkers lie two or three deep. The memory of the
/// compiler grows with the square of the depth: a file of 94 KB with 8000 levels took 1.3 GB.
const MOST_DEPTH: usize = 100;

/// Why a component is not compiled.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TooLarge {
    Instances,
    Bytes,
    /// Components lie in components.
    Depth,
    /// Its size depends on what it is given.
    Unknown,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instances => write!(f, "it has more than {CORE_INSTANCES} instances of core modules"),
            Self::Bytes => write!(f, "its globals and functions need more than {} MiB", INSTANCE_BYTES >> 20),
            Self::Depth => write!(f, "components lie more than {MOST_DEPTH} deep in each other"),
            Self::Unknown => f.write_str("a component in it imports a component or a core module"),
        }
    }
}

/// Checks how large the component `wasm` becomes. A file that is not a component passes: the compiler says better what
/// is wrong with it.
pub(super) fn check(wasm: &[u8]) -> Result<(), TooLarge> {
    let size = match size(wasm) {
        Ok(size) => size,
        Err(Unusable::Invalid) => return Ok(()),
        Err(Unusable::Unknown) => return Err(TooLarge::Unknown),
        Err(Unusable::Deep) => return Err(TooLarge::Depth),
    };
    if size.instances > CORE_INSTANCES {
        Err(TooLarge::Instances)
    } else if size.bytes > INSTANCE_BYTES {
        Err(TooLarge::Bytes)
    } else {
        Ok(())
    }
}

enum Unusable {
    Invalid,
    Unknown,
    Deep,
}

impl From<wasmparser::BinaryReaderError> for Unusable {
    fn from(_: wasmparser::BinaryReaderError) -> Self {
        Self::Invalid
    }
}

/// A component or a core module that is being read.
#[derive(Default)]
struct Frame {
    is_module: bool,
    size: Size,
    /// By index, what one instance of each core module and of each component has.
    modules: Vec<Size>,
    components: Vec<Size>,
}

fn size(wasm: &[u8]) -> Result<Size, Unusable> {
    let mut outer: Vec<Frame> = Vec::new();
    let mut frame = Frame::default();
    // An export of an instance can be a component too. It is one that was read before, so it is not larger than the
    // largest of them.
    let (mut largest_module, mut largest_component) = (Size::default(), Size::default());
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ModuleSection { .. } => {
                outer.push(mem::replace(&mut frame, Frame { is_module: true, size: module(), ..Frame::default() }));
            }
            Payload::ComponentSection { .. } if outer.len() >= MOST_DEPTH => return Err(Unusable::Deep),
            Payload::ComponentSection { .. } => outer.push(mem::take(&mut frame)),
            Payload::End(_) => {
                let Some(parent) = outer.pop() else { return Ok(frame.size) };
                let Frame { is_module, size, .. } = mem::replace(&mut frame, parent);
                if is_module {
                    largest_module = largest_module.at_least(size);
                    frame.modules.push(size);
                } else {
                    largest_component = largest_component.at_least(size);
                    frame.components.push(size);
                }
            }
            // Of a core module.
            Payload::GlobalSection(globals) => frame.add_bytes(globals.count(), GLOBAL_BYTES),
            Payload::FunctionSection(functions) => frame.add_bytes(functions.count(), FUNCTION_BYTES),
            Payload::ImportSection(imports) => frame.add_bytes(imports.count(), FUNCTION_BYTES),
            // Of a component.
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        frame.size = frame.size.and(at(&frame.modules, module_index)?);
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        frame.size = frame.size.and(at(&frame.components, component_index)?);
                    }
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    match alias? {
                        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Module, .. } => {
                            frame.modules.push(largest_module);
                        }
                        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => {
                            frame.components.push(largest_component);
                        }
                        ComponentAlias::Outer { kind: ComponentOuterAliasKind::CoreModule, count, index } => {
                            let found = at(&enclosing(&outer, &frame, count)?.modules, index)?;
                            frame.modules.push(found);
                        }
                        ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, count, index } => {
                            let found = at(&enclosing(&outer, &frame, count)?.components, index)?;
                            frame.components.push(found);
                        }
                        _ => {}
                    }
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    match export.kind {
                        ComponentExternalKind::Module => {
                            let found = at(&frame.modules, export.index)?;
                            frame.modules.push(found);
                        }
                        ComponentExternalKind::Component => {
                            let found = at(&frame.components, export.index)?;
                            frame.components.push(found);
                        }
                        _ => {}
                    }
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    if matches!(import?.ty, ComponentTypeRef::Module(_) | ComponentTypeRef::Component(_)) {
                        return Err(Unusable::Unknown);
                    }
                }
            }
            _ => {}
        }
    }
    Err(Unusable::Invalid)
}

/// An instance of an empty core module.
const fn module() -> Size {
    Size { instances: 1, bytes: 0 }
}

impl Frame {
    fn add_bytes(&mut self, count: u32, bytes_each: usize) {
        self.size.bytes = self.size.bytes.saturating_add(bytes_each.saturating_mul(count as usize));
    }
}

fn at(sizes: &[Size], index: u32) -> Result<Size, Unusable> {
    sizes.get(index as usize).copied().ok_or(Unusable::Invalid)
}

/// The component that is `count` levels further out.
fn enclosing<'f>(outer: &'f [Frame], frame: &'f Frame, count: u32) -> Result<&'f Frame, Unusable> {
    match count as usize {
        0 => Ok(frame),
        count => outer.len().checked_sub(count).and_then(|at| outer.get(at)).ok_or(Unusable::Invalid),
    }
}
