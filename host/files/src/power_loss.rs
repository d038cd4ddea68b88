//! A disk in memory for tests, whose power can fail, with every outcome that POSIX allows.
//!
//! Each change that was not fsynced may survive or not, independently of all others. One half of a rename may survive.
//! A file's content may be that after any of the changes since the last fsync. What was appended may also be there by
//! half, be zeros, or be zeros in its first half. Bytes that no change has touched survive. Real file systems lose less,
//! but documents and records must not depend on that.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::TryLockError;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::layer::{DirSyncError, FileLayer};
use super::record_layer::{RecordLayer, Status};

/// The disk. A clone copies everything, so each outcome starts from the same state.
#[derive(Debug)]
pub(crate) struct ModelDisk {
    nodes: Arc<Mutex<Vec<Node>>>,
    has_links: bool,
    /// How many fsyncs of files succeed before one fails.
    syncs_left: Arc<Mutex<Option<usize>>>,
}

#[derive(Clone, Debug)]
enum Node {
    Directory(Names),
    File(Content),
}

/// The names in a directory, each with the number of its node.
#[derive(Clone, Debug, Default)]
struct Names {
    live: BTreeMap<OsString, usize>,
    /// For each name that was changed since the last fsync, the nodes it may have after a power failure; `None`: the
    /// name is missing.
    unsynced: BTreeMap<OsString, Vec<Option<usize>>>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    live: Vec<u8>,
    /// The content at the last fsync and after each change since, without the last; empty if nothing has changed.
    before: Vec<Vec<u8>>,
    /// An fsync has failed. The kernel has forgotten what it could not write, so later fsyncs report success for nothing.
    is_forgotten: bool,
}

impl Content {
    fn change(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        self.before.push(self.live.clone());
        change(&mut self.live);
    }

    /// Each content that may be left if the power fails now.
    fn outcomes(&self) -> Vec<Vec<u8>> {
        let Some(last) = self.before.last() else { return vec![self.live.clone()] };
        let durable = &self.before[0];
        // Each append may be torn. Of the last one, other parts may be missing too.
        let mut outcomes = self.before.clone();
        if last.len() < self.live.len() {
            let kept = durable.len().min(last.len());
            let (zeros, half) = (self.live.len() - kept, (self.live.len() - kept) / 2);
            outcomes.push(self.live[..kept + half].to_vec());
            outcomes.push([&self.live[..kept], &vec![0; zeros]].concat());
            outcomes.push([&self.live[..kept], &vec![0; half], &self.live[kept + half..]].concat());
        }
        outcomes.push(self.live.clone());
        outcomes
    }
}

impl Names {
    fn set(&mut self, name: &OsStr, node: Option<usize>) {
        let before = self.live.get(name).copied();
        let possible = self.unsynced.entry(name.to_owned()).or_insert_with(|| vec![before]);
        if !possible.contains(&node) {
            possible.push(node);
        }
        match node {
            Some(node) => self.live.insert(name.to_owned(), node),
            None => self.live.remove(name),
        };
    }
}

impl ModelDisk {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Arc::new(Mutex::new(vec![Node::Directory(Names::default())])),
            has_links: true,
            syncs_left: Arc::default(),
        }
    }

    /// A disk without hard links.
    pub(crate) fn without_links() -> Self {
        Self { has_links: false, ..Self::new() }
    }

    /// The same disk, for another process.
    pub(crate) fn share(&self) -> Self {
        Self { nodes: self.nodes.clone(), has_links: self.has_links, syncs_left: self.syncs_left.clone() }
    }

    /// Fsync number `number` of a file from now fails, and forgets what it should have made durable.
    pub(crate) fn fail_sync(&self, number: usize) {
        *self.syncs_left.lock().unwrap() = Some(number);
    }

    /// Whether that fsync has failed.
    pub(crate) fn sync_failed(&self) -> bool {
        self.syncs_left.lock().unwrap().is_none()
    }

    /// What another program does: it cuts the file at `path` off, or appends to it. That is durable.
    pub(crate) fn meddle(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let meddled = self.with(|nodes| {
            let file = find(nodes, path)?;
            change(&mut content(nodes, file)?.live);
            content(nodes, file)?.before.clear();
            Ok(())
        });
        meddled.unwrap();
    }

    /// Calls `check` with every disk that may be left if the power fails now.
    pub(crate) fn for_each_outcome(&self, mut check: impl FnMut(Self)) {
        let mut choices = Choices::default();
        loop {
            let disk = Self { syncs_left: Arc::default(), ..self.clone() };
            cut_power(&mut disk.nodes.lock().unwrap(), 0, &mut choices);
            check(disk);
            if !choices.next() {
                return;
            }
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<Node>) -> io::Result<T>) -> io::Result<T> {
        work(&mut self.nodes.lock().unwrap())
    }
}

impl Clone for ModelDisk {
    fn clone(&self) -> Self {
        Self {
            nodes: Arc::new(Mutex::new(self.nodes.lock().unwrap().clone())),
            has_links: self.has_links,
            syncs_left: Arc::new(Mutex::new(*self.syncs_left.lock().unwrap())),
        }
    }
}

/// Decides what survives of the changes at and below a node that were not fsynced.
fn cut_power(nodes: &mut [Node], node: usize, choices: &mut Choices) {
    match &mut nodes[node] {
        Node::File(content) => {
            let mut outcomes = content.outcomes();
            if outcomes.len() > 1 {
                let picked = choices.pick(outcomes.len());
                *content = Content { live: outcomes.swap_remove(picked), ..Content::default() };
            }
        }
        Node::Directory(names) => {
            for (name, possible) in std::mem::take(&mut names.unsynced) {
                match possible[choices.pick(possible.len())] {
                    Some(node) => names.live.insert(name, node),
                    None => names.live.remove(&name),
                };
            }
            for child in names.live.clone().into_values() {
                cut_power(nodes, child, choices);
            }
        }
    }
}

/// All combinations of choices, one combination per round.
#[derive(Default)]
struct Choices {
    /// For each choice of this round: what was picked, and out of how many.
    trail: Vec<(usize, usize)>,
    position: usize,
}

impl Choices {
    fn pick(&mut self, out_of: usize) -> usize {
        if self.position == self.trail.len() {
            self.trail.push((0, out_of));
        }
        let (picked, was_out_of) = self.trail[self.position];
        assert_eq!(was_out_of, out_of, "each round must ask the same questions");
        self.position += 1;
        picked
    }

    /// Goes on to the next round; false when there is none.
    fn next(&mut self) -> bool {
        self.position = 0;
        while let Some((picked, out_of)) = self.trail.pop() {
            if picked + 1 < out_of {
                self.trail.push((picked + 1, out_of));
                return true;
            }
        }
        false
    }
}

fn find(nodes: &[Node], path: &Path) -> io::Result<usize> {
    path.components().filter(|component| *component != Component::RootDir).try_fold(0, |node, component| {
        match &nodes[node] {
            Node::Directory(names) => names.live.get(component.as_os_str()).copied().ok_or(ErrorKind::NotFound.into()),
            Node::File(_) => Err(ErrorKind::NotADirectory.into()),
        }
    })
}

fn names(nodes: &mut [Node], directory: usize) -> io::Result<&mut Names> {
    match &mut nodes[directory] {
        Node::Directory(names) => Ok(names),
        Node::File(_) => Err(ErrorKind::NotADirectory.into()),
    }
}

/// The directory that holds `path`, and the name of `path` there.
fn place<'a>(nodes: &'a mut [Node], path: &'a Path) -> io::Result<(&'a mut Names, &'a OsStr)> {
    let directory = find(nodes, path.parent().expect("nothing is done to the root"))?;
    Ok((names(nodes, directory)?, path.file_name().expect("every path ends with a name")))
}

fn add(nodes: &mut Vec<Node>, path: &Path, node: Node) -> io::Result<usize> {
    let number = nodes.len();
    let (names, name) = place(nodes, path)?;
    if names.live.contains_key(name) {
        return Err(ErrorKind::AlreadyExists.into());
    }
    names.set(name, Some(number));
    nodes.push(node);
    Ok(number)
}

fn content(nodes: &mut [Node], file: usize) -> io::Result<&mut Content> {
    match &mut nodes[file] {
        Node::File(content) => Ok(content),
        Node::Directory(_) => Err(ErrorKind::IsADirectory.into()),
    }
}

impl FileLayer for ModelDisk {
    type File = usize;

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.with(|nodes| add(nodes, path, Node::Directory(Names::default())).map(drop))
    }

    fn create_new(&self, path: &Path) -> io::Result<usize> {
        let empty = Content::default();
        self.with(|nodes| add(nodes, path, Node::File(empty)))
    }

    fn write_all(&self, file: &mut usize, bytes: &[u8]) -> io::Result<()> {
        self.with(|nodes| {
            content(nodes, *file)?.change(|live| live.extend_from_slice(bytes));
            Ok(())
        })
    }

    fn sync_file(&self, file: &usize) -> io::Result<()> {
        let fails = {
            let mut left = self.syncs_left.lock().unwrap();
            let fails = *left == Some(0);
            *left = left.and_then(|left| left.checked_sub(1));
            fails
        };
        self.with(|nodes| {
            let content = content(nodes, *file)?;
            content.is_forgotten |= fails;
            if fails {
                return Err(io::Error::other("the disk is broken"));
            }
            if !content.is_forgotten {
                content.before.clear();
            }
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.with(|nodes| {
            let node = find(nodes, from)?;
            let (names, name) = place(nodes, to)?;
            names.set(name, Some(node));
            let (names, name) = place(nodes, from)?;
            names.set(name, None);
            Ok(())
        })
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        if !self.has_links {
            return Err(ErrorKind::PermissionDenied.into());
        }
        self.with(|nodes| {
            let node = find(nodes, from)?;
            let (names, name) = place(nodes, to)?;
            if names.live.contains_key(name) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            names.set(name, Some(node));
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.with(|nodes| {
            let file = find(nodes, path)?;
            content(nodes, file)?;
            let (names, name) = place(nodes, path)?;
            names.set(name, None);
            Ok(())
        })
    }

    fn sync_dir(&self, path: &Path) -> Result<(), DirSyncError> {
        let synced = self.with(|nodes| {
            let directory = find(nodes, path)?;
            names(nodes, directory).map(|names| names.unsynced.clear())
        });
        synced.map_err(DirSyncError::NotTried)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.with(|nodes| {
            let file = find(nodes, path)?;
            content(nodes, file).map(|content| content.live.clone())
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.with(|nodes| {
            let directory = find(nodes, path)?;
            names(nodes, directory).map(|names| names.live.keys().cloned().collect())
        })
    }
}

impl RecordLayer for ModelDisk {
    fn open_to_append(&self, path: &Path) -> io::Result<usize> {
        self.with(|nodes| {
            let file = find(nodes, path)?;
            content(nodes, file).map(|_| file)
        })
    }

    /// One process has the disk for itself.
    fn try_lock(&self, _file: &usize) -> Result<(), TryLockError> {
        Ok(())
    }

    fn sync_data(&self, file: &usize) -> io::Result<()> {
        self.sync_file(file)
    }

    fn truncate(&self, file: &usize, bytes: u64) -> io::Result<()> {
        let bytes = usize::try_from(bytes).expect("it is in memory");
        self.with(|nodes| content(nodes, *file).map(|content| content.change(|live| live.resize(bytes, 0))))
    }

    fn read_at(&self, file: &usize, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let offset = usize::try_from(offset).expect("it is in memory");
        self.with(|nodes| io::Read::read(&mut content(nodes, *file)?.live.get(offset..).unwrap_or_default(), buffer))
    }

    fn status(&self, path: &Path) -> io::Result<Status> {
        self.with(|nodes| find(nodes, path).map(|node| status(&nodes[node], node)))
    }

    fn status_of(&self, file: &usize) -> io::Result<Status> {
        self.with(|nodes| Ok(status(&nodes[*file], *file)))
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.with(|nodes| find(nodes, path).map(|_| path.to_owned()))
    }
}

fn status(node: &Node, number: usize) -> Status {
    match node {
        Node::Directory(_) => Status { is_file: false, id: Some((0, number as u64)), bytes: 0 },
        Node::File(content) => Status { is_file: true, id: Some((0, number as u64)), bytes: content.live.len() as u64 },
    }
}
