//! Where a module comes from: the author's files, the SDK, and the interfaces of the host.

use std::{collections::BTreeMap, rc::Rc};

use rquickjs::{
    Ctx, Error, Exception, Module, Result,
    loader::{ImportAttributes, Loader, Resolver},
    module::{Declarations, Declared, Exports, ModuleDef},
};

use crate::{Import, typescript};

macro_rules! sdk {
    ($($file:literal),* $(,)?) => {
        [$((concat!("sigbox/", $file), include_str!(concat!("../../../../sdk/javascript/", $file)))),*]
    };
}

/// The SDK's modules, by their place in the package.
const SDK: &[(&str, &str)] = &sdk![
    "index.js",
    "candles.js",
    "persistence.js",
    "settings.js",
    "strategy.js",
    "utf8.js",
    "guest/backend.js",
    "guest/errors.js",
    "guest/globals.js",
    "guest/strategy.js",
];

/// The module of the SDK that `name` means: a file, or what the package exports as "sigbox" or "sigbox/persistence".
fn of_sdk(name: &str) -> Option<&'static str> {
    let files = [name.to_owned(), format!("{name}.js"), format!("{name}/index.js")];
    SDK.iter().map(|(module, _)| *module).find(|module| files.iter().any(|file| file == module))
}

/// The files of a plugin: the text of each by its path, "dip.ts" or "lib/averages.js".
#[derive(Debug, Default)]
pub struct Files {
    /// The path of the file that the operator named.
    pub main: String,
    /// Each file's text.
    pub texts: BTreeMap<String, String>,
}

pub(crate) struct Modules {
    files: Rc<Files>,
    imports: &'static [Import],
}

impl Modules {
    pub(crate) fn new(files: Rc<Files>, imports: &'static [Import]) -> (Self, Self) {
        (Self { files: Rc::clone(&files), imports }, Self { files, imports })
    }

    /// The file that `name` means in the file `base`.
    fn file(&self, base: &str, name: &str) -> Option<String> {
        let path = join(base, name)?;
        let typescript = path.strip_suffix("js").map(|stem| format!("{stem}ts"));
        let candidates = [Some(path.clone()), typescript]
            .into_iter()
            .flatten()
            .chain([".ts", ".js", ".mts", ".mjs", "/index.ts", "/index.js"].map(|ending| format!("{path}{ending}")));
        candidates.into_iter().find(|candidate| self.files.texts.contains_key(candidate))
    }
}

impl Resolver for Modules {
    fn resolve<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        base: &str,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<String> {
        let is_import = self.imports.iter().any(|import| import.name == name);
        // What the interpreter itself asks for comes from no file.
        let is_main = base.is_empty() && name == self.files.main;
        if is_import || is_main {
            return Ok(name.to_owned());
        }
        let is_relative = name.starts_with("./") || name.starts_with("../");
        let found = match of_sdk(base) {
            Some(_) if is_relative => join(base, name).and_then(|path| of_sdk(&path)).map(ToOwned::to_owned),
            None if is_relative => self.file(base, name),
            _ => of_sdk(name).map(ToOwned::to_owned),
        };
        if let Some(found) = found {
            return Ok(found);
        }
        let message = if is_relative {
            format!("there is no file \"{name}\" beside {base}")
        } else if name.starts_with("sigbox") || name.starts_with("wasi:") {
            format!("there is no module \"{name}\" for this kind of plugin")
        } else {
            format!(
                "\"{name}\" is not one of the plugin's files; packages of npm must be bundled into one of them: \
                 npx esbuild FILE --bundle --format=esm --external:sigbox --outfile=BUNDLE"
            )
        };
        let place = self.files.texts.get(base).and_then(|text| place_of_import(text, name));
        Err(syntax_error(ctx, &message, base, place))
    }
}

impl Loader for Modules {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<Module<'js, Declared>> {
        if let Some((_, text)) = SDK.iter().find(|(module, _)| *module == name) {
            return Module::declare(ctx.clone(), name, *text);
        }
        if self.imports.iter().any(|import| import.name == name) {
            IMPORTING.set(self.imports);
            return Module::declare_def::<HostModule, _>(ctx.clone(), name);
        }
        let Some(text) = self.files.texts.get(name) else { return Err(Error::new_loading(name)) };
        if matches!(name.rsplit_once('.'), Some((_, "ts" | "mts"))) {
            match typescript::strip(text) {
                Ok(text) => Module::declare(ctx.clone(), name, text),
                Err(problem) => Err(syntax_error(ctx, &problem.message, name, Some((problem.line, problem.column)))),
            }
        } else {
            Module::declare(ctx.clone(), name, text.as_str())
        }
    }
}

/// Throws a `SyntaxError` whose stack names a place in the author's text.
fn syntax_error(ctx: &Ctx<'_>, message: &str, path: &str, place: Option<(usize, usize)>) -> Error {
    let error = Exception::throw_syntax(ctx, "");
    let thrown = ctx.catch();
    let Some(object) = thrown.as_object() else { return error };
    let (line, column) = place.unwrap_or((1, 1));
    let set =
        object.set("message", message).and_then(|()| object.set("stack", format!("    at {path}:{line}:{column}\n")));
    match set {
        Ok(()) => ctx.throw(thrown),
        Err(error) => error,
    }
}

/// The path that `name` means in the file `base`; none if it leaves the folder.
fn join(base: &str, name: &str) -> Option<String> {
    let mut parts: Vec<&str> = base.split('/').collect();
    parts.pop();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Line and column of the first import of `name`, to show it. Where the text is not the usual one, another place may be
/// found, or none.
fn place_of_import(text: &str, name: &str) -> Option<(usize, usize)> {
    ['"', '\''].into_iter().find_map(|quote| {
        let quoted = format!("{quote}{name}{quote}");
        text.match_indices(&quoted).find_map(|(at, _)| {
            let before = text[..at].trim_end();
            let is_import = ["from", "import", "import("].iter().any(|word| before.ends_with(word));
            let is_comment = before.rsplit('\n').next().is_some_and(|line| line.contains("//"));
            (is_import && !is_comment).then(|| place(text, at))
        })
    })
}

/// Line and column of a byte of the text, from 1. Columns count as those of QuickJS: bytes.
pub(crate) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, str::len) + 1;
    (line, column)
}

std::thread_local! {
    /// The interfaces of the world. A module of QuickJS is made by functions that know nothing but its name.
    static IMPORTING: std::cell::Cell<&'static [Import]> = const { std::cell::Cell::new(&[]) };
}

/// An interface of the host.
struct HostModule;

impl HostModule {
    fn items(name: &str) -> Option<&'static Import> {
        IMPORTING.get().iter().find(|import| import.name == name)
    }
}

impl ModuleDef for HostModule {
    fn declare(declarations: &Declarations<'_>) -> Result<()> {
        let name: String = declarations.module().name()?;
        for item in Self::items(&name).map_or(&[][..], |import| import.items) {
            declarations.declare(item.name())?;
        }
        declarations.declare("default")?;
        Ok(())
    }

    fn evaluate<'js>(ctx: &Ctx<'js>, exports: &Exports<'js>) -> Result<()> {
        let name: String = exports.module().name()?;
        let all = crate::object(ctx)?;
        for item in Self::items(&name).map_or(&[][..], |import| import.items) {
            let value = item.value(ctx)?;
            all.set(item.name(), value.clone())?;
            exports.export(item.name(), value)?;
        }
        exports.export("default", all)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(files: &[&str], base: &str, name: &str) -> Option<String> {
        let texts = files.iter().map(|path| ((*path).to_owned(), String::new())).collect();
        Modules::new(Rc::new(Files { main: String::new(), texts }), &[]).0.file(base, name)
    }

    #[test]
    fn an_import_means_a_file() {
        let files = ["dip.ts", "helpers.ts", "both.js", "both.ts", "lib/index.js", "lib/averages.js", "m.mts"];
        for (base, name, expected) in [
            ("dip.ts", "./helpers", Some("helpers.ts")),
            ("dip.ts", "./helpers.ts", Some("helpers.ts")),
            ("dip.ts", "./helpers.js", Some("helpers.ts")),
            ("dip.ts", "./m.mjs", Some("m.mts")),
            ("dip.ts", "./both.js", Some("both.js")),
            ("dip.ts", "./lib", Some("lib/index.js")),
            ("dip.ts", "./lib/averages.js", Some("lib/averages.js")),
            ("lib/index.js", "./averages.js", Some("lib/averages.js")),
            ("lib/index.js", "../helpers.js", Some("helpers.ts")),
            ("lib/index.js", "../lib/../dip.ts", Some("dip.ts")),
            ("dip.ts", "./missing.js", None),
            ("dip.ts", "../dip.ts", None),
        ] {
            assert_eq!(file(&files, base, name).as_deref(), expected, "{name} in {base}");
        }
    }

    #[test]
    fn the_place_of_an_import_is_found() {
        let text = "// from 'lodash'\nimport { long } from \"sigbox\";\nimport é, { map } from 'lodash';\n";
        assert_eq!(place_of_import(text, "lodash"), Some((3, 25)));
        assert_eq!(place_of_import(text, "sigbox"), Some((2, 22)));
        assert_eq!(place_of_import(text, "other"), None);
    }
}
