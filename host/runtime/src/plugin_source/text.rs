//! Plugins that are a text: the file that the operator names, and the files that it imports.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    path::{Component, Path, PathBuf},
};

use sigbox_sandbox::{SourceFile, Text};

use super::PluginSourceError;

/// The most bytes of all files of a plugin. An interpreter has each of them in its memory.
const MOST_BYTES: u64 = 4 << 20;

/// A language whose text an interpreter runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Python,
    JavaScript,
    TypeScript,
}

impl Language {
    /// The language of a file, by its ending.
    pub(super) fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "py" => Some(Self::Python),
            "js" | "mjs" => Some(Self::JavaScript),
            "ts" | "mts" => Some(Self::TypeScript),
            _ => None,
        }
    }

    /// The name of its interpreter. That of JavaScript runs TypeScript too.
    pub(super) const fn interpreter(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::JavaScript | Self::TypeScript => "javascript",
        }
    }

    /// The files that an import in the file at `from` may mean, relative to the folder of the plugin: the first that exists
    /// counts, and of a dotted name of Python each part. Imports of what is not beside the file have none, because they are
    /// those of a library.
    ///
    /// Only import statements are looked for, not understood. A name in a comment costs nothing but a file that nobody
    /// reads.
    fn imports(self, from: &str, text: &str) -> Vec<Import> {
        match self {
            Self::Python => python_imports(from, text),
            Self::JavaScript | Self::TypeScript => script_imports(from, text),
        }
    }
}

/// An import: the name as it is written, and the files it may mean.
#[derive(Debug, PartialEq, Eq)]
struct Import {
    name: String,
    files: Vec<String>,
}

/// Reads the plugin whose main file is `main`.
pub(super) fn read(main: &Path, language: Language) -> Result<Text, PluginSourceError> {
    let unreadable = |path: &Path, source| PluginSourceError::Unreadable { file: path.to_owned(), source };
    let folder = main.parent().unwrap_or(Path::new(""));
    let Some(name) = main.file_name().and_then(|name| name.to_str()) else {
        return Err(unreadable(main, io::Error::other("its name is no text")));
    };
    let mut left = MOST_BYTES;
    let mut found = BTreeMap::new();
    let mut open = vec![name.to_owned()];
    while let Some(path) = open.pop() {
        if found.contains_key(&path) {
            continue;
        }
        let file = folder.join(&path);
        let text = read_file(&file, &mut left).map_err(|source| unreadable(&file, source))?;
        for Import { name, files } in language.imports(&path, &text) {
            if files.iter().any(|file| file.starts_with("../")) {
                return Err(PluginSourceError::OutsideFolder { file, import: name });
            }
            // What does not exist is no file of the plugin. The interpreter says so where it is imported.
            open.extend(files.into_iter().filter(|file| folder.join(file).is_file()));
        }
        found.insert(path, text);
    }
    let file = |(path, text)| SourceFile { path, text };
    let main = found.remove_entry(name).map(file).expect("the main file was read first");
    Ok(Text { main, modules: found.into_iter().map(file).collect() })
}

/// All of a file that is text, if it has at most `left` bytes, which are taken from there. A pipe or a device would never
/// end.
fn read_file(file: &Path, left: &mut u64) -> io::Result<String> {
    let mut text = String::new();
    let opened = fs::File::open(file)?;
    if !opened.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let read = opened.take(*left + 1).read_to_string(&mut text)? as u64;
    *left = left
        .checked_sub(read)
        .ok_or_else(|| io::Error::other(format!("the files of a plugin may have {} MiB together", MOST_BYTES >> 20)))?;
    Ok(text)
}

/// `import a.b, c as d` and `from .a import b`.
fn python_imports(from: &str, text: &str) -> Vec<Import> {
    let mut imports = Vec::new();
    for line in text.lines().map(str::trim_start) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("import") => {
                let names = line["import".len()..].split(',');
                let names = names.filter_map(|name| name.split_whitespace().next());
                imports.extend(names.map(|name| python_module(from, name, "")));
            }
            Some("from") => {
                let Some(module) = words.next() else { continue };
                // What is imported from a package may be a module of it.
                let rest = line.split_once(" import").map_or("", |(_, rest)| rest);
                let names = rest.split([',', '(', ')']).filter_map(|name| name.split_whitespace().next());
                imports.extend(names.map(|name| python_module(from, module, name)));
                imports.push(python_module(from, module, ""));
            }
            _ => {}
        }
    }
    imports
}

/// The files of a module, which are those of every package it is in, and of its member `member`, if that is a module.
fn python_module(from: &str, module: &str, member: &str) -> Import {
    let name = module.to_owned();
    let dots = module.chars().take_while(|character| *character == '.').count();
    let mut package: Vec<&str> = from.split('/').collect();
    // A relative name begins at the package of the file; each further dot goes one up.
    let kept = if dots == 0 { 0 } else { package.len().saturating_sub(dots) };
    package.truncate(kept);
    let parts = module.trim_start_matches('.').split('.').chain([member]).filter(|part| !part.is_empty());
    let mut files = Vec::new();
    for part in parts {
        if !part.chars().all(|character| character.is_alphanumeric() || character == '_') {
            break;
        }
        package.push(part);
        let path = package.join("/");
        files.extend([format!("{path}.py"), format!("{path}/__init__.py")]);
    }
    Import { name, files }
}

/// `from "./a.js"`, `import "./a.js"` and `import("./a.js")`.
fn script_imports(from: &str, text: &str) -> Vec<Import> {
    let mut imports = Vec::new();
    for word in ["from", "import"] {
        for (at, _) in text.match_indices(word) {
            let rest = text[at + word.len()..].trim_start().trim_start_matches('(').trim_start();
            let Some(quote @ ('"' | '\'')) = rest.chars().next() else { continue };
            let Some((name, _)) = rest[1..].split_once(quote) else { continue };
            if (name.starts_with("./") || name.starts_with("../")) && !name.contains('\n') {
                imports.push(Import { name: name.to_owned(), files: script_files(from, name) });
            }
        }
    }
    imports
}

/// The files that a relative import may mean. TypeScript leaves endings out, or names the file that it would become.
fn script_files(from: &str, name: &str) -> Vec<String> {
    let path = Path::new(from).parent().unwrap_or(Path::new("")).join(name);
    let mut parts: Vec<&str> = Vec::new();
    for part in path.components() {
        match part {
            Component::ParentDir if parts.last().is_some_and(|part| *part != "..") => _ = parts.pop(),
            Component::ParentDir => parts.push(".."),
            Component::Normal(part) => parts.extend(part.to_str()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    let path = parts.join("/");
    let stem = path.strip_suffix(".js").unwrap_or(&path);
    vec![format!("{stem}.ts"), format!("{path}.js"), format!("{path}/index.ts"), format!("{path}/index.js"), path]
}

/// The interpreter of a language, in the first of `folders` that has it.
pub(super) fn interpreter(file: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(file)).find(|component| component.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files of a folder: their paths, and what is in them.
    type Files<'a> = &'a [(&'a str, &'a str)];

    fn plugin(files: Files<'_>, main: &str) -> Result<Vec<String>, PluginSourceError> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let main = folder.path().join(main);
        let Text { main, modules } = read(&main, Language::of(&main).unwrap())?;
        Ok([main].into_iter().chain(modules).map(|file| file.path).collect())
    }

    #[test]
    fn the_files_of_a_plugin_are_those_that_it_imports() {
        let cases: &[(Files<'_>, &[&str])] = &[
            (&[("dip.py", "import json\nfrom sigbox import long\n"), ("other.py", "")], &["dip.py"]),
            (
                &[
                    (
                        "dip.py",
                        "import bands as b, math\nfrom lib.averages import mean\n  import late\nfrom lib import (more,\n x)",
                    ),
                    ("bands.py", "import dip, bands"),
                    ("lib/__init__.py", ""),
                    ("lib/averages.py", "from . import sums\nfrom .sums import total\nfrom ..bands import up"),
                    ("lib/sums.py", ""),
                    ("lib/more.py", ""),
                    ("late.py", ""),
                    ("math.txt", ""),
                ],
                &["dip.py", "bands.py", "late.py", "lib/__init__.py", "lib/averages.py", "lib/more.py", "lib/sums.py"],
            ),
            (
                &[
                    (
                        "dip.js",
                        "import { a } from './a.js';\nexport * from \"./lib/b.js\"; import('./c.js'); import \"sigbox\"",
                    ),
                    ("a.js", "// import './d.js\n'"),
                    ("lib/b.js", "import { a } from '../a.js'"),
                    ("c.js", ""),
                    ("d.js", ""),
                ],
                &["dip.js", "a.js", "c.js", "lib/b.js"],
            ),
            (
                &[
                    ("dip.ts", "import type { A } from './a';\nimport { b } from './b.js'; import { c } from \"./c\""),
                    ("a.ts", ""),
                    ("b.ts", "import { e } from './e.ts'"),
                    ("c/index.ts", ""),
                    ("e.ts", ""),
                ],
                &["dip.ts", "a.ts", "b.ts", "c/index.ts", "e.ts"],
            ),
        ];
        for (files, expected) in cases {
            assert_eq!(plugin(files, files[0].0).unwrap(), *expected, "{}", files[0].0);
        }
    }

    #[test]
    fn what_a_plugin_cannot_have_is_refused() {
        let full = format!("import a\n{}", "#".repeat(usize::try_from(MOST_BYTES).unwrap() - 9));
        assert_eq!(plugin(&[("dip.py", &full)], "dip.py").unwrap(), ["dip.py"]);
        let cases: &[(Files<'_>, &str, &str)] = &[
            (&[("lib/a.js", "import '../../b.js'")], "lib/a.js", "imports ../../b.js, which is not in its folder"),
            (&[("dip.py", &full), ("a.py", "x")], "dip.py", "may have 4 MiB together"),
            (&[("other.py", "")], "dip.py", "dip.py"),
        ];
        for (files, main, expected) in cases {
            let message = plugin(files, main).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
