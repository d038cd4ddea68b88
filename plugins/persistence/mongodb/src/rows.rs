//! Commands about rows. What names one row, MongoDB does wholly or not at all.

use bson::{
    DateTime, RawArrayBuf, RawDocument, RawDocumentBuf, cstr,
    raw::{RawBinaryRef, RawBsonRef},
    rawdoc,
    spec::BinarySubtype,
};
use sigbox_sdk::persistence::Failure;

use crate::{
    connection::{Connection, Trouble, number},
    settings::Settings,
};

/// How often a row may be made by somebody else at the same moment. Each time there is one more, so the next try finds
/// it; only with a removal in between it can go on.
pub(crate) const RACES_MAX: usize = 5;

/// Finds the row with this `_id`. Servers that are like MongoDB use their index only if nothing else is asked for.
pub(crate) fn find(
    settings: &Settings,
    connection: &mut Connection,
    id: &str,
    projection: RawDocumentBuf,
) -> Result<RawDocumentBuf, Trouble> {
    let mut command = rawdoc! {
        "find": settings.collection.as_str(),
        "filter": { "_id": id },
        "projection": projection,
        "limit": 1,
        "singleBatch": true,
        "maxTimeMS": connection.patience_ms(),
    };
    // A primary that was replaced and does not know it yet would answer with what it has. Before a linearizable answer
    // it asks the others.
    if connection.primary().has_peers {
        command.append(cstr!("readConcern"), rawdoc! { "level": "linearizable" });
    }
    connection.ask(&settings.database, command)
}

/// The one row that was found, if there is one.
pub(crate) fn row(found: &RawDocument) -> Result<Option<&RawDocument>, Trouble> {
    match found.get_document("cursor")?.get_array("firstBatch")?.get(0)? {
        Some(RawBsonRef::Document(row)) => Ok(Some(row)),
        None => Ok(None),
        Some(_) => Err(uncounted()),
    }
}

/// Whether there is a document at the `_id`. A row whose document was removed has no time either, and the time is
/// shorter.
pub(crate) fn has(settings: &Settings, connection: &mut Connection, id: &str) -> Result<bool, Trouble> {
    let found = find(settings, connection, id, rawdoc! { "when": 1 })?;
    Ok(row(&found)?.map(|row| row.get("when")).transpose()?.flatten().is_some())
}

/// One change by one command; how many rows it changed. It counts when a majority has it in its journals.
pub(crate) fn change(
    settings: &Settings,
    connection: &mut Connection,
    command: &str,
    change: RawDocumentBuf,
) -> Result<i64, Trouble> {
    let changes = RawArrayBuf::from_iter([change]);
    let collection = settings.collection.as_str();
    let mut command = match command {
        "insert" => rawdoc! { "insert": collection, "documents": changes },
        "update" => rawdoc! { "update": collection, "updates": changes },
        _ => rawdoc! { "delete": collection, "deletes": changes },
    };
    let patience_ms = connection.patience_ms();
    // What nobody waits for any more must not be done later.
    command.append(cstr!("maxTimeMS"), patience_ms);
    command.append(cstr!("writeConcern"), rawdoc! { "w": "majority", "j": true, "wtimeout": patience_ms });
    let answer = connection.ask(&settings.database, command)?;
    number(&answer, "n").ok_or_else(uncounted)
}

/// The fields of a row that are of its document.
pub(crate) fn with_value(value: &[u8], when_ms: u64) -> RawDocumentBuf {
    let mut fields = RawDocumentBuf::new();
    fields.append(cstr!("value"), RawBinaryRef { subtype: BinarySubtype::Generic, bytes: value });
    fields.append(cstr!("when"), time(when_ms));
    fields
}

/// A time of the host as the server keeps it.
pub(crate) fn time(ms: u64) -> DateTime {
    // In the year 292 million.
    DateTime::from_millis(i64::try_from(ms).unwrap_or(i64::MAX))
}

pub(crate) fn uncounted() -> Trouble {
    Trouble::Lost(std::io::Error::new(
        std::io::ErrorKind::InvalidData,
        "the answer does not say what was found or changed",
    ))
}

pub(crate) fn not_ours(settings: &Settings, id: &str) -> Trouble {
    let message = format!(
        "collection {} has a row at {id:?} that is not ours: remove it, or choose another setting collection",
        settings.collection
    );
    Trouble::Refused(Failure::give_up("corrupt", message))
}
