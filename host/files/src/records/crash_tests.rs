//! Crash tests of the records, like those of the documents: each test makes the file operations of a course of calls go
//! wrong, one after the other. Afterwards every record that was made durable is read, no half record and no record
//! twice, in the order in which they were appended.

use std::path::{Path, PathBuf};

use super::segments::segments_on;
use super::{Found, Records, RecordsError, Renewed, line};
use crate::faulty_layer::{Fault, FaultyLayer};
use crate::layer::FileLayer;
use crate::power_loss::ModelDisk;
use crate::record_layer::RecordLayer;

/// One record takes 28 bytes with its checksum, so the third one makes a file full.
const SEGMENT_BYTES: u64 = 70;

/// More operations than any course takes.
const OPERATIONS_MAX: usize = 300;

const FAULTS: [Fault; 4] = [Fault::Fails, Fault::Misreports, Fault::Kills, Fault::Denied];

/// One step of a course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Append,
    Sync,
    /// What another program does to the file.
    Move,
    Delete,
    Create,
    CopyTruncate,
    Mix,
    /// A line of the file is damaged while no process has it open.
    Damage,
    Open,
}

use Step::{Append, CopyTruncate, Create, Damage, Delete, Mix, Move, Open, Sync};

/// Courses in which each thing happens that this module does.
const COURSES: [&[Step]; 9] = [
    &[Append, Sync, Append, Append, Sync],
    // A full file, twice.
    &[Append, Append, Append, Sync, Append, Append, Append, Append, Append, Sync, Append],
    &[Append, Sync, Append, Open, Append, Sync],
    &[Append, Append, Damage, Append, Sync, Append, Damage, Open, Append, Sync],
    &[Append, Sync, Append, Move, Append, Sync, Append, Move, Sync],
    &[Append, Sync, Append, Move, Create, Append, Sync],
    &[Append, Sync, Append, CopyTruncate, Append, Sync],
    &[Append, Sync, Append, Mix, Append, Sync, Mix, Append],
    &[Append, Sync, Append, Delete, Append, Append, Append, Append, Sync],
];

fn path() -> &'static Path {
    Path::new("/logs/run/events.jsonl")
}

/// The course of one process after the other, and what they were told.
struct Course {
    disk: Option<FaultyLayer<ModelDisk>>,
    records: Option<Records<FaultyLayer<ModelDisk>>>,
    next: u64,
    /// The numbers of the records that were appended, and those that were not, because of an error.
    appended: Vec<u64>,
    refused: Vec<u64>,
    /// How many of the appended ones are durable.
    synced: usize,
    /// What another program has made of the file.
    elsewhere: Vec<PathBuf>,
    /// Records that may be gone, because another program has damaged or deleted them.
    destroyed: Vec<u64>,
}

impl Course {
    fn new(disk: ModelDisk) -> Self {
        Self {
            disk: Some(FaultyLayer::new(disk)),
            records: None,
            next: 0,
            appended: Vec::new(),
            refused: Vec::new(),
            synced: 0,
            elsewhere: Vec::new(),
            destroyed: Vec::new(),
        }
    }

    fn layer(&self) -> &FaultyLayer<ModelDisk> {
        match &self.records {
            Some(records) => &records.layer,
            None => self.disk.as_ref().unwrap(),
        }
    }

    fn open(&mut self) -> Result<(), RecordsError> {
        if let Some(records) = self.records.take() {
            self.disk = Some(records.layer);
        }
        // The layer goes back into the course if opening fails, as a process may start again.
        let layer = self.disk.take().unwrap();
        let spare = layer.clone();
        match Records::open(layer, path().to_owned(), SEGMENT_BYTES, understood) {
            Ok((records, _)) => {
                self.records = Some(records);
                Ok(())
            }
            Err(error) => {
                self.disk = Some(spare);
                Err(error)
            }
        }
    }

    /// Makes one step. A step that needs an open file opens it first.
    fn step(&mut self, step: Step) -> Result<Vec<Renewed>, RecordsError> {
        if matches!(step, Append | Sync) && self.records.is_none() {
            self.open()?;
        }
        match step {
            Append => {
                let number = self.next;
                self.next += 1;
                let told = self.records.as_mut().unwrap().append(&format!("{{\"n\":{number}}}"), &mut head);
                if told.is_ok() { &mut self.appended } else { &mut self.refused }.push(number);
                told
            }
            Sync => {
                let told = self.records.as_mut().unwrap().sync(&mut head)?;
                self.synced = self.appended.len();
                Ok(told)
            }
            Open => {
                // The process ends. What it did not make durable is still in the memory of the machine.
                self.open().map(|()| Vec::new())
            }
            Move | Create | CopyTruncate | Mix | Damage | Delete => {
                self.meddle(step);
                Ok(Vec::new())
            }
        }
    }

    /// What other programs do, which no fault hits.
    fn meddle(&mut self, step: Step) {
        let aside = PathBuf::from(format!("/logs/run/moved-{}", self.elsewhere.len()));
        let disk = &self.layer().inner;
        if disk.status(path()).is_err() && step != Create {
            return;
        }
        match step {
            Move => {
                disk.rename(path(), &aside).unwrap();
                disk.sync_dir(aside.parent().unwrap()).unwrap();
                self.elsewhere.push(aside);
            }
            Create => {
                if let Ok(file) = disk.create_new(path()) {
                    disk.sync_file(&file).unwrap();
                }
            }
            CopyTruncate => {
                let bytes = disk.read(path()).unwrap();
                let mut copy = disk.create_new(&aside).unwrap();
                disk.write_all(&mut copy, &bytes).unwrap();
                disk.sync_file(&copy).unwrap();
                disk.sync_dir(aside.parent().unwrap()).unwrap();
                disk.meddle(path(), Vec::clear);
                self.elsewhere.push(aside);
            }
            Mix => disk.meddle(path(), |live| live.extend_from_slice(b"from cron\n{\"n\":0")),
            Delete => {
                self.destroyed.extend(numbers(&disk.read(path()).unwrap()));
                disk.remove_file(path()).unwrap();
            }
            Damage => {
                let bytes = disk.read(path()).unwrap();
                if let Some(first) = numbers(&bytes).first() {
                    self.destroyed.push(*first);
                    let at = bytes.windows(4).position(|window| window == b"\"n\":").unwrap();
                    disk.meddle(path(), |live| live[at + 4] = b'x');
                }
            }
            Append | Sync | Open => unreachable!("steps of ours"),
        }
    }

    /// Checks what a new process finds on `disk`. A process that has ended does not know whether its last record is in
    /// the file.
    fn check(&self, disk: ModelDisk, durable_only: bool, has_died: bool, context: &str) {
        let (found, own) = read_all(&disk, context);
        let mut everything = own.clone();
        for file in &self.elsewhere {
            everything.extend(numbers(&disk.read(file).unwrap_or_default()));
        }
        let expected = if durable_only { &self.appended[..self.synced] } else { &self.appended[..] };
        for number in expected.iter().filter(|number| !self.destroyed.contains(number)) {
            assert!(everything.contains(number), "{context}: {number} is lost, read {everything:?}, {found:?}");
        }
        assert!(own.is_sorted_by(|one, next| one < next), "{context}: not in order, or twice: {own:?}");
        for number in &everything {
            let is_last = self.next == number + 1;
            assert!(
                self.appended.contains(number) || (has_died && self.refused.contains(number) && is_last)
                    || self.refused.contains(number) && has_died,
                "{context}: {number} was refused and is there"
            );
        }
    }
}

fn head() -> Vec<String> {
    vec![r#"{"head":true}"#.to_owned()]
}

fn understood(line: &[u8]) -> Result<(), String> {
    if line.starts_with(b"{\"n\":") || line.starts_with(b"{\"head\":true") { Ok(()) } else { Err("what is it?".into()) }
}

/// The numbers of the whole and right records in `bytes`.
fn numbers(bytes: &[u8]) -> Vec<u64> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| line::mark(line) == line::Mark::Right);
    lines.filter_map(|line| number(std::str::from_utf8(line).unwrap())).collect()
}

fn number(line: &str) -> Option<u64> {
    Some(line.strip_prefix("{\"n\":")?.split_once(',')?.0.parse().unwrap())
}

/// What a new process reads: the current file through [`Records`], which puts it right, and then every file.
fn read_all(disk: &ModelDisk, context: &str) -> (Found, Vec<u64>) {
    let mut current = Vec::new();
    let opened = Records::open(disk.clone(), path().to_owned(), SEGMENT_BYTES, |line| {
        understood(line)?;
        current.extend(number(std::str::from_utf8(line).unwrap()));
        Ok(())
    });
    let (records, found) = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
    let files = segments_on(&records.layer, path()).unwrap();
    assert_eq!(files.last().unwrap(), path(), "{context}");
    let mut all = Vec::new();
    for file in &files {
        let bytes = records.layer.read(file).unwrap();
        let whole = bytes.split_inclusive(|byte| *byte == b'\n');
        assert!(
            whole.clone().all(|line| line::mark(line.trim_ascii_end()) == line::Mark::Right),
            "{context}: {file:?} has a damaged line"
        );
        all.extend(numbers(&bytes));
    }
    assert!(all.ends_with(&current), "{context}: read {current:?} at first, then {all:?}");
    let temp = records.layer.list(path().parent().unwrap()).unwrap();
    assert!(!temp.iter().any(|name| name.as_encoded_bytes().starts_with(b".tmp-")), "{context}: left {temp:?}");
    (found, all)
}

/// Runs `course` with a fault at operation `number`, and says whether it has happened.
fn run_with_fault(disk: ModelDisk, steps: &[Step], number: usize, fault: Fault, lasts: bool) -> (Course, bool) {
    let mut course = Course::new(disk);
    if lasts {
        course.layer().go_wrong_from(number, fault);
    } else {
        course.layer().go_wrong_at(number, fault);
    }
    for step in steps {
        let _ = course.step(*step);
    }
    let went_wrong = course.layer().went_wrong();
    (course, went_wrong)
}

fn for_each_fault(mut check: impl FnMut(ModelDisk, &[Step], usize, Fault, bool) -> bool) {
    for has_links in [true, false] {
        for steps in COURSES {
            for fault in FAULTS {
                for lasts in [false, true] {
                    let disk = || if has_links { ModelDisk::new() } else { ModelDisk::without_links() };
                    let operations = (0..OPERATIONS_MAX)
                        .find(|number| !check(disk(), steps, *number, fault, lasts))
                        .expect("a course takes few operations");
                    assert!(operations > steps.len(), "{steps:?} has only {operations} operations");
                }
            }
        }
    }
}

#[test]
fn without_a_fault_every_course_ends_well() {
    for steps in COURSES {
        let mut course = Course::new(ModelDisk::new());
        for step in steps {
            course.step(*step).unwrap();
        }
        assert!(course.refused.is_empty());
        course.check(course.layer().inner.clone(), false, false, &format!("{steps:?}"));
    }
}

#[test]
fn an_operation_that_fails_loses_nothing_and_spoils_nothing() {
    for_each_fault(|disk, steps, number, fault, lasts| {
        let (mut course, went_wrong) = run_with_fault(disk, steps, number, fault, lasts);
        let changes = course.layer().changes();
        let operation = changes.get(number).copied().unwrap_or("nothing");
        let context = format!("{steps:?}, {fault:?} at {number}, {operation}, lasting: {lasts}");
        let has_died = fault == Fault::Kills;
        // A new process, also while the fault lasts, finds whole records.
        course.check(course.layer().inner.clone(), false, true, &context);

        // The fault passes, and the same process goes on.
        course.layer().go_wrong_at(usize::MAX, fault);
        if has_died {
            course.records.take().map(|records| course.disk = Some(records.layer));
        } else {
            course.check_goes_on(&context);
        }
        course.step(Append).unwrap_or_else(|error| panic!("{context}: {error}"));
        course.step(Sync).unwrap_or_else(|error| panic!("{context}: {error}"));
        let after_a_start = has_died || steps.contains(&Open) || course.refused_by_open;
        course.check(course.layer().inner.clone(), false, after_a_start, &context);
        course.layer().inner.for_each_outcome(|disk| course.check(disk, true, after_a_start, &context));
        went_wrong
    });
}
