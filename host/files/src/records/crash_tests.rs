//! Crash tests of the records, like those of the documents: each test makes the file operations of a course of calls go
//! wrong, one after the other. Afterwards every record that was made durable is read, no half record and no record
//! twice, in the order in which they were appended.

use std::path::{Path, PathBuf};

use super::segments::segments_on;
use super::{Found, Records, RecordsError, Renewed, line};
use crate::documents::make_dir;
use crate::faulty_layer::{Fault, FaultyLayer};
use crate::layer::FileLayer;
use crate::power_loss::ModelDisk;
use crate::record_layer::RecordLayer;

/// One record takes 28 bytes with its checksum, so the third one makes a file full.
const SEGMENT_BYTES: u64 = 70;

/// More operations than any course takes.
const OPERATIONS_MAX: usize = 300;

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
    layer: FaultyLayer<ModelDisk>,
    records: Option<Records<FaultyLayer<ModelDisk>>>,
    next: u64,
    /// The numbers of the records that were appended.
    appended: Vec<u64>,
    /// How many of them are durable.
    synced: usize,
    /// The numbers of the records that this process could not append. None of them may be read.
    refused: Vec<u64>,
    /// The numbers of the records that an earlier process could not append. It did not live to clear them away.
    doubtful: Vec<u64>,
    /// The numbers of records that another program has damaged or deleted.
    destroyed: Vec<u64>,
    /// Where another program has moved the file.
    elsewhere: Vec<PathBuf>,
}

impl Course {
    fn new(disk: ModelDisk) -> Self {
        Self {
            layer: FaultyLayer::new(disk),
            records: None,
            next: 0,
            appended: Vec::new(),
            synced: 0,
            refused: Vec::new(),
            doubtful: Vec::new(),
            destroyed: Vec::new(),
            elsewhere: Vec::new(),
        }
    }

    /// A new process opens the file. What the last one did not make durable is still in the memory of the machine.
    fn open(&mut self) -> Result<(), RecordsError> {
        self.records = None;
        self.doubtful.append(&mut self.refused);
        let (records, _) = Records::open(self.layer.share(), path().to_owned(), "{\"n\":", SEGMENT_BYTES, understood)?;
        self.records = Some(records);
        Ok(())
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
            Open => self.open().map(|()| Vec::new()),
            Move | Create | CopyTruncate | Mix | Damage | Delete => {
                self.meddle(step);
                Ok(Vec::new())
            }
        }
    }

    /// What other programs do, which no fault hits.
    fn meddle(&mut self, step: Step) {
        let aside = PathBuf::from(format!("/logs/run/moved-{}", self.elsewhere.len()));
        let disk = &self.layer.inner;
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
                // The file may be there again already.
                let _ = disk.create_new(path());
            }
            CopyTruncate => {
                let bytes = disk.read(path()).unwrap();
                let mut copy = disk.create_new(&aside).unwrap();
                disk.write_all(&mut copy, &bytes).unwrap();
                disk.meddle(&aside, |_| ());
                disk.sync_dir(aside.parent().unwrap()).unwrap();
                disk.meddle(path(), Vec::clear);
                self.elsewhere.push(aside);
            }
            // An empty file that something else writes to is a file of something else.
            Mix if disk.read(path()).unwrap().is_empty() => {}
            Mix => disk.meddle(path(), |live| live.extend_from_slice(b"from cron\n{\"n\":0")),
            Delete => {
                self.destroyed.extend(numbers(&disk.read(path()).unwrap()));
                disk.remove_file(path()).unwrap();
            }
            Damage => {
                let bytes = disk.read(path()).unwrap();
                if let Some(first) = numbers(&bytes).first() {
                    self.destroyed.push(*first);
                    let field = format!("\"n\":{first},");
                    let at = bytes.windows(field.len()).position(|window| window == field.as_bytes()).unwrap();
                    disk.meddle(path(), |live| live[at] = b'x');
                }
            }
            Append | Sync | Open => unreachable!("steps of ours"),
        }
    }

    /// Checks what a new process finds on `disk`, after a power failure or without one. If the process has died in a
    /// call, the record of that call may be there.
    fn check(&self, disk: &ModelDisk, has_power_failed: bool, has_died: bool, context: &str) {
        let own = read_all(disk, !self.destroyed.is_empty(), context).1;
        let mut everything = own.clone();
        for file in &self.elsewhere {
            everything.extend(numbers(&disk.read(file).unwrap()));
        }
        let expected = if has_power_failed { &self.appended[..self.synced] } else { &self.appended[..] };
        for number in expected.iter().filter(|number| !self.destroyed.contains(number)) {
            assert!(
                everything.contains(number),
                "{context}: {number} is lost, read {everything:?}, power failed: {has_power_failed}"
            );
        }
        assert!(own.is_sorted_by(|one, next| one < next), "{context}: not in order, or twice: {own:?}");
        for number in &everything {
            assert!(has_died || !self.refused.contains(number), "{context}: {number} was refused and is there");
            assert!(*number < self.next, "{context}: {number} was never appended");
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
fn read_all(disk: &ModelDisk, may_be_damaged: bool, context: &str) -> (Found, Vec<u64>) {
    let mut current = Vec::new();
    let opened = Records::open(disk.share(), path().to_owned(), "{\"n\":", SEGMENT_BYTES, |line| {
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
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let is_right = lines.clone().all(|line| line::mark(line.strip_suffix(b"\n").unwrap()) == line::Mark::Right);
        assert!(is_right || may_be_damaged && file != path(), "{context}: {} is damaged", file.display());
        all.extend(numbers(&bytes));
    }
    assert!(all.ends_with(&current), "{context}: read {current:?} at first, then {all:?}");
    let names = records.layer.list(path().parent().unwrap()).unwrap();
    assert!(!names.iter().any(|name| name.as_encoded_bytes().starts_with(b".tmp-")), "{context}: left {names:?}");
    (found, all)
}

/// Makes the steps of a course, and goes on after errors, but not if the process was killed.
fn run(course: &mut Course, steps: &[Step]) {
    for step in steps {
        let _ = course.step(*step);
        if course.layer.is_dead() {
            return;
        }
    }
}

/// Calls `check` with each disk, each course, and each number of an operation, until it returns false because the course
/// has no operation of that number.
fn at_every_operation(mut check: impl FnMut(ModelDisk, &[Step], usize) -> bool) {
    for has_links in [true, false] {
        for steps in COURSES {
            let disk = || if has_links { ModelDisk::new() } else { ModelDisk::without_links() };
            let operations = (0..OPERATIONS_MAX).find(|number| !check(disk(), steps, *number));
            assert!(operations.expect("a course takes few operations") > steps.len(), "{steps:?}");
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
        course.check(&course.layer.inner, false, false, &format!("{steps:?}"));
    }
}

#[test]
fn an_append_costs_one_write_and_a_sync_one_fsync() {
    let mut course = Course::new(ModelDisk::new());
    run(&mut course, &[Append, Sync]);
    course.layer.go_wrong_at(usize::MAX, Fault::Fails);
    run(&mut course, &[Append, Sync, Sync]);
    assert_eq!(course.layer.changes(), ["write_all", "sync_data"]);
}

#[test]
fn an_operation_that_fails_loses_nothing_and_spoils_nothing() {
    for fault in [Fault::Fails, Fault::Misreports, Fault::Denied] {
        for lasts in [false, true] {
            at_every_operation(|disk, steps, number| {
                if fault == Fault::Denied {
                    // Where a process may not open a directory, a person makes the folder.
                    make_dir(&disk, path().parent().unwrap()).unwrap();
                }
                let mut course = Course::new(disk);
                if lasts {
                    course.layer.go_wrong_from(number, fault);
                } else {
                    course.layer.go_wrong_at(number, fault);
                }
                run(&mut course, steps);
                let went_wrong = course.layer.went_wrong();
                let operation = course.layer.changes().get(number).copied().unwrap_or("nothing");
                let context = format!("{steps:?}, {fault:?} at {number}, {operation}, lasts: {lasts}");
                course.check(&course.layer.inner.clone(), false, true, &context);
                if !lasts {
                    // Names that are never made durable would have too many outcomes.
                    course.layer.inner.for_each_outcome(|disk| course.check(&disk, true, true, &context));
                }

                // The fault passes, and the same process goes on.
                course.layer.go_wrong_at(usize::MAX, fault);
                for step in [Append, Sync] {
                    course.step(step).unwrap_or_else(|error| panic!("{context}: {error}"));
                }
                course.check(&course.layer.inner.clone(), false, false, &context);
                course.layer.inner.for_each_outcome(|disk| course.check(&disk, true, false, &context));
                went_wrong
            });
        }
    }
}

#[test]
fn killed_at_any_operation_and_without_power_a_new_process_finds_what_was_made_durable() {
    let mut outcomes = 0;
    at_every_operation(|disk, steps, number| {
        let mut course = Course::new(disk);
        course.layer.go_wrong_at(number, Fault::Kills);
        run(&mut course, steps);
        let context = format!("{steps:?}, killed at {number}");
        course.layer.inner.for_each_outcome(|disk| {
            outcomes += 1;
            course.check(&disk, true, true, &context);
        });
        let went_wrong = course.layer.went_wrong();
        course.check(&course.layer.inner.clone(), false, true, &context);

        course.layer.go_wrong_at(usize::MAX, Fault::Kills);
        for step in [Open, Append, Sync] {
            course.step(step).unwrap_or_else(|error| panic!("{context}: {error}"));
        }
        course.check(&course.layer.inner, false, false, &context);
        went_wrong
    });
    assert!(outcomes > 1000, "{outcomes}");
}

#[test]
fn what_is_read_after_a_kill_is_not_undone_by_a_power_failure() {
    at_every_operation(|disk, steps, number| {
        let mut course = Course::new(disk);
        course.layer.go_wrong_at(number, Fault::Kills);
        run(&mut course, steps);
        let context = format!("{steps:?}, killed at {number}");
        let disk = course.layer.inner.clone();
        let seen = read_all(&disk, true, &context).1;
        disk.for_each_outcome(|disk| assert_eq!(read_all(&disk, true, &context).1, seen, "{context}"));
        course.layer.went_wrong()
    });
}

/// The kernel may forget what an fsync could not write, and report success for the next fsync.
#[test]
fn after_a_failed_fsync_nothing_of_the_file_is_trusted() {
    for steps in COURSES {
        let mut failures = 0;
        for number in 0.. {
            let mut course = Course::new(ModelDisk::new());
            course.layer.inner.fail_sync(number);
            let context = format!("{steps:?}, fsync {number} fails");
            for step in steps {
                let _ = course.step(*step);
                course.layer.inner.for_each_outcome(|disk| course.check(&disk, true, true, &context));
            }
            if !course.layer.inner.sync_failed() {
                break;
            }
            failures += 1;
            for step in [Append, Sync] {
                course.step(step).unwrap_or_else(|error| panic!("{context}: {error}"));
            }
            course.layer.inner.for_each_outcome(|disk| course.check(&disk, true, false, &context));
        }
        assert!(failures > 2, "{steps:?}: {failures}");
    }
}

/// Random numbers from a fixed seed (Knuth's MMIX generator).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[test]
fn a_power_failure_leaves_a_beginning_of_what_was_appended() {
    let mut random = Random(1);
    let (mut schedules, mut outcomes, mut losses, mut damages) = (0, 0, 0, 0);
    for _ in 0..400 {
        let steps: Vec<_> = (0..4 + random.below(12))
            .map(|_| [Append, Append, Append, Sync, Sync, Open][usize::try_from(random.below(6)).unwrap()])
            .collect();
        let disk = if random.below(4) == 0 { ModelDisk::without_links() } else { ModelDisk::new() };
        let mut course = Course::new(disk);
        let number = usize::try_from(random.below(60)).unwrap();
        course.layer.go_wrong_at(number, Fault::Kills);
        run(&mut course, &steps);
        schedules += 1;
        let context = format!("{steps:?}, killed at {number}");
        // The process died in the call of the first record that was refused.
        let begun: Vec<_> =
            course.appended.iter().chain(course.doubtful.first().or(course.refused.first())).copied().collect();
        course.layer.inner.for_each_outcome(|disk| {
            outcomes += 1;
            let (found, read) = read_all(&disk, false, &context);
            course.check(&disk, true, true, &context);
            losses += usize::from(read.len() < course.appended.len());
            damages += usize::from(!found.damaged.is_empty());
            assert!(begun.starts_with(&read), "{context}: read {read:?} of {begun:?}, {found:?}");
        });
    }
    assert!(schedules >= 200 && outcomes > 2 * schedules && losses > schedules, "{schedules} {outcomes} {losses}");
    assert!(damages > 0);
}

#[test]
fn the_model_disk_loses_what_records_without_fsync_would_lose() {
    for forgotten in ["sync_data", "sync_dir"] {
        let mut course = Course::new(ModelDisk::new());
        course.layer.skip(forgotten);
        run(&mut course, &[Append, Append, Append, Sync]);
        assert_eq!(course.synced, 3);
        let mut losses = 0;
        course.layer.inner.for_each_outcome(|disk| {
            let bytes = disk.read(path()).unwrap_or_default();
            losses += usize::from(numbers(&bytes) != [0, 1, 2]);
        });
        assert!(losses > 0, "without {forgotten} nothing was lost: the tests are blind");
    }

    // A second fsync after one that failed makes nothing durable.
    let disk = ModelDisk::new();
    let mut file = disk.create_new(Path::new("/file")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk.write_all(&mut file, b"x").unwrap();
    disk.fail_sync(0);
    disk.sync_file(&file).unwrap_err();
    disk.sync_file(&file).unwrap();
    let mut losses = 0;
    disk.for_each_outcome(|disk| losses += usize::from(disk.read(Path::new("/file")).unwrap().is_empty()));
    assert!(losses > 0);
}

#[test]
fn a_full_file_is_continued_while_no_other_can_be_begun() {
    let mut course = Course::new(ModelDisk::new());
    run(&mut course, &[Append, Append, Append]);
    course.layer.go_wrong_from(0, Fault::Fails);
    let file = course.layer.create_new(Path::new("/logs/run/other"));
    assert!(file.is_err(), "no file can be made");
    let full = |told: &[Renewed]| told.iter().map(|told| matches!(told, Renewed::StillFull { .. })).collect::<Vec<_>>();
    assert_eq!(full(&course.step(Append).unwrap()), [true]);
    // It is not tried again at once.
    assert_eq!(full(&course.step(Append).unwrap()), [true]);
    course.layer.go_wrong_at(usize::MAX, Fault::Fails);
    let told = course.step(Append).unwrap();
    assert!(matches!(&*told, [Renewed::Full { .. }]), "{told:?}");
    course.check(&course.layer.inner, false, false, "");
}
