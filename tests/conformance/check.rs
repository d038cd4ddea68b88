//! Whether what is listed is there: `conformance/*.md` by id of the specification, `docs/hazards.md` by hazard.
//!
//! ```text
//! | id       | test             | note                                            |
//! | S-XYZ-01 | `what_it_claims` | what stands for what, where that is not obvious |
//! | L-XYZ-02 | —                | why there is none                               |
//! ```
//!
//! `conformance/ids.txt` has every id there is, one a line, after its section. A test names its ids in
//! its comment: `/// Specification: S-XYZ-01.`

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::support::repository;

/// Sections of which every id has to be listed.
const SECTIONS: [&str; 8] = ["13.1", "13.2", "13.3", "13.4", "13.5", "13.7", "13.8", "13.9"];

/// Where tests are.
const SOURCES: [&str; 2] = ["host", "tests"];

#[test]
fn every_id_of_the_checklist_has_a_test_that_carries_it_or_a_reason() {
    let ids = fs::read_to_string(repository().join("tests/conformance/ids.txt")).unwrap();
    let tables = files(&repository().join("tests/conformance"), "md");
    let rows: Vec<Row> = tables.iter().flat_map(|table| rows(table)).collect();
    let problems = problems_of_ids(&ids, &SECTIONS, &rows, &test_functions());
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_hazard_says_how_it_is_excluded_and_which_test_would_notice() {
    let rows = rows(&repository().join("docs/hazards.md"));
    let problems = problems_of_hazards(57, &rows, &test_functions());
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn each_kind_of_mistake_in_a_list_is_found() {
    let source = "/// Specification: S-PER-01, S-PER-02.\n#[test]\nfn both() {}\n/// Late.\n///\n/// Specification: S-PER-03.\n\
                  #[test]\nfn late() {}\n/// Specification: S-PER-99.\n#[test]\nfn unheard_of() {}\n#[test]\nfn other() {}";
    let tests: Tests = functions(source).into_iter().collect();
    let ids = "13.1 S-PER-01\n13.1 S-PER-02\n13.1 S-PER-03\n13.1 S-PER-04\n13.2 S-DEF-01\n";
    let rows = [
        row("| S-PER-01 | `both` | |"),
        row("| S-PER-02 | `gone` | |"),
        row("| S-PER-02 | `other` | twice |"),
        row("| S-PER-04 | — | |"),
        row("| S-PER-05 | — | unknown |"),
    ];
    let expected = [
        "t.md:1: S-PER-02: there is no test gone",
        "t.md:1: S-PER-02: the comment of other does not name it",
        "t.md:1: S-PER-02 is listed twice",
        "t.md:1: S-PER-04: without a test, the note has to say why there is none",
        "t.md:1: S-PER-05 is not in ids.txt",
        "S-PER-03 is not listed",
        "both names S-PER-02, which is not listed with it",
        "late names S-PER-03, which is not listed with it",
        "unheard_of names S-PER-99, which is not in ids.txt",
    ];
    assert_eq!(problems_of_ids(ids, &["13.1"], &rows, &tests), expected);

    let rows = [
        row("| H-01 | h | a | `other` |"),
        row("| H-03 | h | a | `other`, `gone` |"),
        row("| H-04 | | a | no test: none can be written |"),
        row("| H-05 | h | a | |"),
    ];
    let expected = [
        "t.md:1: H-03 comes where H-02 belongs",
        "t.md:1: H-03: there is no test gone",
        "t.md:1: H-04 comes where H-03 belongs",
        "t.md:1: H-04: a column is empty",
        "t.md:1: H-05 comes where H-04 belongs",
        "t.md:1: H-05: a column is empty",
        "t.md:1: H-05: name a test in backticks, or say no test: and why",
        "there are 4 hazards listed, not 5",
    ];
    assert_eq!(problems_of_hazards(5, &rows, &tests), expected);
}

#[test]
fn tests_are_found_by_their_attribute() {
    let source = "#[test]\nfn one() {}\n    /// Specification: A-B-01.\n    #[tokio::test(flavor = \"x\")]\n    #[expect(lint)]\n    \
                  async fn two(a: u8) {}\nfn helper() {}\n// #[test]\nfn three() {}";
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(functions(source), [("one".to_owned(), ids(&[])), ("two".to_owned(), ids(&["A-B-01"]))]);
    assert!(test_functions().contains_key("tests_are_found_by_their_attribute"));
}

/// A row of a table, as it is written.
struct Row {
    /// File and line.
    place: String,
    cells: Vec<String>,
}

impl Row {
    fn cell(&self, column: usize) -> &str {
        self.cells.get(column).map_or("", String::as_str)
    }

    /// The names in backticks in a column.
    fn names(&self, column: usize) -> Vec<&str> {
        self.cell(column).split('`').skip(1).step_by(2).collect()
    }
}

/// The rows of every table in a file, without their headings.
fn rows(file: &Path) -> Vec<Row> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let name = file.strip_prefix(repository()).unwrap_or(file).display();
    let lines: Vec<&str> = text.lines().collect();
    let is_rule = |line: &str| line.starts_with("|-") || line.starts_with("| -");
    let is_heading = |index: usize| lines.get(index + 1).is_some_and(|next| is_rule(next));
    let table =
        lines.iter().enumerate().filter(|(index, line)| line.starts_with('|') && !is_rule(line) && !is_heading(*index));
    table.map(|(index, line)| Row { place: format!("{name}:{}", index + 1), cells: cells(line) }).collect()
}

fn cells(line: &str) -> Vec<String> {
    line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// A row of a made-up table.
fn row(line: &str) -> Row {
    Row { place: "t.md:1".to_owned(), cells: cells(line) }
}

fn problems_of_ids(ids: &str, sections: &[&str], rows: &[Row], tests: &Tests) -> Vec<String> {
    let ids: BTreeMap<&str, &str> = ids
        .lines()
        .map(|line| line.split_once(' ').expect("a section and an id"))
        .map(|(section, id)| (id, section))
        .collect();
    let mut problems = Vec::new();
    let mut listed: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for row in rows {
        let (place, id, names) = (&row.place, row.cell(0), row.names(1));
        if !ids.contains_key(id) {
            problems.push(format!("{place}: {id} is not in ids.txt"));
            continue;
        }
        let problem = match names[..] {
            [name] if !tests.contains_key(name) => Some(format!("there is no test {name}")),
            [name] if !tests[name].iter().any(|named| named == id) => {
                Some(format!("the comment of {name} does not name it"))
            }
            [] if row.cell(1) != "—" => Some("name a test in backticks, or put —".to_owned()),
            [] if row.cell(2).is_empty() => Some("without a test, the note has to say why there is none".to_owned()),
            [] | [_] => None,
            [..] => Some("one test is enough".to_owned()),
        };
        problems.extend(problem.map(|problem| format!("{place}: {id}: {problem}")));
        if listed.insert(id, names.first().copied()).is_some() {
            problems.push(format!("{place}: {id} is listed twice"));
        }
    }
    let required = ids.iter().filter(|(_, section)| sections.contains(section));
    problems.extend(required.filter(|(id, _)| !listed.contains_key(*id)).map(|(id, _)| format!("{id} is not listed")));
    for (name, named) in tests {
        for id in named {
            if !ids.contains_key(id.as_str()) {
                problems.push(format!("{name} names {id}, which is not in ids.txt"));
            } else if listed.get(id.as_str()) != Some(&Some(name)) {
                problems.push(format!("{name} names {id}, which is not listed with it"));
            }
        }
    }
    problems
}

fn problems_of_hazards(count: usize, rows: &[Row], tests: &Tests) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, row) in (1..).zip(rows) {
        let (place, id) = (&row.place, row.cell(0));
        if id != format!("H-{number:02}") {
            problems.push(format!("{place}: {id} comes where H-{number:02} belongs"));
        }
        if (0..4).any(|column| row.cell(column).is_empty()) {
            problems.push(format!("{place}: {id}: a column is empty"));
        }
        let names = row.names(3);
        if names.is_empty() && !row.cell(3).starts_with("no test: ") {
            problems.push(format!("{place}: {id}: name a test in backticks, or say no test: and why"));
        }
        let gone = names.iter().filter(|name| !tests.contains_key(**name));
        problems.extend(gone.map(|name| format!("{place}: {id}: there is no test {name}")));
    }
    if rows.len() != count {
        problems.push(format!("there are {} hazards listed, not {count}", rows.len()));
    }
    problems
}

/// Tests by name, each with the ids its comment names: `/// Specification: S-PER-01, S-PER-02.`
type Tests = BTreeMap<String, Vec<String>>;

/// Every test in the sources. Tests of one name are one here.
fn test_functions() -> Tests {
    let sources = SOURCES.iter().flat_map(|folder| files(&repository().join(folder), "rs"));
    let read = |file: PathBuf| fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut tests = Tests::new();
    for (name, ids) in sources.map(read).flat_map(|source| functions(&source)) {
        tests.entry(name).or_default().extend(ids);
    }
    tests
}

/// The functions in a source that follow the attribute of a test, and the ids in the comment before it.
fn functions(source: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let (mut is_test, mut ids) = (false, Vec::new());
    for line in source.lines().map(str::trim_start) {
        if let Some(named) = line.strip_prefix("/// Specification: ") {
            ids = named.trim_end_matches('.').split(", ").map(str::to_owned).collect();
        } else if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if line.starts_with(['#', '/']) {
            // Another attribute, or more of a comment.
        } else {
            let ids = std::mem::take(&mut ids);
            if let (true, Some((_, rest))) = (std::mem::take(&mut is_test), line.split_once("fn ")) {
                let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
                let name: String = rest.chars().take_while(|character| is_name(*character)).collect();
                found.push((name, ids));
            }
        }
    }
    found
}

/// Every file with this extension below a folder, in the order of their paths.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}
