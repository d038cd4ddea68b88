//! Documents in one redb file. Nothing here is of WebAssembly: benches run it natively too.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    ops::Bound::{Excluded, Included, Unbounded},
    path::{Path, PathBuf},
};

use redb::{Builder, Durability, Error, ReadableDatabase as _, TableDefinition};

/// Domain, entity name and entity id to the document. redb compares such keys part by part, each by its bytes.
const DOCUMENTS: TableDefinition<'_, (&str, &str, &str), &[u8]> = TableDefinition::new("documents");

/// Bytes of pages redb keeps in memory; its default of 1 GiB is more than a plugin has.
const CACHE_BYTES: usize = 8 << 20;

/// Domain, entity name and entity id.
pub(crate) type At<'a> = (&'a str, &'a str, &'a str);

/// An open database file. Every change is durable on return.
pub(crate) struct Database(redb::Database);

impl Database {
    /// Opens the file at `path`, making it when there is none. A file whose last user was killed is repaired. Reads the
    /// whole file: a page that is not as it was written is an error here, and not a wrong answer or a panic later.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        if !path.try_exists()? {
            create(path)?;
        }
        // Whoever made the file may have died before its name was durable.
        sync_folder_of(path)?;
        let database = builder().set_check_integrity_on_open(true).open(path)?;
        database.begin_read()?.open_table(DOCUMENTS)?;
        Ok(Self(database))
    }

    pub(crate) fn read(&self, at: At<'_>) -> Result<Option<Vec<u8>>, Error> {
        let table = self.0.begin_read()?.open_table(DOCUMENTS)?;
        Ok(table.get(at)?.map(|document| document.value().to_vec()))
    }

    pub(crate) fn has(&self, at: At<'_>) -> Result<bool, Error> {
        let table = self.0.begin_read()?.open_table(DOCUMENTS)?;
        Ok(table.get(at)?.is_some())
    }

    pub(crate) fn write(&self, at: At<'_>, value: &[u8]) -> Result<(), Error> {
        let transaction = self.begin()?;
        transaction.open_table(DOCUMENTS)?.insert(at, value)?;
        Ok(transaction.commit()?)
    }

    pub(crate) fn remove(&self, at: At<'_>) -> Result<bool, Error> {
        let transaction = self.begin()?;
        let was_there = transaction.open_table(DOCUMENTS)?.remove(at)?.is_some();
        transaction.commit()?;
        Ok(was_there)
    }

    /// At most `limit` ids after `cursor`, ascending by bytes, and whether there are more.
    pub(crate) fn keys(
        &self,
        domain: &str,
        entity_name: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<String>, bool), Error> {
        let table = self.0.begin_read()?.open_table(DOCUMENTS)?;
        let start = (domain, entity_name, cursor.unwrap_or_default());
        let start = if cursor.is_some() { Excluded(start) } else { Included(start) };
        let mut ids = Vec::new();
        for entry in table.range::<At<'_>>((start, Unbounded))? {
            let (key, _) = entry?;
            let (found_domain, found_name, id) = key.value();
            if (found_domain, found_name) != (domain, entity_name) {
                break;
            }
            if ids.len() == limit {
                return Ok((ids, true));
            }
            ids.push(id.to_owned());
        }
        Ok((ids, false))
    }

    /// Marks the file as one that needs no repair.
    pub(crate) fn close(self) -> Result<(), Error> {
        Ok(self.0.close()?)
    }

    fn begin(&self) -> Result<redb::WriteTransaction, Error> {
        let mut transaction = self.0.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        Ok(transaction)
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Makes the file under another name and gives it its own when it is whole: redb refuses a file whose maker was killed
/// half way, so such a file must never be at `path`.
fn create(path: &Path) -> Result<(), Error> {
    let unfinished = unfinished(path);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    let database = builder().create(&unfinished)?;
    let transaction = database.begin_write()?;
    transaction.open_table(DOCUMENTS)?;
    transaction.commit()?;
    database.close()?;
    Ok(fs::rename(&unfinished, path)?)
}

/// `{path}.new`.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BITCOIN: At<'_> = ("signal", "BTCUSDT_a", "BTCUSDT");

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sigbox.redb");
        (folder, path)
    }

    #[test]
    fn documents_are_there_when_the_file_is_opened_again() {
        let (_folder, path) = folder();
        let database = Database::open(&path).unwrap();
        assert_eq!(database.read(BITCOIN).unwrap(), None);
        database.write(BITCOIN, b"null").unwrap();
        database.close().unwrap();
        let database = Database::open(&path).unwrap();
        assert_eq!(database.read(BITCOIN).unwrap().as_deref(), Some(b"null".as_slice()));
        assert!(database.has(BITCOIN).unwrap());
        assert!(database.remove(BITCOIN).unwrap());
        assert!(!database.remove(BITCOIN).unwrap());
        assert!(!database.has(BITCOIN).unwrap());
    }

    #[test]
    fn ids_ascend_by_bytes_over_pages_and_stay_within_their_entity() {
        let (_folder, path) = folder();
        let database = Database::open(&path).unwrap();
        let ids = ["", "\0", "%", "10", "9", "Z", "a", "a\0", "a\0b", "ab", "ü", "策"];
        for id in ids.iter().rev() {
            database.write(("d", "e", id), b"1").unwrap();
        }
        for (domain, entity_name) in [("d", "e\0"), ("d", ""), ("de", ""), ("", "de"), ("d", "f"), ("c", "e")] {
            database.write((domain, entity_name, "elsewhere"), b"1").unwrap();
        }
        for limit in [1, 2, 5, 100] {
            let (mut found, mut cursor): (Vec<String>, _) = (Vec::new(), None);
            loop {
                let (page, more) = database.keys("d", "e", cursor.as_deref(), limit).unwrap();
                assert!(page.len() <= limit);
                found.extend(page);
                if !more {
                    break;
                }
                cursor = found.last().cloned();
            }
            assert_eq!(found, ids, "{limit} a page");
        }
    }

    #[test]
    fn a_file_somebody_began_to_make_is_made_anew() {
        let (_folder, path) = folder();
        fs::write(unfinished(&path), vec![0; 1 << 20]).unwrap();
        Database::open(&path).unwrap().write(BITCOIN, b"1").unwrap();
        assert!(!unfinished(&path).exists());
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let (_folder, path) = folder();
        fs::write(&path, "what is this").unwrap();
        assert!(
            matches!(Database::open(&path).err().unwrap(), Error::Io(error) if error.kind() == ErrorKind::InvalidData)
        );
        fs::remove_file(&path).unwrap();
        redb::Database::create(&path).unwrap();
        assert!(matches!(Database::open(&path).err().unwrap(), Error::TableDoesNotExist(_)));
    }

    #[test]
    fn no_byte_of_a_document_can_change_unnoticed_while_the_file_is_closed() {
        let (_folder, path) = folder();
        let database = Database::open(&path).unwrap();
        let document = vec![0xA5; 3000];
        database.write(BITCOIN, &document).unwrap();
        database.close().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let places: Vec<usize> = bytes
            .windows(100)
            .enumerate()
            .filter(|(_, window)| *window == &document[..100])
            .map(|(at, _)| at)
            .collect();
        assert!(!places.is_empty(), "it is there somewhere");
        for place in places {
            bytes[place] ^= 1;
        }
        fs::write(&path, bytes).unwrap();
        assert!(matches!(Database::open(&path).err().unwrap(), Error::Corrupted(_)));
    }
}
