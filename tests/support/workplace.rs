//! A working directory of its own, and the command running in it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{Configuration, Events, binary};

/// Longer than any run here takes, so that a command that hangs fails its test.
const PATIENCE: Duration = Duration::from_secs(120);

/// A working directory with a `sigbox.toml`, removed with the value.
pub(crate) struct Workplace {
    dir: TempDir,
}

impl Workplace {
    /// One without any file.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory can be made") }
    }

    /// One with a configuration.
    pub(crate) fn new(configuration: &Configuration) -> Self {
        let workplace = Self::empty();
        workplace.configure(configuration);
        workplace
    }

    /// Replaces the configuration.
    pub(crate) fn configure(&self, configuration: &Configuration) {
        self.write("sigbox.toml", configuration.to_toml());
    }

    /// Where `file` is.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// What is in `file`.
    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// Writes `file`, making its folder.
    pub(crate) fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().expect("files are in folders")).expect("a folder can be made");
        fs::write(path, content).expect("a file can be written");
    }

    /// The events of live runs.
    pub(crate) fn live_events(&self) -> Events {
        Events::parse(&self.read("dump/data/events.jsonl"))
    }

    /// Every stored document, by its path below the data directory.
    pub(crate) fn documents(&self) -> BTreeMap<String, String> {
        let below = |domain: &'static str| {
            let files = files_below(&self.path("dump/data").join(domain));
            files.into_iter().map(move |(name, document)| (format!("{domain}/{name}"), document))
        };
        ["signal", "schedule", "risk", "partial", "memory"].into_iter().flat_map(below).collect()
    }

    /// Runs the command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.start(arguments).wait()
    }

    /// Runs the command, which must end well.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> Finished {
        let finished = self.run(arguments);
        assert_eq!(finished.code(), Some(0), "{arguments:?}: {finished:?}");
        finished
    }

    /// Starts a live run and waits until it owns the data directory: from then on it listens to interrupts.
    pub(crate) fn start_live(&self, arguments: &[&str]) -> Running {
        let mut running = self.start(arguments);
        let owner = format!("process {} since", running.id());
        let lock = self.path("dump/data/.lock");
        running.until("its lock", || fs::read_to_string(&lock).is_ok_and(|text| text.starts_with(&owner)));
        running
    }

    /// Starts the command.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Self::spawn(self.command(arguments))
    }

    /// Starts a command that somebody has added to.
    pub(crate) fn spawn(mut command: Command) -> Running {
        let output = tempfile::tempdir().expect("a temporary directory can be made");
        let file = |name: &str| File::create(output.path().join(name)).expect("a file can be written");
        let child = command.stdout(file("stdout")).stderr(file("stderr")).spawn().expect("the command starts");
        Running { child, output }
    }

    /// The command, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(self.dir.path());
        // What the person who runs the tests has set is not what is tested.
        command.env_remove("SIGBOX_LOG").env("COLUMNS", "100");
        command
    }
}

/// Every file below `folder`, by its path there. Files are text. A folder that is missing has none.
pub(crate) fn files_below(folder: &Path) -> BTreeMap<String, String> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        let Ok(entries) = fs::read_dir(next) else { continue };
        for entry in entries {
            let path = entry.expect("a folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("it was found below").display().to_string();
                found.insert(name, fs::read_to_string(&path).expect("files are text"));
            }
        }
    }
    found
}

/// The command at work. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    output: TempDir,
}

/// How the command ended, and what it said.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// The exit code; `None` when it was killed.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

impl Running {
    /// Waits for its end.
    pub(crate) fn wait(self) -> Finished {
        self.wait_for(PATIENCE).unwrap_or_else(|running| panic!("it does not end: {}", running.said()))
    }

    /// Waits for its end, at most for `time`; then it goes on.
    pub(crate) fn wait_for(mut self, time: Duration) -> Result<Finished, Self> {
        let deadline = Instant::now() + time;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return Ok(Finished { status, stdout: self.heard("stdout"), stderr: self.heard("stderr") });
            }
            if Instant::now() >= deadline {
                return Err(self);
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until `condition` holds, while it runs on.
    pub(crate) fn until(&mut self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            let ended = self.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none() || condition(), "it ended before {what}: {}", self.said());
            assert!(Instant::now() < deadline, "no sign of {what}: {}", self.said());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends it as a crash does: it learns nothing of it.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, signal).expect("the process is there");
    }

    /// What it has written to standard error so far.
    fn said(&self) -> String {
        self.heard("stderr")
    }

    /// Where that is written to.
    pub(crate) fn said_file(&self) -> PathBuf {
        self.output.path().join("stderr")
    }

    fn heard(&self, stream: &str) -> String {
        fs::read_to_string(self.output.path().join(stream)).expect("what it writes is text")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
