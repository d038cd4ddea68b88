//! `sigbox plugin`.

use std::{fmt, fs::File, io::IsTerminal as _, path::Path, time::Duration};

use anyhow::Context as _;
use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use indicatif::{ProgressBar, ProgressStyle};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde_json::json;
use sigbox::{assemble, config::KitFile, sandbox::Live};
use sigbox_kit::{Case, CaseReport, ComponentSubject, Report, Verdict};

use crate::{
    args::{self, PluginCommand},
    exit::Usage,
    plugins,
};

pub(crate) fn run(command: &args::Plugin) -> anyhow::Result<()> {
    match &command.command {
        PluginCommand::Test(command) if command.list => {
            println!("{}", list(chosen(&command.only)?));
            Ok(())
        }
        PluginCommand::Test(command) => test(command),
    }
}

/// The error when a plugin failed a case.
#[derive(Debug)]
pub(crate) struct Failed {
    failed: usize,
    of: usize,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.failed {
            0 => f.write_str("no case could be run"),
            failed => write!(f, "{failed} of {} cases failed", self.of),
        }
    }
}

impl std::error::Error for Failed {}

/// The cases whose names contain one of `parts`; all cases if there are no parts.
fn chosen(parts: &[String]) -> Result<Vec<&'static Case>, Usage> {
    let unknown = parts.iter().find(|part| !sigbox_kit::cases().any(|case| case.name.contains(part.as_str())));
    if let Some(part) = unknown {
        return Err(Usage(format!("no case has {part:?} in its name; --list shows them all")));
    }
    let is_chosen = |case: &&Case| parts.is_empty() || parts.iter().any(|part| case.name.contains(part.as_str()));
    Ok(sigbox_kit::cases().filter(is_chosen).collect())
}

fn test(command: &args::PluginTest) -> anyhow::Result<()> {
    let cases = chosen(&command.only)?;
    // The command line must name a plugin unless it has --list.
    let plugin = command.plugin.as_deref().unwrap_or(Path::new(""));
    let file = match &command.config {
        Some(config) => KitFile::load(config, plugin)?,
        None => KitFile::unbound(plugin),
    };
    let sandbox = plugins::sandbox::<Live>(&file.limits, file.cache_dir.as_ref())?;
    let report = tokio::runtime::Runtime::new()?.block_on(async {
        let (program, grant) =
            assemble::tested_backend(&file, &sandbox, &mut plugins::resolver(), &plugins::variable).await?;
        let subject = ComponentSubject::new(sandbox.clone(), program, grant);
        let mut progress = Progress::new(cases.len());
        let report = sigbox_kit::run_cases(&subject, cases, |done| progress.tell(done)).await;
        progress.bar.finish_and_clear();
        anyhow::Ok(report)
    })?;
    let (passed, failed, not_run) = (report.passed(), report.failures().len(), report.not_run().len());
    if command.json {
        println!("{:#}", json(&report));
    } else {
        println!("{}\n{}", report.subject, table(&report));
        println!("{passed} passed, {failed} failed, {not_run} not run");
    }
    for left in &report.left_behind {
        eprintln!("warning: could not be removed: {left}");
    }
    if let Some(path) = &command.junit {
        write_junit(&report, path).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    if failed > 0 || passed == 0 {
        return Err(Failed { failed, of: passed + failed }.into());
    }
    Ok(())
}

/// What is said on standard error while the cases run: a bar on a terminal, elsewhere a line a case as it ends.
struct Progress {
    bar: ProgressBar,
    is_terminal: bool,
    done: usize,
    cases: usize,
}

impl Progress {
    fn new(cases: usize) -> Self {
        let bar = ProgressBar::new(cases as u64);
        bar.set_style(
            ProgressStyle::with_template("{spinner} {pos} of {len} cases: {msg}").expect("the template is valid"),
        );
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar, is_terminal: std::io::stderr().is_terminal(), done: 0, cases }
    }

    fn tell(&mut self, CaseReport { case, verdict, took }: &CaseReport) {
        self.done += 1;
        if self.is_terminal {
            self.bar.inc(1);
            self.bar.set_message(case.name);
        } else {
            // Standard error has no buffer.
            let seconds = took.as_secs_f64();
            eprintln!("{} of {} cases: {}: {} ({seconds:.1} s)", self.done, self.cases, case.name, verdict.name());
        }
    }
}

/// Every case with its outcome, for programs. Nothing is cut.
fn json(report: &Report) -> serde_json::Value {
    let cases: Vec<_> = report
        .cases
        .iter()
        .map(|CaseReport { case, verdict, took }| {
            let outcome = match verdict {
                Verdict::Passed(_) => "passed",
                Verdict::Failed(_) => "failed",
                Verdict::NotRun(_) => "not-run",
            };
            json!({
                "about": case.group.name(),
                "case": case.name,
                "proves": case.proves,
                "outcome": outcome,
                "reason": verdict.reason(),
                "tookMs": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            })
        })
        .collect();
    json!({
        "subject": report.subject,
        "passed": report.passed(),
        "failed": report.failures().len(),
        "notRun": report.not_run().len(),
        "cases": cases,
        "leftBehind": report.left_behind,
    })
}

/// The width of a table that is not shown on a terminal, in characters.
const COLUMNS: u16 = 120;

/// The most characters of a reason in the table; the JUnit file has the whole reason.
const REASON_CHARACTERS: usize = 400;

fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if !std::io::stdout().is_terminal() {
        table.set_width(COLUMNS);
    }
    table
}

fn table(report: &Report) -> Table {
    let mut table = new_table();
    table.set_header(["about", "case", "result", "reason"]);
    for CaseReport { case, verdict, .. } in &report.cases {
        let reason = verdict.reason();
        let mut shown: String = reason.chars().take(REASON_CHARACTERS).collect();
        if shown.len() < reason.len() {
            shown.push('…');
        }
        table.add_row([case.group.name(), case.name, verdict.name(), &shown]);
    }
    table
}

fn list(cases: Vec<&Case>) -> Table {
    let mut table = new_table();
    table.set_header(["about", "case", "what it proves", "what it needs"]);
    for case in cases {
        table.add_row([case.group.name(), case.name, case.proves, case.needs.name()]);
    }
    table
}

fn write_junit(report: &Report, path: &Path) -> anyhow::Result<()> {
    let mut suite = TestSuite::new(&*report.subject);
    for CaseReport { case, verdict, took } in &report.cases {
        let mut status = match verdict {
            Verdict::Passed(_) => TestCaseStatus::success(),
            Verdict::Failed(_) => TestCaseStatus::non_success(NonSuccessKind::Failure),
            Verdict::NotRun(_) => TestCaseStatus::skipped(),
        };
        if !matches!(verdict, Verdict::Passed(_)) {
            status.set_message(verdict.reason());
        }
        let mut test = TestCase::new(case.name, status);
        test.set_classname(format!("sigbox.persistence.{}", case.group.name())).set_time(*took);
        suite.add_test_case(test);
    }
    let mut junit = quick_junit::Report::new("sigbox plugin test");
    junit.add_test_suite(suite);
    Ok(junit.serialize(File::create(path)?)?)
}
