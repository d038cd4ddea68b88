//! Reads a parsed file section by section and collects everything that is wrong with it.
//!
//! A key nobody asks for is refused, so what a section knows is what its code reads, and nothing can be forgotten in
//! a list beside it. The schema for editors is made of what was asked, too.
//!
//! Whatever is wrong is reported and a default stands in for it, so that the rest is read too; the stand-ins are never
//! seen, because a file with problems gives no configuration.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use serde_json::json;
use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{
    error::ConfigProblem,
    schema::{Expected, Keys, Kind, Place},
    value::{FromValue, Name},
};

/// How much of a value a message shows, characters.
const SHOWN_CHARACTERS_MAX: usize = 60;

/// One file while it is read.
pub(super) struct Reader<'t> {
    text: &'t str,
    file: &'t Path,
    /// Byte offset in the text, and the message.
    problems: RefCell<Vec<(usize, String)>>,
    /// What the file was asked for.
    pub(super) asked: RefCell<Keys>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str, file: &'t Path) -> Self {
        Self { text, file, problems: RefCell::default(), asked: RefCell::default() }
    }

    /// Reads the whole file with `body`. A file that is not TOML has only that problem: what would be guessed about
    /// the rest would mislead.
    pub(super) fn read<T>(&self, body: impl FnOnce(&Section<'_>) -> T) -> Option<T> {
        match DeTable::parse(self.text) {
            Ok(root) => {
                let (value, asked) = Section::read(self, "", 0, root.get_ref(), body);
                self.asked.replace(asked);
                Some(value)
            }
            Err(error) => {
                let span = error.span().unwrap_or_default();
                let found = self.text.get(span.clone()).unwrap_or_default().trim();
                let at = if found.is_empty() { String::new() } else { format!(", at {found:?}") };
                self.report(span.start, format!("{}{at}", error.message().trim()));
                None
            }
        }
    }

    /// Everything that was reported, in the order of the lines.
    pub(super) fn into_problems(self) -> Vec<ConfigProblem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|(offset, _)| *offset);
        problems
            .into_iter()
            .map(|(offset, message)| ConfigProblem {
                file: self.file.to_owned(),
                line: line_of(self.text, offset),
                message,
            })
            .collect()
    }

    fn report(&self, offset: usize, message: String) {
        self.problems.borrow_mut().push((offset, message));
    }

    /// A value as the file has it, or the beginning of it.
    fn shown(&self, value: &Spanned<DeValue<'_>>) -> String {
        let source = self.text.get(value.span()).unwrap_or_default();
        let line = source.lines().next().unwrap_or_default();
        if line.len() == source.len() && line.chars().count() <= SHOWN_CHARACTERS_MAX {
            return line.into();
        }
        let beginning: String = line.chars().take(SHOWN_CHARACTERS_MAX).collect();
        format!("{beginning}…")
    }
}

/// One table of the file while it is read.
pub(super) struct Section<'a> {
    reader: &'a Reader<'a>,
    /// As messages call it: `[engine]`. The file as a whole has none.
    label: String,
    /// Where it begins, for what is missing in it.
    offset: usize,
    table: &'a DeTable<'a>,
    asked: RefCell<Keys>,
}

impl<'a> Section<'a> {
    /// What `body` makes of a table, and what it asked for.
    fn read<T>(
        reader: &'a Reader<'a>,
        label: &str,
        offset: usize,
        table: &'a DeTable<'a>,
        body: impl FnOnce(&Self) -> T,
    ) -> (T, Keys) {
        let section = Section { reader, label: label.into(), offset, table, asked: RefCell::default() };
        let value = body(&section);
        section.refuse_what_nobody_asked_for();
        (value, section.asked.into_inner())
    }

    /// What `body` makes of a table at or below `key`.
    fn read_below<T>(
        &self,
        key: &str,
        label: &str,
        offset: usize,
        table: &DeTable<'_>,
        body: impl FnOnce(&Section<'_>) -> T,
    ) -> T {
        let (value, asked) = Section::read(self.reader, label, offset, table, body);
        self.asked.borrow_mut().add_below(key, asked);
        value
    }

    /// The value of `key`; `None` when there is none, and when it is not what it must be, which is reported.
    pub(super) fn get<T: FromValue>(&self, key: &'static str) -> Option<T> {
        self.get_if(key, T::expected(), |_| true)
    }

    /// The value of `key`, or `default`.
    pub(super) fn or<T: FromValue + PartialEq>(&self, key: &'static str, default: T) -> T {
        let value = self.get(key);
        if value.as_ref() == Some(&default) {
            self.asked.borrow_mut().is_default(key);
        }
        value.unwrap_or(default)
    }

    /// The value of `key`; it is reported when there is none.
    pub(super) fn required<T: FromValue>(&self, key: &'static str) -> Option<T> {
        self.required_if(key, T::expected(), |_| true)
    }

    /// The value of `key` when `is_allowed`, which is what `expected` says.
    pub(super) fn get_if<T: FromValue>(
        &self,
        key: &'static str,
        expected: Expected,
        is_allowed: impl FnOnce(&T) -> bool,
    ) -> Option<T> {
        let Expected { words, schema } = expected;
        let value = self.look(key, Kind::Value(schema))?;
        let ours = T::from_value(value.get_ref()).filter(is_allowed);
        if ours.is_none() {
            self.refuse(key, &format!("must be {words}"));
        }
        ours
    }

    /// The value of `key` when `is_allowed`; it is reported when there is none.
    pub(super) fn required_if<T: FromValue>(
        &self,
        key: &'static str,
        expected: Expected,
        is_allowed: impl FnOnce(&T) -> bool,
    ) -> Option<T> {
        if !self.has(key) {
            self.complain(&format!("{key} is missing; it must be {expected}"));
        }
        let value = self.get_if(key, expected, is_allowed);
        self.asked.borrow_mut().require(key);
        value
    }

    /// A whole number within `range`.
    pub(super) fn whole(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        self.get_if(key, Expected::whole(&range), |number| range.contains(number))
    }

    /// A whole number within `range`; it is reported when there is none.
    pub(super) fn required_whole(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        self.required_if(key, Expected::whole(&range), |number| range.contains(number))
    }

    /// A number within `range`.
    pub(super) fn number(&self, key: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        self.get_if(key, Expected::number(&range), |number| range.contains(number))
    }

    /// A number within `range`; it is reported when there is none.
    pub(super) fn required_number(&self, key: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        self.required_if(key, Expected::number(&range), |number| range.contains(number))
    }

    /// A path, relative to the file's folder unless it is absolute.
    pub(super) fn path(&self, key: &'static str) -> Option<PathBuf> {
        self.get::<Name>(key).map(|path| self.in_folder(&path.0))
    }

    /// `path`, relative to the file's folder unless it is absolute.
    pub(super) fn in_folder(&self, path: &str) -> PathBuf {
        self.reader.file.parent().unwrap_or(Path::new("")).join(path)
    }

    /// The path of a plugin, which must be there: a component, or a folder to build one from.
    pub(super) fn plugin(&self, key: &'static str) -> Option<PathBuf> {
        let expected = Expected::new(
            "the path of a .wasm file, of a folder with a Cargo.toml, or of a text (.py, .js, .ts)",
            Name::expected().schema,
        );
        let path = self.required_if(key, expected, |_| true).map(|Name(path)| self.in_folder(&path))?;
        if !path.exists() {
            let shown = path.display();
            let message = format!("{key} must be a .wasm file, a folder or a text, but there is nothing at {shown}");
            self.report(self.offset_of(key), message);
        }
        Some(path)
    }

    /// The items of the list at `key`, each with its place. Empty when there is no list.
    pub(super) fn list<T: FromValue>(&self, key: &'static str) -> Vec<Item<T>> {
        let schema = json!({ "type": "array", "items": T::expected().schema });
        let Some(value) = self.look(key, Kind::Value(schema)) else {
            return Vec::new();
        };
        let Some(items) = value.get_ref().as_array() else {
            self.refuse(key, &format!("must be a list in [ ], each item {}", T::expected()));
            return Vec::new();
        };
        let read = |item: &Spanned<DeValue<'_>>| {
            let ours = T::from_value(item.get_ref());
            if ours.is_none() {
                let shown = self.reader.shown(item);
                let expected = T::expected();
                self.report(item.span().start, format!("{key} must hold only {expected}; found {shown}"));
            }
            Some(Item { offset: item.span().start, value: ours? })
        };
        items.iter().filter_map(read).collect()
    }

    /// The section at `key`. One that is not there is read like an empty one, so that it gets its defaults.
    pub(super) fn section<T>(&self, key: &'static str, label: &str, body: impl FnOnce(&Section<'_>) -> T) -> T {
        let nothing = DeTable::new();
        let (offset, table) = match self.look(key, Kind::Section(Keys::default())) {
            None => (self.offset, &nothing),
            Some(value) => match value.get_ref().as_table() {
                Some(table) => (value.span().start, table),
                None => {
                    self.refuse(key, &format!("must be a section {label}"));
                    (value.span().start, &nothing)
                }
            },
        };
        self.read_below(key, label, offset, table, body)
    }

    /// The sections at `key`, be they `[[key]]` or a list of `{ }`.
    pub(super) fn sections<T>(
        &self,
        key: &'static str,
        label: &str,
        mut body: impl FnMut(&Section<'_>) -> T,
    ) -> Vec<T> {
        let Some(value) = self.look(key, Kind::Sections(Keys::default())) else {
            return Vec::new();
        };
        let tables: Option<Vec<_>> = value
            .get_ref()
            .as_array()
            .and_then(|items| items.iter().map(|item| Some((item.span().start, item.get_ref().as_table()?))).collect());
        let Some(tables) = tables else {
            self.refuse(key, &format!("must be a list of tables, each {label}"));
            return Vec::new();
        };
        tables.into_iter().map(|(offset, table)| self.read_below(key, label, offset, table, &mut body)).collect()
    }

    /// The sections below the section at `key`, each by a name of the user's choice. `label` gets the name in place
    /// of its `NAME`.
    pub(super) fn named_sections<T>(
        &self,
        key: &'static str,
        label: &str,
        mut body: impl FnMut(&Section<'_>, &str) -> T,
    ) -> BTreeMap<String, T> {
        let mut sections = BTreeMap::new();
        for (name, value) in self.table(key, label, Kind::Named(Keys::default())) {
            let label = label.replace("NAME", &shown_key(name.get_ref()));
            self.check_name(key, name);
            let Some(table) = value.get_ref().as_table() else {
                let shown = self.reader.shown(value);
                self.reader.report(name.span().start, format!("{label} must be a section; found {shown}"));
                continue;
            };
            let body = |section: &Section<'_>| body(section, name.get_ref());
            let read = self.read_below(key, &label, value.span().start, table, body);
            sections.insert(name.get_ref().to_string(), read);
        }
        sections
    }

    /// The values below the section at `key`, each by a name of the user's choice.
    pub(super) fn named_values<T: FromValue>(&self, key: &'static str, label: &str) -> BTreeMap<String, Item<T>> {
        let mut values = BTreeMap::new();
        let schema = json!({ "type": "object", "additionalProperties": T::expected().schema });
        for (name, value) in self.table(key, label, Kind::Value(schema)) {
            self.check_name(key, name);
            let offset = name.span().start;
            if let Some(ours) = T::from_value(value.get_ref()) {
                values.insert(name.get_ref().to_string(), Item { offset, value: ours });
            } else {
                let (name, expected, shown) = (shown_key(name.get_ref()), T::expected(), self.shown(value));
                self.report(offset, format!("{key} {name} must be {expected}; found {shown}"));
            }
        }
        values
    }

    /// The table at `key` with all its places, for what the plugin alone understands.
    pub(super) fn entries(
        &self,
        key: &'static str,
        label: &str,
    ) -> impl Iterator<Item = (&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>)> + use<'a> {
        self.table(key, label, Kind::Value(json!({ "type": "object" })))
    }

    fn table(
        &self,
        key: &'static str,
        label: &str,
        kind: Kind,
    ) -> impl Iterator<Item = (&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>)> + use<'a> {
        let value = self.look(key, kind);
        let table = value.and_then(|value| value.get_ref().as_table());
        if value.is_some() && table.is_none() {
            self.refuse(key, &format!("must be a table {label}"));
        }
        table.into_iter().flatten()
    }

    /// Reports that the value of `key` `must …`, and shows the value.
    pub(super) fn refuse(&self, key: &str, must: &str) {
        match self.table.get(key) {
            Some(value) => {
                let shown = self.reader.shown(value);
                self.report(self.offset_of(key), format!("{key} {must}; found {shown}"));
            }
            None => self.report(self.offset, format!("{key} {must}; its default will not do, so set it")),
        }
    }

    /// Reports something about this section as a whole.
    pub(super) fn complain(&self, message: &str) {
        self.reader.report(self.offset, format!("{} {message}", self.name()));
    }

    /// Reports something about a key or an item of this section.
    pub(super) fn report(&self, offset: usize, message: String) {
        let message = if self.label.is_empty() { message } else { format!("{} {message}", self.label) };
        self.reader.report(offset, message);
    }

    fn name(&self) -> &str {
        if self.label.is_empty() { "the file" } else { &self.label }
    }

    /// Whether the file says something about `key`, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether `key` is missing, or is a list or a section without anything in it.
    pub(super) fn is_empty(&self, key: &str) -> bool {
        self.table.get(key).is_none_or(|value| {
            let value = value.get_ref();
            value.as_array().is_some_and(|items| items.is_empty())
                || value.as_table().is_some_and(toml::map::Map::is_empty)
        })
    }

    /// Reports `message` when `key` is missing, or a list without items.
    pub(super) fn require_items(&self, key: &str, message: &str) {
        self.asked.borrow_mut().require(key);
        if self.list_length(key) == Some(0) || !self.has(key) {
            self.report(self.offset_of(key), message.into());
        }
    }

    /// How many items the list at `key` has, right or wrong; `None` when there is no list.
    pub(super) fn list_length(&self, key: &str) -> Option<usize> {
        self.table.get(key)?.get_ref().as_array().map(|items| items.len())
    }

    /// A value as the file has it, or the beginning of it.
    pub(super) fn shown(&self, value: &Spanned<DeValue<'_>>) -> String {
        self.reader.shown(value)
    }

    /// Where `key` stands, or where the section begins that does not have it.
    pub(super) fn offset_of(&self, key: &str) -> usize {
        self.table.get_key_value(key).map_or(self.offset, |(key, _)| key.span().start)
    }

    /// The line an offset is on.
    pub(super) fn line(&self, offset: usize) -> usize {
        line_of(self.reader.text, offset)
    }

    fn look(&self, key: &'static str, kind: Kind) -> Option<&'a Spanned<DeValue<'a>>> {
        let found = self.table.get_key_value(key);
        let place = found.map(|(key, value)| Place { key: key.span().start, value: value.span() });
        self.asked.borrow_mut().ask(key, kind, place);
        found.map(|(_, value)| value)
    }

    fn refuse_what_nobody_asked_for(&self) {
        let (asked, name) = (self.asked.borrow(), self.name());
        for key in self.table.keys() {
            if !asked.contains(key.get_ref()) {
                let (key, at) = (shown_key(key.get_ref()), key.span().start);
                let known = asked.names().collect::<Vec<_>>().join(", ");
                self.reader.report(at, format!("{name} has no key {key}; it has {known}"));
            }
        }
    }

    /// Reports a name of the user's choice, below the section at `key`, that nobody could work with.
    fn check_name(&self, key: &str, name: &Spanned<DeString<'_>>) {
        if !Name::is_fine(name.get_ref()) {
            let shown = shown_key(name.get_ref());
            let message = format!("{key} {shown} must have a name that is not blank, without control characters");
            self.report(name.span().start, message);
        }
    }
}

/// A value and the place it stands at, byte offset in the text.
pub(super) struct Item<T> {
    pub(super) offset: usize,
    pub(super) value: T,
}

/// Says when a name comes a second time.
#[derive(Default)]
pub(super) struct Taken {
    offsets: BTreeMap<String, usize>,
}

impl Taken {
    /// The `name` of a section, which no other section of its kind may have.
    pub(super) fn required_name(&mut self, section: &Section<'_>) -> String {
        let name = section.required::<Name>("name").map(|name| name.0);
        if let Some(name) = &name {
            self.take(section, name, section.offset_of("name"), "name");
        }
        name.unwrap_or_default()
    }

    /// Takes `name`, which stands at `offset`, and reports it when it is taken. `what` is what there is only one of.
    pub(super) fn take(&mut self, section: &Section<'_>, name: &str, offset: usize, what: &str) {
        if let Some(first) = self.offsets.get(name) {
            section.report(offset, format!("{what} {name:?} is already on line {}", section.line(*first)));
        } else {
            self.offsets.insert(name.into(), offset);
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// Plain keys as they are, others in quotes and with their control characters made visible.
pub(super) fn shown_key(key: &str) -> String {
    let is_plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if is_plain { key.into() } else { format!("{key:?}") }
}
