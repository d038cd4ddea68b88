//! Reads a parsed file section by section and collects everything that is wrong with it.
//!
//! A key nobody asks for is refused, so what a section knows is what its code reads, and nothing can be forgotten in
//! a list beside it. Whatever is wrong is reported and a default stands in for it, so that the rest is read too; the
//! stand-ins are never seen, because a file with problems gives no configuration.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{
    error::ConfigProblem,
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
    /// Every key of every section that was asked for, and whether any such section had it.
    #[cfg(test)]
    pub(super) asked: RefCell<BTreeMap<String, bool>>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str, file: &'t Path) -> Self {
        Self {
            text,
            file,
            problems: RefCell::default(),
            #[cfg(test)]
            asked: RefCell::default(),
        }
    }

    /// Reads the whole file with `body`. A file that is not TOML has only that problem: what would be guessed about
    /// the rest would mislead.
    pub(super) fn read<T>(&self, body: impl FnOnce(&Section<'_>) -> T) -> Option<T> {
        match DeTable::parse(self.text) {
            Ok(root) => Some(Section::read(self, "", 0, root.get_ref(), body)),
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
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    fn read<T>(
        reader: &'a Reader<'a>,
        label: &str,
        offset: usize,
        table: &'a DeTable<'a>,
        body: impl FnOnce(&Self) -> T,
    ) -> T {
        let section = Section { reader, label: label.into(), offset, table, asked: RefCell::default() };
        let value = body(&section);
        section.refuse_what_nobody_asked_for();
        value
    }

    /// The value of `key`; `None` when there is none, and when it is not what it must be, which is reported.
    pub(super) fn get<T: FromValue>(&self, key: &'static str) -> Option<T> {
        self.get_if(key, &T::expected(), |_| true)
    }

    /// The value of `key`, or `default`.
    pub(super) fn or<T: FromValue>(&self, key: &'static str, default: T) -> T {
        self.get(key).unwrap_or(default)
    }

    /// The value of `key`; it is reported when there is none.
    pub(super) fn required<T: FromValue>(&self, key: &'static str) -> Option<T> {
        self.required_if(key, &T::expected(), |_| true)
    }

    /// The value of `key` when `is_allowed`; `expected` completes "must be …".
    pub(super) fn get_if<T: FromValue>(
        &self,
        key: &'static str,
        expected: &str,
        is_allowed: impl FnOnce(&T) -> bool,
    ) -> Option<T> {
        let value = self.look(key)?;
        let ours = T::from_value(value.get_ref()).filter(is_allowed);
        if ours.is_none() {
            self.refuse(key, &format!("must be {expected}"));
        }
        ours
    }

    /// The value of `key` when `is_allowed`; it is reported when there is none.
    pub(super) fn required_if<T: FromValue>(
        &self,
        key: &'static str,
        expected: &str,
        is_allowed: impl FnOnce(&T) -> bool,
    ) -> Option<T> {
        if self.look(key).is_none() {
            self.complain(&format!("{key} is missing; it must be {expected}"));
        }
        self.get_if(key, expected, is_allowed)
    }

    /// A whole number within `range`.
    pub(super) fn whole(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        self.get_if(key, &whole_within(&range), |number| range.contains(number))
    }

    /// A whole number within `range`; it is reported when there is none.
    pub(super) fn required_whole(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        self.required_if(key, &whole_within(&range), |number| range.contains(number))
    }

    /// A number within `range`.
    pub(super) fn number(&self, key: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        self.get_if(key, &number_within(&range), |number| range.contains(number))
    }

    /// A number within `range`; it is reported when there is none.
    pub(super) fn required_number(&self, key: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        self.required_if(key, &number_within(&range), |number| range.contains(number))
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
        let path = self.required_if(key, "the path of a .wasm file or of a folder with a Cargo.toml", |_| true);
        let path = path.map(|Name(path)| self.in_folder(&path))?;
        if !path.exists() {
            let shown = path.display();
            let message = format!("{key} must be a .wasm file or a folder, but there is nothing at {shown}");
            self.report(self.offset_of(key), message);
        }
        Some(path)
    }

    /// The items of the list at `key`, each with its place. Empty when there is no list.
    pub(super) fn list<T: FromValue>(&self, key: &'static str) -> Vec<Item<T>> {
        let Some(value) = self.look(key) else {
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
        let (offset, table) = match self.look(key) {
            None => (self.offset, &nothing),
            Some(value) => match value.get_ref().as_table() {
                Some(table) => (value.span().start, table),
                None => {
                    self.refuse(key, &format!("must be a section {label}"));
                    (value.span().start, &nothing)
                }
            },
        };
        Section::read(self.reader, label, offset, table, body)
    }

    /// The sections at `key`, be they `[[key]]` or a list of `{ }`.
    pub(super) fn sections<T>(
        &self,
        key: &'static str,
        label: &str,
        mut body: impl FnMut(&Section<'_>) -> T,
    ) -> Vec<T> {
        let Some(value) = self.look(key) else {
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
        tables.into_iter().map(|(offset, table)| Section::read(self.reader, label, offset, table, &mut body)).collect()
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
        for (name, value) in self.entries(key, label) {
            let label = label.replace("NAME", &shown_key(name.get_ref()));
            self.check_name(key, name);
            let Some(table) = value.get_ref().as_table() else {
                let shown = self.reader.shown(value);
                self.reader.report(name.span().start, format!("{label} must be a section; found {shown}"));
                continue;
            };
            let read =
                Section::read(self.reader, &label, value.span().start, table, |section| body(section, name.get_ref()));
            sections.insert(name.get_ref().to_string(), read);
        }
        sections
    }

    /// The values below the section at `key`, each by a name of the user's choice.
    pub(super) fn named_values<T: FromValue>(&self, key: &'static str, label: &str) -> BTreeMap<String, Item<T>> {
        let mut values = BTreeMap::new();
        for (name, value) in self.entries(key, label) {
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
        let value = self.look(key);
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

    /// Whether `key` is missing, or a list without items.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        self.list_length(key) == Some(0) || !self.has(key)
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

    fn look(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        let value = self.table.get(key);
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        #[cfg(test)]
        {
            let mut all = self.reader.asked.borrow_mut();
            *all.entry(format!("{} {key}", self.name())).or_default() |= value.is_some();
        }
        value
    }

    fn refuse_what_nobody_asked_for(&self) {
        let (asked, name) = (self.asked.borrow(), self.name());
        for key in self.table.keys() {
            if !asked.contains(&key.get_ref().as_ref()) {
                let (key, at) = (shown_key(key.get_ref()), key.span().start);
                self.reader.report(at, format!("{name} has no key {key}; it has {}", asked.join(", ")));
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

fn whole_within(range: &RangeInclusive<u64>) -> String {
    format!("a whole number from {} to {}", range.start(), range.end())
}

fn number_within(range: &RangeInclusive<f64>) -> String {
    format!("a number from {} to {}", range.start(), range.end())
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
