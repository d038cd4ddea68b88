//! PostgreSQL.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::{
    Authority,
    process::{Process, as_servers_user, find, free_port, give_away, start_eventually},
};
use crate::support::not_run;

/// How a server is set up.
#[derive(Clone, Copy)]
pub(crate) struct PostgresSetup<'a> {
    /// How it asks clients for their password, as in `pg_hba.conf`.
    pub(crate) method: &'a str,
    /// TLS too, with a certificate for this name.
    pub(crate) tls_name: Option<&'a str>,
    /// Lines of `postgresql.conf`.
    pub(crate) lines: &'a [(&'a str, &'a str)],
}

impl Default for PostgresSetup<'_> {
    fn default() -> Self {
        Self { method: "scram-sha-256", tls_name: None, lines: &[] }
    }
}

/// A server with its own data, at a port of its own. Its superuser `sigbox` has the password [`Postgres::PASSWORD`] and
/// the database `sigbox`.
pub(crate) struct Postgres {
    process: Option<Process>,
    programs: PathBuf,
    lines: Vec<String>,
    port: u16,
    folder: TempDir,
    authority: Authority,
}

impl Postgres {
    pub(crate) const PASSWORD: &'static str = "correct horse battery";

    /// None, said loudly: there is no PostgreSQL here.
    pub(crate) fn start(setup: PostgresSetup<'_>) -> Option<Self> {
        let Some(programs) = programs() else {
            not_run("the PostgreSQL store", "initdb");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let authority = Authority::new();
        authority.equip(folder.path(), setup.tls_name.unwrap_or("localhost"));
        fs::write(folder.path().join("password"), Self::PASSWORD).expect("a file can be written");
        let key = folder.path().join("server.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("it is ours");
        give_away(folder.path());

        let mut lines = vec!["listen_addresses=127.0.0.1".to_owned()];
        lines.push(format!("unix_socket_directories={}", folder.path().display()));
        if setup.tls_name.is_some() {
            lines.push("ssl=on".to_owned());
            lines.push(format!("ssl_cert_file={}", folder.path().join("server.pem").display()));
            lines.push(format!("ssl_key_file={}", key.display()));
            lines.push(format!("ssl_ca_file={}", folder.path().join("ca.pem").display()));
        }
        lines.extend(setup.lines.iter().map(|(name, value)| format!("{name}={value}")));
        let mut postgres = Self { process: None, programs, lines, port: 0, folder, authority };
        postgres.make_data(setup.method);
        let log = postgres.log();
        let process = start_eventually(
            || {
                postgres.port = free_port();
                postgres.spawn()
            },
            &log,
        );
        postgres.process = Some(process);
        answer(postgres.psql("postgres", postgres.port).args(["--command", "CREATE DATABASE sigbox"]));
        Some(postgres)
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
        if let Some(process) = self.process.take() {
            process.crash();
        }
    }

    /// Starts it again, at the same port and with the same data.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.process = Some(start_eventually(|| self.spawn(), &self.log()));
    }

    /// Starts it again as a standby, which follows nobody.
    pub(crate) fn restart_as_standby(&mut self) {
        self.kill();
        fs::write(self.data().join("standby.signal"), "").expect("a file can be written");
        self.restart();
    }

    /// What the superuser is answered, a row a line.
    pub(crate) fn sql(&self, sql: &str) -> String {
        self.sql_at(self.port, sql)
    }

    /// The same at another port: that of a pooler.
    pub(crate) fn sql_at(&self, port: u16, sql: &str) -> String {
        answer(self.psql("sigbox", port).args(["--command", sql]))
    }

    /// Runs `sql` in a transaction that stays open until the returned value is dropped.
    pub(crate) fn hold(&self, sql: &str) -> Held<'_> {
        self.hold_at(self.port, sql)
    }

    /// The same at another port: that of a pooler.
    pub(crate) fn hold_at(&self, port: u16, sql: &str) -> Held<'_> {
        let mut command = self.psql("sigbox", port);
        command.args(["--command=BEGIN", "--command", sql, "--command=SELECT 'held'"]);
        command.args(["--command", &format!("SELECT '{HELD}', pg_sleep(3600)")]);
        let process = Process::start(&mut command, &self.folder.path().join("psql"), "held");
        Held { postgres: self, process: process.expect("the statements are good") }
    }

    fn psql(&self, database: &str, port: u16) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        command
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
            .args(["--host=127.0.0.1", "--username=sigbox", "--dbname", database])
            .arg(format!("--port={port}"))
            .env("PGPASSWORD", Self::PASSWORD)
            .stdin(Stdio::null());
        command
    }

    fn make_data(&self, method: &str) {
        let password = self.folder.path().join("password");
        let output = self
            .command("initdb")
            .arg("--pgdata")
            .arg(self.data())
            .args(["--username=sigbox", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .arg(format!("--auth-host={method}"))
            .arg("--auth-local=reject")
            .arg(format!("--pwfile={}", password.display()))
            .output()
            .expect("initdb starts");
        assert!(output.status.success(), "{output:?}");
    }

    fn spawn(&self) -> Option<Process> {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        for line in &self.lines {
            command.args(["-c", line]);
        }
        // "connections", or "read-only connections" of a standby.
        Process::start(&mut command, &self.log(), "database system is ready to accept ")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = as_servers_user(&self.programs.join(program));
        // Whoever runs the tests may be in a folder that the server's user cannot enter.
        command.current_dir(self.folder.path());
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

/// A transaction that stays open.
pub(crate) struct Held<'a> {
    postgres: &'a Postgres,
    process: Process,
}

/// How the session of one is found.
const HELD: &str = "a transaction of a test";

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // The server does not notice that nobody waits for its answer.
        let end =
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query";
        self.postgres.sql(&format!("{end} LIKE '%{HELD}%'"));
        self.process.wait();
    }
}

fn answer(command: &mut Command) -> String {
    let output = command.output().expect("psql is where initdb is");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("it answers with text").trim_end().to_owned()
}

/// The folder of the server's programs. What is on PATH may be a link to only some of them.
fn programs() -> Option<PathBuf> {
    let initdb = fs::canonicalize(find("initdb", &installed())?).ok()?;
    Some(initdb.parent()?.to_owned())
}

/// Where Debian keeps the programs of each version, the newest first.
fn installed() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    folders
}
