//! Tests of the records with real files.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tempfile::TempDir;

use super::{CHUNK_BYTES, Damage, Found, Records, RecordsError, Renewed, UNSYNCED_BYTES_MAX, line, segments};
use crate::layer::Disk;

const LARGE: u64 = 1 << 30;

/// A process that is being started has the locks of this one, until it runs its own program. So no test starts one while
/// another test opens a file again.
static STARTS: RwLock<()> = RwLock::new(());

struct Folder {
    _temp: TempDir,
    path: PathBuf,
    _starts: Starts,
}

#[expect(dead_code, reason = "held, not read")]
enum Starts {
    None(RwLockReadGuard<'static, ()>),
    Some(RwLockWriteGuard<'static, ()>),
}

impl Folder {
    fn new() -> Self {
        Self::of(Starts::None(STARTS.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// For a test that starts processes.
    fn of_processes() -> Self {
        Self::of(Starts::Some(STARTS.write().unwrap_or_else(PoisonError::into_inner)))
    }

    fn of(starts: Starts) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().canonicalize().unwrap();
        Self { _temp: temp, path, _starts: starts }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names
    }
}

fn open_with(path: &Path, segment_bytes: u64) -> Result<(Records<Disk>, Found, Vec<String>), RecordsError> {
    let mut read = Vec::new();
    let (records, found) = Records::open(Disk, path.to_owned(), "{\"n\":", segment_bytes, |line| {
        let text = String::from_utf8(line.to_vec()).map_err(|error| error.to_string())?;
        if !text.starts_with("{\"n\":") && !text.starts_with("{\"head\":") {
            return Err("it has no number".to_owned());
        }
        read.push(text);
        Ok(())
    })?;
    Ok((records, found, read))
}

fn open(path: &Path) -> (Records<Disk>, Found, Vec<String>) {
    open_with(path, LARGE).unwrap()
}

fn head() -> Vec<String> {
    vec!["{\"head\":1}".to_owned()]
}

fn lines(records: &[&str]) -> String {
    let mut bytes = Vec::new();
    for record in records {
        line::push(&mut bytes, record);
    }
    String::from_utf8(bytes).unwrap()
}

fn append(records: &mut Records<Disk>, record: &str) -> Vec<Renewed> {
    records.append(record, &mut head).unwrap()
}

#[test]
fn what_was_appended_is_read_again_in_order() {
    let folder = Folder::new();
    let path = folder.file("deep/down/events.jsonl");
    let (mut records, found, read) = open(&path);
    assert_eq!((found, read), (Found::default(), Vec::new()));
    for number in 0..3 {
        assert_eq!(append(&mut records, &format!("{{\"n\":{number}}}")), []);
    }
    assert_eq!(records.sync(&mut head).unwrap(), []);
    let written = lines(&["{\"n\":0}", "{\"n\":1}", "{\"n\":2}"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), written);
    drop(records);
    assert_eq!(open(&path).2.concat(), written);
    for record in ["", "[]", "{\"n\":\n1}"] {
        let refused = open(&path).0.append(record, &mut head).unwrap_err();
        assert_eq!(refused.to_string(), format!("not a JSON object on one line: {record}"));
    }
}

/// Wherever the last record is torn, in the middle of a character too, the whole ones are read and the next one follows
/// them. Lines of earlier versions have no checksum.
#[test]
fn a_record_torn_anywhere_is_cut_off() {
    let folder = Folder::new();
    let path = folder.file("events.jsonl");
    let torn = lines(&["{\"n\":\"héllo — ✓\"}"]);
    for length in 0..torn.len() {
        let whole = "{\"n\":1}\n".to_owned() + &lines(&["{\"n\":2}"]);
        fs::write(&path, [whole.as_bytes(), &torn.as_bytes()[..length]].concat()).unwrap();
        let (mut records, found, read) = open(&path);
        assert_eq!(read.concat(), whole, "{length} bytes");
        assert_eq!(found, Found { damaged: Vec::new(), cut_bytes: length as u64 });
        append(&mut records, "{\"n\":3}");
        assert_eq!(fs::read_to_string(&path).unwrap(), whole + &lines(&["{\"n\":3}"]), "{length} bytes");
    }
    assert_eq!(folder.names(), ["events.jsonl"]);
}

#[test]
fn damaged_lines_are_set_aside_with_their_places() {
    let folder = Folder::new();
    let path = folder.file("events.jsonl");
    let [first, second, third, last] =
        ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}", "{\"n\":4}"].map(|record| lines(&[record]));
    let changed = second.replacen('2', "7", 1);
    // A block of zeros, as a power failure leaves it, and bytes that are no text.
    let zeros = [&[0; 100][..], b"rest\xff\"}\n"].concat();
    let foreign = "{\"else\":1}\n";
    let bytes = [first.as_bytes(), changed.as_bytes(), &zeros, third.as_bytes(), foreign.as_bytes(), last.as_bytes()];
    fs::write(&path, bytes.concat()).unwrap();

    let (mut records, found, read) = open(&path);
    assert_eq!(read.concat(), [&*first, &third, &last].concat());
    let damage = |line, offset: usize, reason: &str| Damage { line, offset: offset as u64, reason: reason.to_owned() };
    let offsets = [first.len(), first.len() + second.len(), 3 * first.len() + zeros.len()];
    let reasons = ["its checksum is that of another line", "it is not a JSON object", "it has no number"];
    let expected =
        [damage(2, offsets[0], reasons[0]), damage(3, offsets[1], reasons[1]), damage(5, offsets[2], reasons[2])];
    assert_eq!(found, Found { damaged: expected.to_vec(), cut_bytes: 0 });
    assert_eq!(fs::read_to_string(&path).unwrap(), [&*first, &third, &last].concat());
    let set_aside = fs::read_to_string(folder.file("events.jsonl.damaged")).unwrap();
    let set_aside: Vec<serde_json::Value> = set_aside.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let entry = |line: u64, place: usize, bytes: usize, text: &str| {
        serde_json::json!({
            "file": path, "line": line, "offset": offsets[place], "bytes": bytes, "reason": reasons[place], "text": text
        })
    };
    let texts = [changed.trim_end(), "rest\u{fffd}\"}", foreign.trim_end()];
    let expected = [
        entry(2, 0, changed.len(), texts[0]),
        entry(3, 1, zeros.len(), texts[1]),
        entry(5, 2, foreign.len(), texts[2]),
    ];
    assert_eq!(set_aside, expected);

    // The file is still locked, and continued.
    assert!(matches!(open_with(&path, LARGE), Err(RecordsError::InUse { .. })));
    append(&mut records, "{\"n\":5}");
    drop(records);
    assert_eq!(open(&path).1, Found::default());
}

#[test]
fn damage_larger_than_what_is_read_at_once_is_set_aside_too() {
    let folder = Folder::new();
    let path = folder.file("events.jsonl");
    let long = format!("{{\"n\":\"{}\"}}", "x".repeat(3 * CHUNK_BYTES));
    let damaged = format!("{}\n", "y".repeat(3 * CHUNK_BYTES));
    fs::write(&path, [&*lines(&[&long]), &damaged, &lines(&[&long, "{\"n\":2}"])].concat()).unwrap();
    assert_eq!(open(&path).1.damaged.len(), 1);
    assert_eq!(fs::read_to_string(&path).unwrap(), lines(&[&long, &long, "{\"n\":2}"]));
    assert!(fs::read_to_string(folder.file("events.jsonl.damaged")).unwrap().contains(damaged.trim_end()));
}

#[test]
fn a_file_of_something_else_is_refused_and_stays_as_it_is() {
    let folder = Folder::new();
    let path = folder.file("candles.csv");
    for foreign in ["x", "open_time,open\n1,2\n", "{\"id\":\"a\"}\n", "\n", "{\"m\":1", "\0\0\n"] {
        fs::write(&path, foreign).unwrap();
        let error = open_with(&path, LARGE).unwrap_err();
        let expected =
            format!("{}: holds something else, not records of this kind; choose another file", path.display());
        assert_eq!(error.to_string(), expected, "{foreign:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), foreign);
    }
    assert_eq!(folder.names(), ["candles.csv"]);

    // An empty file is nobody's. Zeros are what a power failure leaves, and a wrong checksum is still a checksum.
    for ours in [String::new(), "\0".repeat(600), lines(&["{\"n\":1}"]).replacen('1', "7", 1)] {
        fs::write(&path, &ours).unwrap();
        open(&path);
        assert_eq!(fs::read_to_string(&path).unwrap(), "", "{ours:?}");
    }
}

#[cfg(unix)]
#[test]
fn only_a_regular_file_is_opened() {
    let folder = Folder::of_processes();
    let fifo = folder.file("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for other in [&fifo, &folder.path, Path::new("/dev/null")] {
        let error = open_with(other, LARGE).unwrap_err();
        assert_eq!(error.to_string(), format!("{}: not a regular file; choose another one", other.display()));
    }
    let below_a_file = folder.file("file/events.jsonl");
    fs::write(folder.file("file"), "").unwrap();
    let RecordsError::File(error) = open_with(&below_a_file, LARGE).unwrap_err() else { panic!("no place for a file") };
    assert!(error.to_string().contains("file"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_stays_one_and_the_segments_are_beside_the_file() {
    let folder = Folder::new();
    let link = folder.file("events.jsonl");
    fs::create_dir(folder.file("disk")).unwrap();
    fs::write(folder.file("disk/real.jsonl"), "").unwrap();
    std::os::unix::fs::symlink("disk/real.jsonl", &link).unwrap();
    let (mut records, ..) = open_with(&link, 10).unwrap();
    append(&mut records, "{\"n\":1}");
    append(&mut records, "{\"n\":2}");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let files = [folder.file("disk/real.000001.jsonl"), folder.file("disk/real.jsonl")];
    assert_eq!(segments(&link).unwrap(), files);
    assert_eq!(fs::read_to_string(&files[0]).unwrap(), lines(&["{\"n\":1}"]));
    assert_eq!(fs::read_to_string(&link).unwrap(), lines(&["{\"head\":1}", "{\"n\":2}"]));
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_another_process_has_locked_is_in_use() {
    let folder = Folder::of_processes();
    let path = folder.file("events.jsonl");
    fs::write(&path, lines(&["{\"n\":1}"])).unwrap();
    let mut holder = Command::new("flock")
        .args(["--no-fork".as_ref(), path.as_os_str(), "sh".as_ref()])
        .args(["-c", "echo locked; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.take().unwrap()), &mut said).unwrap();
    assert_eq!(said, "locked\n");
    let error = open_with(&path, LARGE).unwrap_err();
    assert!(matches!(error, RecordsError::InUse { .. }), "{error}");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    let (mut records, ..) = open(&path);

    // Another process begins the same file while ours is moved away. It has the path then.
    fs::rename(&path, folder.file("moved")).unwrap();
    let (mut other, ..) = open(&path);
    assert!(matches!(records.append("{\"n\":2}", &mut head), Err(RecordsError::InUse { .. })));
    append(&mut other, "{\"n\":3}");
    drop(other);
    let aside = folder.file("events.jsonl.replaced-1");
    assert_eq!(append(&mut records, "{\"n\":4}"), [Renewed::Replaced { aside: Some(aside.clone()) }]);
    assert_eq!(fs::read_to_string(aside).unwrap(), lines(&["{\"n\":3}"]));
}

#[test]
fn a_file_that_is_moved_deleted_or_lost_with_its_folder_is_continued_with_a_head() {
    let folder = Folder::new();
    let path = folder.file("run/events.jsonl");
    let (mut records, ..) = open(&path);
    append(&mut records, "{\"n\":1}");
    fs::rename(&path, folder.file("moved")).unwrap();
    assert_eq!(records.check(&mut head).unwrap(), [Renewed::Moved]);
    assert_eq!(fs::read_to_string(&path).unwrap(), lines(&["{\"head\":1}"]));
    assert_eq!(records.check(&mut head).unwrap(), []);
    assert_eq!(fs::read_to_string(folder.file("moved")).unwrap(), lines(&["{\"n\":1}"]));

    fs::remove_file(&path).unwrap();
    assert_eq!(append(&mut records, "{\"n\":2}"), [Renewed::Moved]);
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    assert_eq!(records.sync(&mut head).unwrap(), [Renewed::Moved]);
    assert_eq!(append(&mut records, "{\"n\":3}"), []);
    assert_eq!(fs::read_to_string(&path).unwrap(), lines(&["{\"head\":1}", "{\"n\":3}"]));
    assert!(matches!(open_with(&path, LARGE), Err(RecordsError::InUse { .. })), "the new file is locked");
}

/// What logrotate does with `create`: it renames the file and makes an empty one.
#[test]
fn a_rotation_with_create_is_continued_in_the_new_file() {
    let folder = Folder::new();
    let path = folder.file("events.jsonl");
    let (mut records, ..) = open(&path);
    append(&mut records, "{\"n\":1}");
    fs::rename(&path, folder.file("events.jsonl.1")).unwrap();
    File::create_new(&path).unwrap();
    assert_eq!(append(&mut records, "{\"n\":2}"), [Renewed::Replaced { aside: None }]);
    assert_eq!(fs::read_to_string(folder.file("events.jsonl.1")).unwrap(), lines(&["{\"n\":1}"]));
    assert_eq!(fs::read_to_string(&path).unwrap(), lines(&["{\"head\":1}", "{\"n\":2}"]));
    assert_eq!(folder.names(), ["events.jsonl", "events.jsonl.1"]);
}

/// What logrotate does with `copytruncate`: it copies the file and cuts it off.
#[test]
fn a_rotation_with_copytruncate_is_continued_with_a_head() {
    let folder = Folder::new();
    let path = folder.file("events.jsonl");
    let (mut records, ..) = open(&path);
    append(&mut records, "{\"n\":1}");
    records.sync(&mut head).unwrap();
    // This one is not durable yet. Whether the copy has it cannot be told, so it is written again.
    append(&mut records, "{\"n\":2}");
    fs::copy(&path, folder.file("events.jsonl.1")).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert_eq!(append(&mut records, "{\"n\":3}"), [Renewed::Truncated { aside: None }]);
    assert_eq!(fs::read_to_string(&path).unwrap(), lines(&["{\"n\":2}", "{\"head\":1}", "{\"n\":3}"]));

    // What is left of a file that is cut in the middle is kept.
    records.sync(&mut head).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(5).unwrap();
    let aside = folder.file("events.jsonl.replaced-1");
    assert_eq!(append(&mut records, "{\"n\":4}"), [Renewed::Truncated { aside: Some(aside.clone()) }]);
    assert_eq!(fs::read_to_string(aside).unwrap(), "{\"n\":");
    assert_eq!(fs::read_to_string(&path).unwrap(), lines(&["{\"head\":1}", "{\"n\":4}"]));
}

#[cfg(unix)]
#[test]
fn whatever_takes_the_place_of_the_file_is_kept_beside_it() {
    let folder = Folder::of_processes();
    let path = folder.file("events.jsonl");
    let (mut records, ..) = open(&path);
    append(&mut records, "{\"n\":1}");
    let mut number = 0;
    let mut is_kept_as = |records: &mut Records<Disk>| {
        number += 1;
        let aside = folder.file(&format!("events.jsonl.replaced-{number}"));
        assert_eq!(append(records, "{\"n\":2}"), [Renewed::Replaced { aside: Some(aside.clone()) }]);
        assert_eq!(fs::read_to_string(&path).unwrap(), lines(&["{\"head\":1}", "{\"n\":2}"]));
        aside
    };
    fs::remove_file(&path).unwrap();
    fs::write(&path, "shopping list").unwrap();
    assert_eq!(fs::read_to_string(is_kept_as(&mut records)).unwrap(), "shopping list");
    fs::remove_file(&path).unwrap();
    fs::create_dir_all(path.join("full")).unwrap();
    assert!(is_kept_as(&mut records).join("full").is_dir());
    fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(
        fs::symlink_metadata(is_kept_as(&mut records)).unwrap().file_type() != fs::metadata(&path).unwrap().file_type()
    );
}

#[test]
fn what_something_else_appends_is_set_aside() {
    let folder = Folder::new();
    let path = folder.file("events.jsonl");
    let (mut records, ..) = open(&path);
    append(&mut records, "{\"n\":1}");
    let mut foreign = File::options().append(true).open(&path).unwrap();
    foreign.write_all(b"# note\n{\"n\":").unwrap();
    assert_eq!(append(&mut records, "{\"n\":2}"), [Renewed::Mixed { bytes: 12 }]);
    assert_eq!(fs::read_to_string(&path).unwrap(), lines(&["{\"n\":1}", "{\"n\":2}"]));
    let set_aside = fs::read_to_string(folder.file("events.jsonl.damaged")).unwrap();
    let entry: serde_json::Value = serde_json::from_str(&set_aside).unwrap();
    assert_eq!((&entry["line"], &entry["text"]), (&2.into(), &"# note\n{\"n\":".into()));

    // Between the look and the write, something else can get in before our record.
    let ours = fs::read_to_string(&path).unwrap();
    let (first, second) = ours.split_at(ours.len() / 2);
    fs::write(&path, [first, "# between\n", second].concat()).unwrap();
    assert_eq!(records.sync(&mut head).unwrap(), [Renewed::Mixed { bytes: 10 }]);
    assert_eq!(fs::read_to_string(&path).unwrap(), ours);
    assert!(fs::read_to_string(folder.file("events.jsonl.damaged")).unwrap().contains("# between"));
}

#[test]
fn a_full_file_becomes_a_segment_and_the_next_begins_with_a_head() {
    let folder = Folder::new();
    let path = folder.file("events.jsonl");
    let (mut records, ..) = open_with(&path, 60).unwrap();
    let mut told = Vec::new();
    for number in 0..8 {
        told.extend(append(&mut records, &format!("{{\"n\":{number}}}")));
    }
    drop(records);
    let names = ["events.000001.jsonl", "events.000002.jsonl", "events.000003.jsonl", "events.jsonl"];
    let full: Vec<_> = names[..3].iter().map(|name| Renewed::Full { segment: folder.file(name) }).collect();
    assert_eq!(told, full);
    assert_eq!(folder.names(), names);
    assert_eq!(segments(&path).unwrap(), names.map(|name| folder.file(name)));
    let all: String = segments(&path).unwrap().iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let first_fields: Vec<_> = all.lines().map(|line| line.split(',').next().unwrap()).collect();
    let expected = [
        "{\"n\":0",
        "{\"n\":1",
        "{\"n\":2",
        "{\"head\":1",
        "{\"n\":3",
        "{\"n\":4",
        "{\"head\":1",
        "{\"n\":5",
        "{\"n\":6",
        "{\"head\":1",
        "{\"n\":7",
    ];
    assert_eq!(first_fields, expected);

    // A process that died between the two names, with and without hard links.
    for is_link in [true, false] {
        let unfinished = folder.file("events.000004.jsonl");
        let made = if is_link { fs::hard_link(&path, &unfinished) } else { fs::copy(&path, &unfinished).map(drop) };
        made.unwrap();
        assert_eq!(segments(&path).unwrap().len(), 4);
        open_with(&path, 60).unwrap();
        assert_eq!(folder.names(), names);
    }
}

#[test]
fn a_head_longer_than_a_segment_does_not_make_a_segment_of_each_record() {
    let folder = Folder::new();
    let path = folder.file("events.jsonl");
    let (mut records, ..) = open_with(&path, 100).unwrap();
    let mut long = || vec![format!("{{\"head\":\"{}\"}}", "x".repeat(1000))];
    for number in 0..40 {
        records.append(&format!("{{\"n\":{number}}}"), &mut long).unwrap();
    }
    assert_eq!(segments(&path).unwrap().len(), 2);
}

#[test]
fn what_is_kept_in_memory_is_bounded() {
    let folder = Folder::new();
    let (mut records, ..) = open(&folder.file("events.jsonl"));
    let record = format!("{{\"n\":\"{}\"}}", "x".repeat(UNSYNCED_BYTES_MAX / 10));
    for _ in 0..40 {
        append(&mut records, &record);
        assert!(records.unsynced.len() < UNSYNCED_BYTES_MAX + record.len() + 100);
    }
    assert!(records.synced_bytes > 2 << 20);
}

#[test]
fn temp_files_of_a_process_that_died_are_removed_and_those_of_other_files_are_not() {
    let folder = Folder::new();
    let path = folder.file("events.jsonl");
    let other = ".tmp-0123456789ab-more-events.jsonl";
    for name in [".tmp-0123456789ab-events.jsonl", other] {
        fs::write(folder.file(name), "{\"n\":").unwrap();
    }
    open(&path);
    assert_eq!(folder.names(), [other, "events.jsonl"]);
}

/// The first record of a file may be torn as well. Half of something else is not ours.
#[test]
fn a_file_with_half_a_record_only_is_ours_if_it_begins_like_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.jsonl");
    let record = "{\"n\":1,\"text\":\"h\u{e9}llo\"}";
    for length in 1..record.len() {
        fs::write(&path, &record.as_bytes()[..length]).unwrap();
        let (_, found) = Records::open(Disk, path.clone(), "{\"n\":", u64::MAX, |_| Ok(())).unwrap();
        assert_eq!(found.cut_bytes, length as u64);
    }
    for strange in ["x", "{\"m\":1}", "[1]", "{}"] {
        fs::write(&path, strange).unwrap();
        let error = Records::open(Disk, path.clone(), "{\"n\":", u64::MAX, |_| Ok(())).unwrap_err();
        assert!(matches!(error, RecordsError::NotOurs { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), strange);
    }
}
