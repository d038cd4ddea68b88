//! The conformance kit: cases that check what every persistence backend must do. They run against any backend.
//!
//! ```text
//! Subject ─► one Scene a case ─► Handle: calls, each watched ─► Verdict ─► Report
//!   a component in the sandbox, or a store in Rust
//! ```
//!
//! A [`Subject`] opens its store again and again, each time as a fresh instance on the same documents. A subject may
//! not be able to do everything, such as to serve two instances at once. The kit asks it first. A case that needs what
//! the subject cannot do is *not run*, with the reason, and never counts as passed. Cases use entity names that nothing
//! else uses, and remove what they wrote, so they can run against a server that holds other documents.

mod case;
mod cases;
mod component;
mod proxy;
mod report;
mod scene;
mod subject;

pub use self::{
    case::{Case, Group, Need},
    cases::all as cases,
    component::ComponentSubject,
    report::{CaseReport, Report, Verdict},
    subject::{NativeSubject, Opened, Subject, Trouble},
};

pub use sigbox_sandbox::Descriptor;

use std::time::Instant;

use self::{
    case::Stop,
    scene::{Run, Scene},
};

/// Runs every case.
pub async fn run(subject: &dyn Subject) -> Report {
    run_cases(subject, cases(), |_| ()).await
}

/// Runs `cases` in their order. `on_done` gets the report of each case when that case is done.
pub async fn run_cases(
    subject: &dyn Subject,
    cases: impl IntoIterator<Item = &'static Case>,
    mut on_done: impl FnMut(&CaseReport),
) -> Report {
    let run = Run::begin(subject).await;
    let mut report = Report { subject: run.summary(), cases: Vec::new(), left_behind: Vec::new() };
    for case in cases {
        let started = Instant::now();
        let scene = Scene::new(&run);
        let verdict = match case.needs.lacking(&run) {
            Some(reason) => Verdict::NotRun(reason),
            None => match (case.run)(&scene).await {
                Ok(()) => Verdict::Passed(scene.take_note()),
                Err(Stop::Failed(reason)) => Verdict::Failed(reason),
                Err(Stop::NotRun(reason)) => Verdict::NotRun(reason),
            },
        };
        report.left_behind.extend(scene.clean_up().await);
        let done = CaseReport { case, verdict, took: started.elapsed() };
        on_done(&done);
        report.cases.push(done);
    }
    report
}
