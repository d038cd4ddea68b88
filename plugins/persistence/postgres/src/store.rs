//! The calls, each one statement: PostgreSQL does it wholly or not at all.

use std::time::Instant;

use sigbox_sdk::persistence::{Address, Failure, Holder, Page};

use crate::{
    connection::{Answer, Connection, Trouble},
    failure::{died, is_late, refused},
    schema::{self, EPOCH_DIGITS, Statement},
    settings::Settings,
};

/// The three parts of an address share one entry of a B-tree, which has at most 2,704 bytes, its own included.
const ADDRESS_BYTES_MAX: usize = 2600;

pub(crate) struct Store {
    settings: Settings,
    /// None after it broke.
    connection: Option<Connection>,
}

impl Store {
    /// Connects, makes the table where there is none, and tells `warn` what the operator should know of the server.
    pub(crate) fn start(settings: Settings, warn: impl Fn(&str)) -> Result<Self, Failure> {
        if settings.password.is_some() && settings.tls.is_none() && !settings.server.is_loopback() {
            warn("every document goes over the network unencrypted; set tls to \"verify-full\"");
        }
        let deadline = Instant::now() + settings.timeout;
        let start = || {
            let mut connection = Connection::open(&settings, deadline)?;
            schema::prepare(&mut connection, &settings.table)?;
            Ok(connection)
        };
        let connection = start().map_err(|trouble| refused("connecting to", &settings.server, trouble))?;
        if !connection.is_durable {
            warn(&format!("{} has fsync off: a crash of its machine loses writes, or the database", settings.server));
        }
        Ok(Self { settings, connection: Some(connection) })
    }

    pub(crate) fn read(&mut self, at: &Address) -> Result<Option<Vec<u8>>, Failure> {
        let answer = self.call("reading from", Statement::Read, at, &[])?;
        Ok(answer.0.into_iter().flatten().next().flatten().map(Vec::from))
    }

    pub(crate) fn has(&mut self, at: &Address) -> Result<bool, Failure> {
        Ok(!self.call("reading from", Statement::Has, at, &[])?.0.is_empty())
    }

    pub(crate) fn write(&mut self, at: &Address, value: &[u8], when_ms: u64) -> Result<(), Failure> {
        check_length(&[&at.domain, &at.entity_name, &at.entity_id])?;
        self.call("writing to", Statement::Write, at, &[value, &time(when_ms)])?;
        Ok(())
    }

    pub(crate) fn holder(&mut self, scope: &str) -> Result<Option<Holder>, Failure> {
        let answer = self.execute("reading from", Statement::Holder, &[scope.as_bytes()])?;
        if answer.0.is_empty() {
            return Ok(None);
        }
        let holder = answer.text(0, 0).and_then(|value| value.split_at_checked(EPOCH_DIGITS)).and_then(|held| {
            let since_ms = answer.text(0, 1)?.parse().ok()?;
            Some(Holder { epoch: held.0.parse().ok()?, owner: held.1.to_owned(), since_ms })
        });
        holder.map(Some).ok_or_else(|| {
            let message =
                format!("table {} has a row of the domain \\xff that is not ours: remove it", self.settings.table);
            Failure::give_up("corrupt", message)
        })
    }

    pub(crate) fn claim(&mut self, scope: &str, claim: &Holder) -> Result<(), Failure> {
        check_length(&["", scope, ""])?;
        let value = digits(claim.epoch) + &claim.owner;
        let values = [scope.as_bytes(), value.as_bytes(), &time(claim.since_ms)];
        if !self.execute("claiming at", Statement::Claim, &values)?.0.is_empty() {
            return Ok(());
        }
        let holder = self.holder(scope)?;
        if Holder::gives_way_to(holder.as_ref(), claim) {
            return Ok(());
        }
        Err(Holder::refusal(holder.as_ref(), scope, claim.epoch))
    }

    pub(crate) fn write_fenced(
        &mut self,
        at: &Address,
        value: &[u8],
        when_ms: u64,
        scope: &str,
        epoch: u64,
    ) -> Result<(), Failure> {
        check_length(&[&at.domain, &at.entity_name, &at.entity_id])?;
        let (when_ms, of) = (time(when_ms), digits(epoch));
        let values = [value, &when_ms, scope.as_bytes(), of.as_bytes()];
        let answer = self.call("writing to", Statement::WriteFenced, at, &values)?;
        if answer.0.is_empty() { Err(self.refusal(scope, epoch)) } else { Ok(()) }
    }

    pub(crate) fn remove_fenced(&mut self, at: &Address, scope: &str, epoch: u64) -> Result<bool, Failure> {
        let of = digits(epoch);
        let answer = self.call("removing from", Statement::RemoveFenced, at, &[scope.as_bytes(), of.as_bytes()])?;
        if answer.0.is_empty() { Err(self.refusal(scope, epoch)) } else { Ok(answer.text(0, 0) == Some("1")) }
    }

    /// Why a change of this epoch was refused.
    fn refusal(&mut self, scope: &str, epoch: u64) -> Failure {
        match self.holder(scope) {
            Ok(holder) => Holder::refusal(holder.as_ref(), scope, epoch),
            Err(failure) => failure,
        }
    }

    pub(crate) fn remove(&mut self, at: &Address) -> Result<bool, Failure> {
        Ok(!self.call("removing from", Statement::Remove, at, &[])?.0.is_empty())
    }

    pub(crate) fn keys(
        &mut self,
        domain: &str,
        entity_name: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page, Failure> {
        // One more than asked for tells whether there is more.
        let one_more = (i64::from(limit) + 1).to_be_bytes();
        let (domain, entity_name) = (domain.as_bytes(), entity_name.as_bytes());
        let answer = match cursor {
            None => self.execute("listing the ids at", Statement::FirstKeys, &[domain, entity_name, &one_more]),
            Some(cursor) => {
                let values = [domain, entity_name, cursor.as_bytes(), &one_more];
                self.execute("listing the ids at", Statement::NextKeys, &values)
            }
        }?;
        let ids: Result<Vec<String>, _> = answer
            .0
            .into_iter()
            .map(|row| String::from_utf8(row.into_iter().next().flatten().map(Vec::from).unwrap_or_default()))
            .collect();
        let mut entity_ids = ids.map_err(|_| {
            let message = format!(
                "table {} has a row whose entity_id is not UTF-8, so it is not ours: remove it",
                self.settings.table
            );
            Failure::give_up("corrupt", message)
        })?;
        let has_more = entity_ids.len() > limit as usize;
        entity_ids.truncate(limit as usize);
        Ok(Page { next: has_more.then(|| entity_ids.last().cloned()).flatten(), entity_ids })
    }

    pub(crate) fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close();
        }
    }

    fn call(&mut self, doing: &str, statement: Statement, at: &Address, more: &[&[u8]]) -> Result<Answer, Failure> {
        let address = [at.domain.as_bytes(), at.entity_name.as_bytes(), at.entity_id.as_bytes()];
        self.execute(doing, statement, &[&address, more].concat())
    }

    /// Executes a statement, on a new connection if the old one turns out dead: the server was restarted, or closed it
    /// because it was idle. Whatever a statement does, doing it twice comes to the same.
    fn execute(&mut self, doing: &str, statement: Statement, values: &[&[u8]]) -> Result<Answer, Failure> {
        let deadline = Instant::now() + self.settings.timeout;
        if let Some(mut connection) = self.connection.take() {
            match connection.execute(statement, &self.settings.table, values, deadline) {
                Err(trouble) if died(&trouble) && !is_late(&trouble) => {}
                outcome => return self.finish(doing, connection, outcome),
            }
        }
        let mut connection =
            reconnect(&self.settings, deadline).map_err(|trouble| refused(doing, &self.settings.server, trouble))?;
        let outcome = connection.execute(statement, &self.settings.table, values, deadline);
        self.finish(doing, connection, outcome)
    }

    fn finish(
        &mut self,
        doing: &str,
        connection: Connection,
        outcome: Result<Answer, Trouble>,
    ) -> Result<Answer, Failure> {
        if !outcome.as_ref().is_err_and(died) {
            self.connection = Some(connection);
        }
        outcome.map_err(|trouble| refused(doing, &self.settings.server, trouble))
    }
}

fn check_length(parts: &[&str; 3]) -> Result<(), Failure> {
    let length: usize = parts.map(str::len).iter().sum();
    if length <= ADDRESS_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "the domain, entity name and entity id have {length} bytes together; PostgreSQL's index takes at most \
         {ADDRESS_BYTES_MAX}: choose shorter names"
    );
    Err(Failure::give_up("too-large", message))
}

/// An epoch as the beginning of a value.
fn digits(epoch: u64) -> String {
    format!("{epoch:0EPOCH_DIGITS$}")
}

/// A time as a value.
fn time(ms: u64) -> [u8; 8] {
    // In the year 292 million.
    i64::try_from(ms).unwrap_or(i64::MAX).to_be_bytes()
}

/// A connection to a table that was there before. One that is made anew would look as if nothing had ever been written.
fn reconnect(settings: &Settings, deadline: Instant) -> Result<Connection, Trouble> {
    let mut connection = Connection::open(settings, deadline)?;
    if schema::version(&mut connection, &settings.table)?.is_none() {
        let message =
            format!("table {} is gone from {}: bring it back, or start anew", settings.table, settings.server);
        return Err(Trouble::Refused(Failure::give_up("corrupt", message)));
    }
    Ok(connection)
}
