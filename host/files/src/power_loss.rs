//! A disk in memory for tests, whose power can fail, with every outcome that POSIX allows.
//!
//! Each change that was not fsynced may survive or not, independently of all others. One half of a rename may survive.
//! A file's content may be the old one, half of the new one, zeros, or all of the new one. Real file systems lose less,
//! but documents must not depend on that.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::{Component, Path};
use std::sync::Mutex;

use super::layer::{DirSyncError, FileLayer};

/// The disk. A clone copies everything, so each outcome starts from the same state.
#[derive(Debug)]
pub(crate) struct ModelDisk {
    nodes: Mutex<Vec<Node>>,
    has_links: bool,
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

#[derive(Clone, Debug)]
struct Content {
    live: Vec<u8>,
    /// The content at the last fsync; `None` if nothing has changed since.
    unsynced_since: Option<Vec<u8>>,
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
        Self { nodes: Mutex::new(vec![Node::Directory(Names::default())]), has_links: true }
    }

    /// A disk without hard links.
    pub(crate) fn without_links() -> Self {
        Self { has_links: false, ..Self::new() }
    }

    /// Calls `check` with every disk that may be left if the power fails now.
    pub(crate) fn for_each_outcome(&self, mut check: impl FnMut(Self)) {
        let mut choices = Choices::default();
        loop {
            let disk = self.clone();
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
        Self { nodes: Mutex::new(self.nodes.lock().unwrap().clone()), has_links: self.has_links }
    }
}

/// Decides what survives of the changes at and below a node that were not fsynced.
fn cut_power(nodes: &mut [Node], node: usize, choices: &mut Choices) {
    match &mut nodes[node] {
        Node::File(content) => {
            if let Some(durable) = content.unsynced_since.take() {
                content.live = match choices.pick(4) {
                    0 => durable,
                    1 => content.live[..content.live.len() / 2].to_vec(),
                    2 => vec![0; content.live.len()],
                    _ => return,
                };
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
        let empty = Content { live: Vec::new(), unsynced_since: Some(Vec::new()) };
        self.with(|nodes| add(nodes, path, Node::File(empty)))
    }

    fn write_all(&self, file: &mut usize, bytes: &[u8]) -> io::Result<()> {
        self.with(|nodes| {
            let content = content(nodes, *file)?;
            let before = content.live.clone();
            content.unsynced_since.get_or_insert(before);
            content.live.extend_from_slice(bytes);
            Ok(())
        })
    }

    fn sync_file(&self, file: &usize) -> io::Result<()> {
        self.with(|nodes| content(nodes, *file).map(|content| content.unsynced_since = None))
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
