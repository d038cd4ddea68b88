//! What is wrong with a configuration file, for the person who wrote it.

use std::{fmt, io, path::PathBuf};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Nothing is where the file should be.
    #[error("there is no {file}; `sigbox init` writes one, with every setting explained", file = .0.display())]
    NotFound(PathBuf),
    /// The file is there and cannot be read, or is not UTF-8.
    #[error("cannot read {file}: {source}", file = .file.display())]
    Read {
        /// The file, as it was asked for.
        file: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file can be read and must be changed. Every problem is listed, in the order of the lines.
    #[error("{}", one_a_line(.0))]
    Invalid(Vec<ConfigProblem>),
}

/// One thing to change in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The file, as it was asked for.
    pub file: PathBuf,
    /// The line to look at, the first being 1.
    pub line: usize,
    /// Section, key, what it must be and what was found.
    pub message: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

fn one_a_line(problems: &[ConfigProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
