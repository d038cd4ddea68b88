//! The calls, each one command: Redis does it wholly or not at all.

use std::{collections::BTreeMap, time::Instant};

use redis::{Cmd, FromRedisValue, RedisResult, cmd};
use sigbox_sdk::persistence::{Address, Failure, Holder, Page};

use crate::{
    connection::Connection,
    failure::{died, is_late, refused},
    fence::{self, Fenced},
    layout,
    safety::check,
    settings::{Replicas, Settings},
};

pub(crate) struct Store {
    settings: Settings,
    /// None after it broke.
    connection: Option<Connection>,
}

impl Store {
    /// Connects, and tells `warn` what the operator should know of the server.
    pub(crate) fn start(settings: Settings, warn: impl Fn(&str)) -> Result<Self, Failure> {
        if settings.password.is_some() && settings.tls.is_none() && !settings.server.is_loopback() {
            warn("the password and every document go over the network unencrypted; use rediss://");
        }
        let deadline = Instant::now() + settings.timeout;
        let (connection, warning) = connect(&settings, deadline)?;
        if let Some(warning) = warning {
            warn(&warning);
        }
        Ok(Self { settings, connection: Some(connection) })
    }

    pub(crate) fn read(&mut self, at: &Address) -> Result<Option<Vec<u8>>, Failure> {
        let command = self.about("HGET", at);
        self.call("reading from", |connection| connection.ask(&command))
    }

    pub(crate) fn has(&mut self, at: &Address) -> Result<bool, Failure> {
        let command = self.about("HEXISTS", at);
        self.call("reading from", |connection| connection.ask(&command))
    }

    pub(crate) fn write(&mut self, at: &Address, value: &[u8]) -> Result<(), Failure> {
        let mut command = self.about("HSET", at);
        command.arg(value);
        self.change::<i64>("writing to", &command)?;
        Ok(())
    }

    pub(crate) fn remove(&mut self, at: &Address) -> Result<bool, Failure> {
        let command = self.about("HDEL", at);
        self.change("removing from", &command)
    }

    pub(crate) fn keys(
        &mut self,
        domain: &str,
        entity_name: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page, Failure> {
        let key = layout::key(&self.settings.prefix, domain, entity_name);
        let ids: Vec<Vec<u8>> = self.call("listing the ids at", |connection| connection.ask(cmd("HKEYS").arg(&key)))?;
        let ids: Result<Vec<String>, _> = ids.into_iter().map(String::from_utf8).collect();
        let ids = ids.map_err(|_| {
            let message = format!("the hash {key} has a field that is not UTF-8, so it is not ours: remove it");
            Failure::give_up("corrupt", message)
        })?;
        Ok(layout::page(ids, cursor, limit))
    }

    pub(crate) fn holder(&mut self, scope: &str) -> Result<Option<Holder>, Failure> {
        let ask = fence::ask(&self.fence(scope));
        self.call("reading from", |connection| Ok(fence::holder(connection.ask(&ask)?)?))
    }

    pub(crate) fn claim(&mut self, scope: &str, claim: &Holder) -> Result<(), Failure> {
        let command = fence::claim(&self.fence(scope), claim);
        self.change_fenced("claiming at", &command, scope, claim.epoch)?;
        Ok(())
    }

    pub(crate) fn write_fenced(&mut self, at: &Address, value: &[u8], scope: &str, epoch: u64) -> Result<(), Failure> {
        let command = fence::write(&self.fence(scope), epoch, &self.key(at), &at.entity_id, value);
        self.change_fenced("writing to", &command, scope, epoch)?;
        Ok(())
    }

    pub(crate) fn remove_fenced(&mut self, at: &Address, scope: &str, epoch: u64) -> Result<bool, Failure> {
        let command = fence::remove(&self.fence(scope), epoch, &self.key(at), &at.entity_id);
        Ok(self.change_fenced("removing from", &command, scope, epoch)? > 0)
    }

    fn change_fenced(&mut self, doing: &str, script: &Cmd, scope: &str, epoch: u64) -> Result<i64, Failure> {
        match self.change(doing, script)? {
            Fenced::Done(count) => Ok(count),
            Fenced::Held(holder) => Err(Holder::refusal(holder.as_ref(), scope, epoch)),
        }
    }

    fn fence(&self, scope: &str) -> String {
        layout::fence_key(&self.settings.prefix, scope)
    }

    fn key(&self, at: &Address) -> String {
        layout::key(&self.settings.prefix, &at.domain, &at.entity_name)
    }

    fn about(&self, command: &str, at: &Address) -> Cmd {
        let mut command = cmd(command);
        command.arg(self.key(at)).arg(&at.entity_id);
        command
    }

    /// A command that changes something, which counts only when enough replicas have it.
    fn change<T: FromRedisValue>(&mut self, doing: &str, command: &Cmd) -> Result<T, Failure> {
        let Some(Replicas { count, within_ms }) = self.settings.replicas else {
            return self.call(doing, |connection| connection.ask(command));
        };
        let mut wait = cmd("WAIT");
        wait.arg(count).arg(within_ms);
        let (changed, have): (T, u64) = self.call(doing, |connection| connection.ask_both(command, &wait))?;
        if have < count {
            let server = &self.settings.server;
            let message = format!(
                "{doing} {server}: it is done there, but only {have} of {count} replicas (setting wait-replicas) have \
                 it after {within_ms} ms, so it may be lost or kept"
            );
            return Err(Failure::retry("unavailable", message));
        }
        Ok(changed)
    }

    /// Runs a command, on a new connection if the old one turns out dead: the server was restarted, or closed it
    /// because it was idle. Whatever a command does, doing it twice comes to the same.
    fn call<T>(&mut self, doing: &str, run: impl Fn(&mut Connection) -> RedisResult<T>) -> Result<T, Failure> {
        let deadline = Instant::now() + self.settings.timeout;
        if let Some(mut connection) = self.connection.take() {
            connection.end_by(deadline);
            match run(&mut connection) {
                Err(error) if died(&error) && !is_late(&error) => {}
                outcome => return self.finish(doing, connection, outcome),
            }
        }
        let (mut connection, _) = connect(&self.settings, deadline)?;
        let outcome = run(&mut connection);
        self.finish(doing, connection, outcome)
    }

    fn finish<T>(&mut self, doing: &str, connection: Connection, outcome: RedisResult<T>) -> Result<T, Failure> {
        if !outcome.as_ref().is_err_and(died) {
            self.connection = Some(connection);
        }
        outcome.map_err(|error| refused(doing, &self.settings.server, &error))
    }
}

/// A connection to a server that can keep the contract, and what there is to say of it.
fn connect(settings: &Settings, deadline: Instant) -> Result<(Connection, Option<String>), Failure> {
    let mut connection = Connection::open(settings, deadline)?;
    // Users of a shared server may not be allowed to look, and some services have no such commands.
    let matters = |error: &redis::RedisError| died(error) || !matches!(error.code(), Some("NOPERM" | "ERR"));
    let info: Option<String> = optional(connection.ask(&cmd("INFO")), matters, settings)?;
    let policy: Option<BTreeMap<String, String>> =
        optional(connection.ask(cmd("CONFIG").arg("GET").arg("appendfsync")), matters, settings)?;
    let fsync = policy.as_ref().and_then(|policy| policy.get("appendfsync")).map(String::as_str);
    let warning = check(&settings.server, info.as_deref(), fsync, settings.required)?;
    Ok((connection, warning))
}

/// The answer, or none when it was refused in a way that does not matter.
fn optional<T>(
    answer: RedisResult<T>,
    matters: impl Fn(&redis::RedisError) -> bool,
    settings: &Settings,
) -> Result<Option<T>, Failure> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if matters(&error) => Err(refused("connecting to", &settings.server, &error)),
        Err(_) => Ok(None),
    }
}
