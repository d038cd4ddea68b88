//! Errors of a configuration file, worded for the person who wrote it.

use std::{fmt, io, path::PathBuf};

/// Why a configuration cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no such file.
    #[error("there is no {file}; `sigbox init` writes one, with every setting explained", file = .0.display())]
    NotFound(PathBuf),
    /// The file exists, but cannot be read or is not UTF-8.
    #[error("cannot read {file}: {source}", file = .file.display())]
    Read {
        /// The file, as it was asked for.
        file: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The content of the file is invalid. Every problem is listed, in the order of the lines.
    #[error("{}", one_a_line(.0))]
    Invalid(Vec<ConfigProblem>),
}

/// One thing to change in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The file, as it was asked for.
    pub file: PathBuf,
    /// The line of the problem; the first line is 1.
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
