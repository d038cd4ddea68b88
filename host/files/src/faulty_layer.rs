//! A file system for tests that counts the changes asked of it, and makes a chosen one go wrong.

use std::ffi::OsString;
use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::layer::{DirSyncError, FileLayer};
use super::power_loss::ModelDisk;
use super::record_layer::{RecordLayer, Status};

/// What happens at the chosen operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The operation is not done and reports an error; a write is half done.
    Fails,
    /// The operation is done, but reports an error.
    Misreports,
    /// The process dies: like `Fails`, and every later operation fails too.
    Kills,
    /// The operation is not begun, because permission is denied.
    Denied,
}

/// Passes every operation on to `inner`, except where a fault is planned.
#[derive(Debug)]
pub(crate) struct FaultyLayer<L> {
    pub(crate) inner: L,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Changes asked for since the last [`FaultyLayer::go_wrong_at`], by name.
    changes: Vec<&'static str>,
    plan: Option<(usize, Fault)>,
    /// The fault also happens at every later change of the same name.
    lasts: bool,
    /// The name of the changes that go wrong from now on.
    broken: Option<&'static str>,
    /// The name of a change that is not done, but reports success.
    skipped: Option<&'static str>,
    is_dead: bool,
}

enum Verdict {
    Do,
    Skip,
    Fail { halfway: bool },
    DoAndFail,
    Deny,
}

impl<L> FaultyLayer<L> {
    pub(crate) fn new(inner: L) -> Self {
        Self { inner, state: Arc::default() }
    }

    /// Counts changes from 0 again; change `number` then goes wrong. A process that was killed is started again.
    pub(crate) fn go_wrong_at(&self, number: usize, fault: Fault) {
        let mut state = self.state.lock().unwrap();
        state.plan = Some((number, fault));
        state.lasts = false;
        state.is_dead = false;
        state.broken = None;
        state.changes.clear();
    }

    /// Like [`Self::go_wrong_at`]; every later change of the same name goes wrong too.
    pub(crate) fn go_wrong_from(&self, number: usize, fault: Fault) {
        self.go_wrong_at(number, fault);
        self.state.lock().unwrap().lasts = true;
    }

    /// From now on, changes of this name report success and do nothing.
    pub(crate) fn skip(&self, name: &'static str) {
        self.state.lock().unwrap().skipped = Some(name);
    }

    /// Whether the planned fault has happened.
    pub(crate) fn went_wrong(&self) -> bool {
        let state = self.state.lock().unwrap();
        state.plan.is_some_and(|(number, _)| state.changes.len() > number)
    }

    /// Whether the process was killed.
    pub(crate) fn is_dead(&self) -> bool {
        self.state.lock().unwrap().is_dead
    }

    /// The changes asked for since the last [`Self::go_wrong_at`].
    pub(crate) fn changes(&self) -> Vec<&'static str> {
        self.state.lock().unwrap().changes.clone()
    }

    fn verdict(&self, name: &'static str) -> Verdict {
        let mut state = self.state.lock().unwrap();
        let number = state.changes.len();
        state.changes.push(name);
        if state.is_dead {
            return Verdict::Fail { halfway: false };
        }
        match state.plan {
            Some((planned, fault)) if planned == number || state.broken == Some(name) => {
                state.is_dead = fault == Fault::Kills;
                state.broken = state.lasts.then_some(name);
                match fault {
                    Fault::Fails | Fault::Kills => Verdict::Fail { halfway: true },
                    Fault::Misreports => Verdict::DoAndFail,
                    Fault::Denied => Verdict::Deny,
                }
            }
            _ if state.skipped == Some(name) => Verdict::Skip,
            _ => Verdict::Do,
        }
    }

    fn change(&self, name: &'static str, work: impl FnOnce(&L) -> io::Result<()>) -> io::Result<()> {
        match self.verdict(name) {
            Verdict::Do => work(&self.inner),
            Verdict::Skip => Ok(()),
            Verdict::Fail { .. } => Err(injected(name)),
            Verdict::DoAndFail => work(&self.inner).and_then(|()| Err(injected(name))),
            Verdict::Deny => Err(denied()),
        }
    }

    fn alive(&self) -> io::Result<&L> {
        if self.state.lock().unwrap().is_dead { Err(injected("read")) } else { Ok(&self.inner) }
    }
}

impl FaultyLayer<ModelDisk> {
    /// The same disk with the same plan.
    pub(crate) fn share(&self) -> Self {
        Self { inner: self.inner.share(), state: self.state.clone() }
    }
}

fn injected(name: &str) -> io::Error {
    io::Error::other(format!("injected at {name}"))
}

fn denied() -> io::Error {
    io::ErrorKind::PermissionDenied.into()
}

impl<L: FileLayer> FileLayer for FaultyLayer<L> {
    type File = L::File;

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.change("create_dir", |inner| inner.create_dir(path))
    }

    fn create_new(&self, path: &Path) -> io::Result<L::File> {
        match self.verdict("create_new") {
            Verdict::Do | Verdict::Skip => self.inner.create_new(path),
            Verdict::Fail { .. } => Err(injected("create_new")),
            Verdict::DoAndFail => self.inner.create_new(path).and_then(|_| Err(injected("create_new"))),
            Verdict::Deny => Err(denied()),
        }
    }

    fn write_all(&self, file: &mut L::File, bytes: &[u8]) -> io::Result<()> {
        match self.verdict("write_all") {
            Verdict::Do => self.inner.write_all(file, bytes),
            Verdict::Skip => Ok(()),
            Verdict::Fail { halfway } => {
                if halfway {
                    self.inner.write_all(file, &bytes[..bytes.len() / 2])?;
                }
                Err(injected("write_all"))
            }
            Verdict::DoAndFail => self.inner.write_all(file, bytes).and_then(|()| Err(injected("write_all"))),
            Verdict::Deny => Err(denied()),
        }
    }

    fn sync_file(&self, file: &L::File) -> io::Result<()> {
        self.change("sync_file", |inner| inner.sync_file(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change("rename", |inner| inner.rename(from, to))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change("hard_link", |inner| inner.hard_link(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change("remove_file", |inner| inner.remove_file(path))
    }

    fn sync_dir(&self, path: &Path) -> Result<(), DirSyncError> {
        match self.verdict("sync_dir") {
            Verdict::Do => self.inner.sync_dir(path),
            Verdict::Skip => Ok(()),
            Verdict::Fail { .. } => Err(DirSyncError::Failed(injected("sync_dir"))),
            Verdict::DoAndFail => {
                self.inner.sync_dir(path).and_then(|()| Err(DirSyncError::Failed(injected("sync_dir"))))
            }
            Verdict::Deny => Err(DirSyncError::NotTried(denied())),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.alive()?.read(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.alive()?.list(path)
    }
}

impl<L: RecordLayer> RecordLayer for FaultyLayer<L> {
    fn open_to_append(&self, path: &Path) -> io::Result<L::File> {
        let mut opened = None;
        self.change("open_to_append", |inner| inner.open_to_append(path).map(|file| opened = Some(file)))?;
        Ok(opened.expect("opening is not skipped"))
    }

    fn try_lock(&self, file: &L::File) -> Result<(), TryLockError> {
        let mut locked = Ok(());
        self.change("try_lock", |inner| {
            locked = inner.try_lock(file);
            Ok(())
        })
        .map_err(TryLockError::Error)?;
        locked
    }

    fn sync_data(&self, file: &L::File) -> io::Result<()> {
        self.change("sync_data", |inner| inner.sync_data(file))
    }

    fn truncate(&self, file: &L::File, bytes: u64) -> io::Result<()> {
        self.change("truncate", |inner| inner.truncate(file, bytes))
    }

    fn read_at(&self, file: &L::File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.alive()?.read_at(file, offset, buffer)
    }

    fn status(&self, path: &Path) -> io::Result<Status> {
        self.alive()?.status(path)
    }

    fn status_of(&self, file: &L::File) -> io::Result<Status> {
        self.alive()?.status_of(file)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.alive()?.resolve(path)
    }
}
