//! The table, how it came to be, and the statements on it.

use sigbox_sdk::persistence::Failure;
use sigbox_wire::bad_setting;

use crate::connection::{Connection, Trouble};

/// What makes the table, one step a version. Steps that were ever released are not changed, only followed by others.
///
/// Names are bytes, because PostgreSQL's text refuses NUL and sorts by language.
const STEPS: &[&str] = &["CREATE TABLE {table} (
    domain bytea NOT NULL,
    entity_name bytea NOT NULL,
    entity_id bytea NOT NULL,
    value bytea NOT NULL,
    when_ms bigint NOT NULL,
    PRIMARY KEY (domain, entity_name, entity_id)
)"];

/// Whoever makes a table holds this advisory lock of the database: "sigbox" in ASCII.
const LOCK: i64 = 0x7369_6762_6f78;

/// The longest identifier in PostgreSQL, 63 bytes, less what the names of the version table and the index add.
const NAME_BYTES_MAX: usize = 50;

/// The domain of the rows that say who holds a scope. It is not UTF-8, so no document has it. The entity name is the
/// scope, and the value is the epoch in [`EPOCH_DIGITS`] digits and then the owner.
const FENCE: &str = r"'\xff'::bytea";

/// So many digits have epochs, so that they are in the order of their bytes.
pub(crate) const EPOCH_DIGITS: usize = 20;

/// A table, perhaps in a schema of its own, by a name that needs no quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table(String);

impl Table {
    pub(crate) fn named(name: &str) -> Result<Self, Failure> {
        let is_identifier = |part: &str| {
            part.len() <= NAME_BYTES_MAX
                && part.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
                && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        if name.split('.').count() <= 2 && name.split('.').all(is_identifier) {
            return Ok(Self(name.to_owned()));
        }
        Err(bad_setting(&format!(
            "setting table is {name:?}; it must be a name, or schema.name, of at most {NAME_BYTES_MAX} small letters, \
             digits and \"_\" each"
        )))
    }

    /// Names may be reserved words.
    fn quoted(&self, suffix: &str) -> String {
        format!("\"{}{suffix}\"", self.0.replace('.', "\".\""))
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What is asked of the table again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Statement {
    Read,
    Has,
    Write,
    Remove,
    FirstKeys,
    NextKeys,
    Holder,
    Claim,
    WriteFenced,
    RemoveFenced,
}

impl Statement {
    pub(crate) const fn is_change(self) -> bool {
        matches!(self, Self::Write | Self::Remove | Self::Claim | Self::WriteFenced | Self::RemoveFenced)
    }

    pub(crate) fn sql(self, table: &Table) -> String {
        let sql = match self {
            Self::Read => "SELECT value FROM {table} WHERE domain = $1 AND entity_name = $2 AND entity_id = $3",
            Self::Has => "SELECT '' FROM {table} WHERE domain = $1 AND entity_name = $2 AND entity_id = $3",
            Self::Write => {
                "INSERT INTO {table} (domain, entity_name, entity_id, value, when_ms) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (domain, entity_name, entity_id)
                 DO UPDATE SET value = excluded.value, when_ms = excluded.when_ms"
            }
            Self::Remove => {
                "DELETE FROM {table} WHERE domain = $1 AND entity_name = $2 AND entity_id = $3 RETURNING ''"
            }
            Self::FirstKeys => {
                "SELECT entity_id FROM {table} WHERE domain = $1 AND entity_name = $2
                 ORDER BY entity_id LIMIT $3"
            }
            Self::NextKeys => {
                "SELECT entity_id FROM {table} WHERE domain = $1 AND entity_name = $2 AND entity_id > $3
                 ORDER BY entity_id LIMIT $4"
            }
            Self::Holder => {
                "SELECT value, when_ms::text FROM {table}
                 WHERE domain = {fence} AND entity_name = $1 AND entity_id = ''"
            }
            Self::Claim => {
                "INSERT INTO {table} AS held (domain, entity_name, entity_id, value, when_ms)
                 VALUES ({fence}, $1, '', $2, $3)
                 ON CONFLICT (domain, entity_name, entity_id)
                 DO UPDATE SET value = excluded.value, when_ms = excluded.when_ms
                 WHERE substring(held.value FROM 1 FOR {digits}) < substring(excluded.value FROM 1 FOR {digits})
                 RETURNING ''"
            }
            // One statement reads the epoch and writes. Until it is committed, its lock on the epoch lets no claim
            // through. A claim that is not yet committed makes the statement wait, and look at the epoch once more.
            Self::WriteFenced => {
                "WITH fence AS (
                     SELECT '' FROM {table} WHERE domain = {fence} AND entity_name = $6 AND entity_id = ''
                     AND substring(value FROM 1 FOR {digits}) = $7 FOR SHARE
                 )
                 INSERT INTO {table} (domain, entity_name, entity_id, value, when_ms)
                 SELECT $1::bytea, $2::bytea, $3::bytea, $4::bytea, $5::bigint FROM fence
                 ON CONFLICT (domain, entity_name, entity_id)
                 DO UPDATE SET value = excluded.value, when_ms = excluded.when_ms
                 RETURNING ''"
            }
            Self::RemoveFenced => {
                "WITH fence AS (
                     SELECT '' FROM {table} WHERE domain = {fence} AND entity_name = $4 AND entity_id = ''
                     AND substring(value FROM 1 FOR {digits}) = $5 FOR SHARE
                 ), removed AS (
                     DELETE FROM {table}
                     WHERE domain = $1 AND entity_name = $2 AND entity_id = $3 AND EXISTS (SELECT FROM fence)
                     RETURNING ''
                 )
                 SELECT (SELECT count(*)::text FROM removed) FROM fence"
            }
        };
        sql.replace("{table}", &table.quoted(""))
            .replace("{fence}", FENCE)
            .replace("{digits}", &EPOCH_DIGITS.to_string())
    }
}

/// Makes the table, or brings it up to date. Two that start at the same time take turns.
pub(crate) fn prepare(connection: &mut Connection, table: &Table) -> Result<(), Trouble> {
    // Without the lock first: a user who may only use the table needs no right to make one.
    if version(connection, table)? == Some(STEPS.len()) {
        return Ok(());
    }
    connection.run("BEGIN")?;
    // Of the transaction, not of the session: a pooler gives the session to somebody else, and the lock with it.
    connection.run(&format!("SELECT pg_advisory_xact_lock({LOCK})"))?;
    migrate(connection, table)?;
    connection.run("COMMIT")?;
    Ok(())
}

/// Left in the middle, it leaves nothing: the connection is dropped, and the transaction and the lock with it.
fn migrate(connection: &mut Connection, table: &Table) -> Result<(), Trouble> {
    let versions = table.quoted("_version");
    let (table, from) = (table.quoted(""), version(connection, table)?);
    if from.is_none() {
        connection.run(&format!("CREATE TABLE {versions} (version bigint NOT NULL)"))?;
        connection.run(&format!("INSERT INTO {versions} VALUES (0)"))?;
    }
    for step in STEPS.iter().skip(from.unwrap_or(0)) {
        connection.run(&step.replace("{table}", &table))?;
    }
    connection.run(&format!("UPDATE {versions} SET version = {}", STEPS.len()))?;
    Ok(())
}

/// How many steps the table has gone through; none: it was never made.
pub(crate) fn version(connection: &mut Connection, table: &Table) -> Result<Option<usize>, Trouble> {
    let versions = table.quoted("_version");
    // pg_class is read for what it does besides: it has the server take in what others have made since the transaction
    // began. Otherwise it remembers from before that there is no such table.
    let is_there = format!("SELECT 1 FROM pg_class WHERE oid = to_regclass('{versions}')");
    if connection.run(&is_there)?.text(0, 0).is_none() {
        return Ok(None);
    }
    let answer = connection.run(&format!("SELECT version FROM {versions}"))?;
    let version = answer.text(0, 0).and_then(|version| version.parse().ok()).filter(|version| *version <= STEPS.len());
    version.map(Some).ok_or_else(|| {
        let message = format!(
            "table {table} is of version {}, and this plugin knows versions up to {}: use a newer plugin, or another \
             setting table",
            answer.text(0, 0).unwrap_or("unknown"),
            STEPS.len()
        );
        Trouble::Refused(Failure::give_up("unsupported", message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_plain_name() {
        for name in ["sigbox_documents", "_a1", "trading.user"] {
            assert_eq!(Table::named(name).unwrap().to_string(), name);
        }
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        for name in ["", "A", "1a", "a-b", "a.b.c", ".a", "a.", "a\"", "a b", "é", &long] {
            assert!(Table::named(name).unwrap_err().message.starts_with("setting table is "), "{name}");
        }
    }

    #[test]
    fn statements_name_the_table_in_quotes() {
        use Statement::{FirstKeys, Has, NextKeys, Read, Remove, Write};

        let table = Table::named("trading.user").unwrap();
        for statement in [Read, Has, Write, Remove, FirstKeys, NextKeys] {
            let sql = statement.sql(&table);
            assert!(sql.contains("\"trading\".\"user\"") && !sql.contains('{'), "{sql}");
        }
        assert_eq!(table.quoted("_version"), "\"trading\".\"user_version\"");
    }
}
