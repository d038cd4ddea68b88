//! Rows as MongoDB changes them, one after the other, as far as this plugin asks for it. It keeps commands back, as a
//! network can.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use bson::{Bson, Document, RawDocument, RawDocumentBuf, doc, rawdoc};

use super::{Fake, build, member, name};

/// The rows, by their `_id`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rows(pub(crate) BTreeMap<String, Document>);

impl Rows {
    pub(crate) fn run(&mut self, command: &RawDocument) -> RawDocumentBuf {
        let command = Document::try_from(command).expect("what we send is BSON");
        let list = |name: &str| -> Vec<Document> {
            let list = command.get_array(name).expect("it has a list").iter();
            list.map(|one| one.as_document().expect("it is of documents").clone()).collect()
        };
        match command.keys().next().map(String::as_str) {
            Some("find") => {
                let filter = command.get_document("filter").expect("it has one");
                let row = self.0.values().find(|row| matches(row, filter));
                let rows: Vec<Bson> = row.into_iter().map(|row| row.clone().into()).collect();
                raw(&doc! { "ok": 1, "cursor": { "id": 0_i64, "firstBatch": rows } })
            }
            Some("insert") => self.insert(list("documents").remove(0)),
            Some("update") => self.update(&list("updates").remove(0)),
            Some("delete") => {
                let filter = list("deletes").remove(0).get_document("q").expect("it has one").clone();
                let before = self.0.len();
                self.0.retain(|_, row| !matches(row, &filter));
                rawdoc! { "ok": 1, "n": i64::try_from(before - self.0.len()).unwrap() }
            }
            other => panic!("{other:?}"),
        }
    }

    fn insert(&mut self, row: Document) -> RawDocumentBuf {
        let id = row.get_str("_id").expect("it has one").to_owned();
        if self.0.contains_key(&id) {
            return rawdoc! { "ok": 1, "n": 0, "writeErrors": [{ "index": 0, "code": 11000, "errmsg": "E11000" }] };
        }
        self.0.insert(id, row);
        rawdoc! { "ok": 1, "n": 1 }
    }

    fn update(&mut self, update: &Document) -> RawDocumentBuf {
        let (filter, changes) = (update.get_document("q").unwrap(), update.get_document("u").unwrap());
        let is_multi = update.get_bool("multi").unwrap_or(false);
        let matching = self.0.values_mut().filter(|row| matches(row, filter));
        let mut count = 0_i64;
        for row in matching.take(if is_multi { usize::MAX } else { 1 }) {
            apply(row, changes);
            count += 1;
        }
        if count > 0 || !update.get_bool("upsert").unwrap_or(false) {
            return rawdoc! { "ok": 1, "n": count };
        }
        let mut row = doc! { "_id": filter.get_str("_id").expect("an upsert names its row") };
        apply(&mut row, changes);
        self.insert(row)
    }
}

fn matches(row: &Document, filter: &Document) -> bool {
    filter.iter().all(|(field, condition)| {
        if field == "$or" {
            let any = condition.as_array().expect("it is a list");
            return any.iter().any(|filter| matches(row, filter.as_document().expect("it is of filters")));
        }
        let value = row.get(field);
        let Some(operators) = condition.as_document() else { return value == Some(condition) };
        operators.iter().all(|(operator, operand)| match operator.as_str() {
            "$lt" => value.and_then(Bson::as_str).is_some_and(|value| value < operand.as_str().expect("it is text")),
            "$ne" => value != Some(operand),
            "$exists" => value.is_some() == operand.as_bool().expect("it is yes or no"),
            other => panic!("{other}"),
        })
    })
}

fn apply(row: &mut Document, changes: &Document) {
    for (operator, fields) in changes {
        for (field, value) in fields.as_document().expect("it is of fields") {
            match operator.as_str() {
                "$set" => drop(row.insert(field, value.clone())),
                "$unset" => drop(row.remove(field)),
                other => panic!("{other}"),
            }
        }
    }
}

fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).expect("it is plain")
}

/// What a server does with a command.
pub(crate) enum Fate {
    Run,
    /// It is kept back, and the connection breaks.
    Keep,
}

/// A server of these rows, which asks what to do with each command.
pub(crate) fn server(rows: &Arc<Mutex<Rows>>, fate: impl Fn(&RawDocument) -> Fate + Send + Sync + 'static) -> Fake {
    let rows = Arc::clone(rows);
    Fake::answering(move |command| match name(command).as_str() {
        "hello" => Some(member(true)),
        "buildInfo" => Some(build()),
        _ => match fate(command) {
            Fate::Run => Some(rows.lock().unwrap_or_else(PoisonError::into_inner).run(command)),
            Fate::Keep => None,
        },
    })
}
