//! A server's process, and how to find its program.

use std::{
    env,
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// Longer than any server takes to start, so that one that hangs fails its test.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program on PATH, or in one of `places`.
pub(super) fn find(program: &str, places: &[PathBuf]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(places.iter().cloned()).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A command that runs `program` as the user whom Debian's packages make for PostgreSQL, if we are root: its servers
/// refuse to run as root. What they need must be [given away](give_away) to that user.
pub(super) fn as_servers_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]).arg(program);
    command
}

/// Gives a folder to the user of [`as_servers_user`].
pub(super) fn give_away(folder: &Path) {
    if is_root() {
        let given = Command::new("chown").args(["-R", &format!("{USER}:{USER}")]).arg(folder).status();
        assert!(given.expect("there is chown").success(), "{}", folder.display());
    }
}

const USER: &str = "postgres";

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// A port that nobody listens at right now.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    listener.local_addr().expect("it is bound").port()
}

/// A server at work. Killed when dropped.
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a server that writes to `log`, and waits until it has written that it is `ready`. None: it ended before.
    pub(super) fn start(command: &mut Command, log: &Path, ready: &str) -> Option<Self> {
        let file = File::create(log).expect("a file can be written");
        let errors = file.try_clone().expect("a file can be shared");
        let child = command.stdin(Stdio::null()).stdout(file).stderr(errors).spawn().expect("the server starts");
        let mut process = Self { child, log: log.to_owned() };
        let deadline = Instant::now() + PATIENCE;
        while !process.said().contains(ready) {
            if process.child.try_wait().expect("a child can be waited for").is_some() {
                return None;
            }
            assert!(Instant::now() < deadline, "the server does not start: {}", process.said());
            thread::sleep(Duration::from_millis(5));
        }
        Some(process)
    }

    /// What it has logged.
    pub(super) fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self) {
        self.child.wait().expect("a child can be waited for");
    }

    /// Ends it and its children as a crash of the machine does: none of them has time to notice.
    pub(super) fn crash(mut self) {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        self.child.kill().expect("a child can be killed");
        for child in children.split_whitespace().filter_map(|child| Pid::from_raw(child.parse().ok()?)) {
            // It may have ended.
            let _ = kill_process(child, Signal::KILL);
        }
        self.wait();
    }

    /// Stops it where it is, until [`Process::resume`].
    pub(super) fn suspend(&self) {
        suspend(&self.child);
    }

    pub(super) fn resume(&self) {
        resume(&self.child);
    }
}

/// Stops a process where it is, until [`resume`]. Its last thread stands still when this returns: a signal only asks for
/// that, and a thread at work on another processor could still answer a call.
pub(crate) fn suspend(child: &Child) {
    let id = Pid::from_child(child);
    kill_process(id, Signal::STOP).expect("the process is there");
    waitid(WaitId::Pid(id), WaitIdOptions::STOPPED).expect("a child can be waited for");
}

pub(crate) fn resume(child: &Child) {
    kill_process(Pid::from_child(child), Signal::CONT).expect("the process is there");
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts until it works: whoever had the port, or what the one before left in memory, is gone in a moment.
pub(super) fn start_eventually(mut start: impl FnMut() -> Option<Process>, log: &Path) -> Process {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(process) = start() {
            return process;
        }
        let said = fs::read_to_string(log).unwrap_or_default();
        assert!(Instant::now() < deadline, "the server does not start: {said}");
        thread::sleep(Duration::from_millis(20));
    }
}
