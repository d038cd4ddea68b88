//! `PgBouncer`: Debian's pooler in front of a PostgreSQL.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::{
    Postgres,
    process::{Process, as_servers_user, find, free_port, give_away, start_eventually},
};
use crate::support::not_run;

/// Who gets a connection to the server, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PoolMode {
    Session,
    Transaction,
}

/// A pooler at a port of its own, with the settings it comes with.
pub(crate) struct PgBouncer {
    process: Option<Process>,
    program: PathBuf,
    port: u16,
    folder: TempDir,
}

impl PgBouncer {
    /// A pooler with at most `sessions` connections to the server for each user of a database. None, said loudly: there
    /// is no such program here.
    pub(crate) fn start(postgres: &Postgres, mode: PoolMode, sessions: u16) -> Option<Self> {
        let Some(program) = find("pgbouncer", &[PathBuf::from("/usr/sbin")]) else {
            not_run("the PostgreSQL store behind a pooler", "pgbouncer");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let mut pgbouncer = Self { process: None, program, port: 0, folder };
        let users = pgbouncer.folder.path().join("users");
        fs::write(&users, format!("\"sigbox\" \"{}\"\n", Postgres::PASSWORD)).expect("a file can be written");
        let log = pgbouncer.log();
        let process = start_eventually(
            || {
                pgbouncer.port = free_port();
                let mode = match mode {
                    PoolMode::Session => "session",
                    PoolMode::Transaction => "transaction",
                };
                let settings = format!(
                    "[databases]\nsigbox = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                     listen_port = {}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\n\
                     pool_mode = {mode}\ndefault_pool_size = {sessions}\n",
                    postgres.port(),
                    pgbouncer.port,
                    users.display(),
                );
                fs::write(pgbouncer.settings(), settings).expect("a file can be written");
                give_away(pgbouncer.folder.path());
                pgbouncer.spawn()
            },
            &log,
        );
        pgbouncer.process = Some(process);
        Some(pgbouncer)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as a crash does, and starts it again at the same port.
    pub(crate) fn restart(&mut self) {
        self.process = None;
        self.process = Some(start_eventually(|| self.spawn(), &self.log()));
    }

    fn spawn(&self) -> Option<Process> {
        let mut command = as_servers_user(&self.program);
        command.arg(self.settings()).current_dir(self.folder.path());
        Process::start(&mut command, &self.log(), "process up")
    }

    fn settings(&self) -> PathBuf {
        self.folder.path().join("pgbouncer.ini")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}
