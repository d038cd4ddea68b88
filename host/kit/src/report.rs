//! The report of a run of the kit.

use std::{fmt, time::Duration};

use super::case::Case;

/// The results of the cases that were asked for.
#[derive(Debug)]
pub struct Report {
    /// The subject, as it describes itself.
    pub subject: String,
    /// One report for each case, in the order in which the cases ran.
    pub cases: Vec<CaseReport>,
    /// Documents that could not be removed after their case, each with the reason.
    pub left_behind: Vec<String>,
}

/// The result of one case.
#[derive(Debug)]
pub struct CaseReport {
    /// Which case.
    pub case: &'static Case,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// How a case ended, with a text about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The store does what the case asks. The text says what was found on the way; it may be empty.
    Passed(String),
    /// The store does not. The text says what the store did instead.
    Failed(String),
    /// The case could not be run. The text says why.
    NotRun(String),
}

impl Report {
    /// The cases that failed.
    #[must_use]
    pub fn failures(&self) -> Vec<&CaseReport> {
        self.cases.iter().filter(|case| matches!(case.verdict, Verdict::Failed(_))).collect()
    }

    /// The cases that could not be run.
    #[must_use]
    pub fn not_run(&self) -> Vec<&CaseReport> {
        self.cases.iter().filter(|case| matches!(case.verdict, Verdict::NotRun(_))).collect()
    }

    /// How many cases passed.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.cases.len() - self.failures().len() - self.not_run().len()
    }
}

impl Verdict {
    /// `passed`, `FAILED` or `not run`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Passed(_) => "passed",
            Self::Failed(_) => "FAILED",
            Self::NotRun(_) => "not run",
        }
    }

    /// The text about it, which may be empty.
    #[must_use]
    pub fn reason(&self) -> &str {
        let (Self::Passed(reason) | Self::Failed(reason) | Self::NotRun(reason)) = self;
        reason
    }
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.case.name, self.verdict.name())?;
        if self.verdict.reason().is_empty() { Ok(()) } else { write!(f, ": {}", self.verdict.reason()) }
    }
}
