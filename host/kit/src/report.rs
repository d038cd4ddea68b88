//! What came of a run.

use std::{fmt, time::Duration};

use super::case::Case;

/// What came of the cases that were asked for.
#[derive(Debug)]
pub struct Report {
    /// The subject, as it describes itself.
    pub subject: String,
    /// Each case, in the order they ran in.
    pub cases: Vec<CaseReport>,
    /// Documents that could not be removed afterwards, each with the reason.
    pub left_behind: Vec<String>,
}

/// What came of one case.
#[derive(Debug)]
pub struct CaseReport {
    /// Which.
    pub case: &'static Case,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// What came of a case, with what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The store does what the case asks. What was found on the way, or nothing.
    Passed(String),
    /// It does not: what it did instead.
    Failed(String),
    /// It could not be asked: why.
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

    /// What is to be said about it, which may be nothing.
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
