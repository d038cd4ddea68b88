//! Redis.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::{
    Authority,
    process::{Process, find, free_port, start_eventually},
};
use crate::support::not_run;

/// How a server is set up, other than with an append-only file that is synced at every write.
#[derive(Clone, Copy, Default)]
pub(crate) struct RedisSetup<'a> {
    /// Of the user `default`.
    pub(crate) password: Option<&'a str>,
    /// TLS only, with a certificate for this name.
    pub(crate) tls_name: Option<&'a str>,
    /// Lines of `redis.conf`, which count more than what else there is.
    pub(crate) lines: &'a [(&'a str, &'a str)],
}

/// A server with its own data, at a port of its own.
pub(crate) struct Redis {
    process: Option<Process>,
    program: PathBuf,
    arguments: Vec<String>,
    port: u16,
    folder: TempDir,
    authority: Authority,
}

impl Redis {
    /// None, said loudly: there is no Redis here.
    pub(crate) fn start(setup: RedisSetup<'_>) -> Option<Self> {
        let Some(program) = find("redis-server", &[PathBuf::from("/usr/bin")]) else {
            not_run("the Redis store", "redis-server");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let authority = Authority::new();
        authority.equip(folder.path(), setup.tls_name.unwrap_or("localhost"));
        let file = |name: &str| folder.path().join(name).display().to_string();
        let mut lines = vec![
            ("bind", "127.0.0.1".to_owned()),
            ("dir", folder.path().display().to_string()),
            ("save", String::new()),
            ("appendonly", "yes".to_owned()),
            ("appendfsync", "always".to_owned()),
        ];
        if setup.tls_name.is_some() {
            lines.push(("tls-cert-file", file("server.pem")));
            lines.push(("tls-key-file", file("server.key")));
            lines.push(("tls-ca-cert-file", file("ca.pem")));
            lines.push(("tls-auth-clients", "no".to_owned()));
        }
        if let Some(password) = setup.password {
            lines.push(("requirepass", password.to_owned()));
        }
        lines.extend(setup.lines.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let arguments = lines.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]).collect();
        let mut redis = Self { process: None, program, arguments, port: 0, folder, authority };
        let log = redis.log();
        let process = start_eventually(
            || {
                redis.port = free_port();
                redis.spawn(setup.tls_name.is_some())
            },
            &log,
        );
        redis.process = Some(process);
        Some(redis)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Who signed its certificate.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again, at the same port and with the same data.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let is_tls = self.arguments.iter().any(|argument| argument == "--tls-cert-file");
        self.process = Some(start_eventually(|| self.spawn(is_tls), &self.log()));
    }

    /// Stops it where it is, until [`Redis::resume`].
    pub(crate) fn suspend(&self) {
        self.process().suspend();
    }

    pub(crate) fn resume(&self) {
        self.process().resume();
    }

    /// What the server answers to a command, given without TLS.
    pub(crate) fn ask(&self, command: &[&str]) -> String {
        let output = Command::new(self.program.with_file_name("redis-cli"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(command)
            .stdin(Stdio::null())
            .output()
            .expect("redis-cli is where redis-server is");
        assert!(output.status.success(), "{command:?}: {output:?}");
        String::from_utf8(output.stdout).expect("it answers with text").trim_end().to_owned()
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    fn spawn(&self, is_tls: bool) -> Option<Process> {
        let port = self.port.to_string();
        let ports = if is_tls { ["--port", "0", "--tls-port", &port] } else { ["--tls-port", "0", "--port", &port] };
        let mut command = Command::new(&self.program);
        Process::start(command.args(ports).args(&self.arguments), &self.log(), "Ready to accept connections")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}
