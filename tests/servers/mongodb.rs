//! Two servers that speak MongoDB's protocol, because MongoDB itself is in no package registry. `.ci/mongodb-servers`
//! builds them.

use std::{path::PathBuf, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    Authority, op_msg,
    process::{Process, find, free_port, start_eventually},
};
use crate::support::{not_run, repository};

/// How a FerretDB is set up.
#[derive(Clone, Copy, Default)]
pub(crate) struct FerretDbSetup<'a> {
    /// Whoever does not log in as `sigbox` with [`FerretDb::PASSWORD`] is refused.
    pub(crate) has_login: bool,
    /// TLS only, with a certificate for this name.
    pub(crate) tls_name: Option<&'a str>,
    /// Within TLS, clients need a certificate of the authority.
    pub(crate) asks_for_certificate: bool,
}

/// FerretDB, with SQLite below it: it keeps what it acknowledged, but a conditional update is not atomic there.
pub(crate) struct FerretDb {
    process: Option<Process>,
    program: PathBuf,
    arguments: Vec<String>,
    is_tls: bool,
    port: u16,
    folder: TempDir,
    authority: Authority,
}

impl FerretDb {
    pub(crate) const PASSWORD: &'static str = "correct horse, battery";

    /// None, said loudly: there is no FerretDB here.
    pub(crate) fn start(setup: FerretDbSetup<'_>) -> Option<Self> {
        let Some(program) = find("ferretdb", &[tools().join("bin")]) else {
            not_run("the MongoDB store", "ferretdb, which .ci/mongodb-servers builds,");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let authority = Authority::new();
        authority.equip(folder.path(), setup.tls_name.unwrap_or("localhost"));
        let file = |name: &str| folder.path().join(name).display().to_string();
        let mut arguments = vec![
            "--handler=sqlite".to_owned(),
            format!("--sqlite-url=file:{}/", folder.path().display()),
            format!("--state-dir={}", folder.path().display()),
            "--telemetry=disable".to_owned(),
            "--debug-addr=-".to_owned(),
        ];
        if setup.has_login {
            arguments.extend(["--test-enable-new-auth", "--setup-database=admin"].map(str::to_owned));
            arguments.push("--setup-username=sigbox".to_owned());
            arguments.push(format!("--setup-password={}", Self::PASSWORD));
        }
        if setup.tls_name.is_some() {
            arguments.push(format!("--listen-tls-cert-file={}", file("server.pem")));
            arguments.push(format!("--listen-tls-key-file={}", file("server.key")));
        }
        if setup.asks_for_certificate {
            arguments.push(format!("--listen-tls-ca-file={}", file("ca.pem")));
        }
        let is_tls = setup.tls_name.is_some();
        let mut server = Self { process: None, program, arguments, is_tls, port: 0, folder, authority };
        let log = server.log();
        let process = start_eventually(
            || {
                server.port = free_port();
                server.spawn()
            },
            &log,
        );
        server.process = Some(process);
        Some(server)
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
        self.process = Some(start_eventually(|| self.spawn(), &self.log()));
    }

    /// Stops it where it is, until [`FerretDb::resume`].
    pub(crate) fn suspend(&self) {
        self.process().suspend();
    }

    pub(crate) fn resume(&self) {
        self.process().resume();
    }

    /// What the server answers to a command about the collection, given without a login and TLS.
    pub(crate) fn ask(&self, command: &str, more: &Value) -> Value {
        ask(self.port, command, more)
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    fn spawn(&self) -> Option<Process> {
        let address = format!("127.0.0.1:{}", self.port);
        let listen = if self.is_tls {
            ["--listen-addr=".to_owned(), format!("--listen-tls={address}")]
        } else {
            [format!("--listen-addr={address}"), "--listen-tls=".to_owned()]
        };
        let mut command = Command::new(&self.program);
        let ready = if self.is_tls { "Listening on TLS" } else { "Listening on TCP" };
        Process::start(command.args(listen).args(&self.arguments), &self.log(), ready)
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

/// mongo-java-server: a conditional update is atomic there, but it has no logins, and knows no `hello`.
pub(crate) struct MongoJavaServer {
    _process: Process,
    port: u16,
    _folder: TempDir,
}

impl MongoJavaServer {
    /// None, said loudly: there is no such server here.
    pub(crate) fn start() -> Option<Self> {
        let libraries = tools().join("mongo-java-server");
        let Some(java) = find("java", &[]).filter(|_| libraries.join("Main.class").is_file()) else {
            not_run("the MongoDB store", "mongo-java-server, which .ci/mongodb-servers builds,");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let log = folder.path().join("log");
        let mut port = 0;
        let process = start_eventually(
            || {
                port = free_port();
                let mut command = Command::new(&java);
                command.arg("-cp").arg(format!("{0}:{0}/*", libraries.display())).arg("Main");
                command.arg(folder.path().join("data")).arg(port.to_string());
                Process::start(&mut command, &log, "ready")
            },
            &log,
        );
        Some(Self { _process: process, port, _folder: folder })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What the server answers to a command about the collection.
    pub(crate) fn ask(&self, command: &str, more: &Value) -> Value {
        ask(self.port, command, more)
    }
}

fn ask(port: u16, command: &str, more: &Value) -> Value {
    let answer = op_msg::ask(port, command, more);
    assert_eq!(answer["ok"].as_f64(), Some(1.0), "{command}: {answer}");
    answer
}

fn tools() -> PathBuf {
    repository().join("target/ci-tools")
}
