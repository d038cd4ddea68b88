//! s3s-fs: objects of S3 in a folder. It checks signatures and heeds conditions.

use std::{fs, path::PathBuf, process::Command};

use tempfile::TempDir;

use super::process::{Process, find, free_port, start_eventually};
use crate::support::{not_run, repository};

/// A server with its own data, at a port of its own.
pub(crate) struct S3 {
    process: Option<Process>,
    program: PathBuf,
    port: u16,
    folder: TempDir,
}

impl S3 {
    /// The only bucket there is.
    pub(crate) const BUCKET: &str = "state";
    pub(crate) const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
    pub(crate) const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    /// None, said loudly: there is no such server here.
    pub(crate) fn start() -> Option<Self> {
        let Some(program) = find("s3s-fs", &[repository().join("target/ci-tools/bin")]) else {
            not_run("the S3 store", "s3s-fs");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let mut s3 = Self { process: None, program, port: 0, folder };
        fs::create_dir_all(s3.objects()).expect("a folder can be made");
        let log = s3.log();
        let process = start_eventually(
            || {
                s3.port = free_port();
                s3.spawn()
            },
            &log,
        );
        s3.process = Some(process);
        Some(s3)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the bucket: objects are files in it, by their keys.
    pub(crate) fn objects(&self) -> PathBuf {
        self.folder.path().join("data").join(Self::BUCKET)
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again, at the same port and with the same data.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.process = Some(start_eventually(|| self.spawn(), &self.log()));
    }

    /// Stops it where it is, until [`S3::resume`].
    pub(crate) fn suspend(&self) {
        self.process().suspend();
    }

    pub(crate) fn resume(&self) {
        self.process().resume();
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    fn spawn(&self) -> Option<Process> {
        let mut command = Command::new(&self.program);
        command
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--access-key", Self::ACCESS_KEY_ID, "--secret-key", Self::SECRET_ACCESS_KEY])
            .arg(self.folder.path().join("data"))
            .env("RUST_LOG", "info");
        Process::start(&mut command, &self.log(), "server is running")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}
