//! What a plugin runs as: a component, and the text that it runs if it is an interpreter.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use sigbox_market::digest::sha256;

/// A component file, and the text it runs. Most components run no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The component file; of a text, that of the interpreter.
    pub component: PathBuf,
    /// The text that the component reads from `sigbox:host/source`.
    pub text: Option<Arc<Text>>,
}

/// The text of a plugin. It was read once, so every instance of a run gets the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The file that the operator named.
    pub main: SourceFile,
    /// The files that it imports, and those that they import, ascending by path.
    pub modules: Vec<SourceFile>,
}

/// A file of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Relative to the folder of the main file, with `/` between folders.
    pub path: String,
    /// All that is in it.
    pub text: String,
}

impl Program {
    /// The digest that tells this program from every other, in hexadecimal. `component` is the digest of its component.
    pub(crate) fn sha256(&self, component: String) -> String {
        let Some(text) = &self.text else { return component };
        let mut all = component;
        // A length before each part, so that no text can pass for the end of one and the beginning of another.
        for SourceFile { path, text } in std::iter::once(&text.main).chain(&text.modules) {
            for part in [path, text] {
                all.extend(["\n", &part.len().to_string(), "\n", part]);
            }
        }
        sha256(all.as_bytes())
    }
}

impl From<PathBuf> for Program {
    fn from(component: PathBuf) -> Self {
        Self { component, text: None }
    }
}

impl From<&PathBuf> for Program {
    fn from(component: &PathBuf) -> Self {
        component.clone().into()
    }
}

impl From<&Path> for Program {
    fn from(component: &Path) -> Self {
        component.to_path_buf().into()
    }
}

impl From<&Self> for Program {
    fn from(program: &Self) -> Self {
        program.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_text_is_in_its_digest() {
        let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
        let program =
            |main, modules| Program { component: "python.wasm".into(), text: Some(Arc::new(Text { main, modules })) };
        let programs = [
            Program::from(Path::new("python.wasm")),
            program(file("a.py", "x"), vec![]),
            program(file("a.py", "y"), vec![]),
            program(file("b.py", "x"), vec![]),
            program(file("a.py", "x"), vec![file("b.py", "")]),
            program(file("a.py", "x"), vec![file("b.py", "z")]),
            program(file("a.py", "x\n4\nb.py\n1\nz"), vec![]),
        ];
        let mut digests: Vec<String> = programs.iter().map(|program| program.sha256("digest".to_owned())).collect();
        assert_eq!(digests[0], "digest");
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), programs.len());
    }
}
