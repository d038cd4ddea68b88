//! `docs/backends/kit.md` has the cases there are.

use std::fs;

use crate::support::repository;

#[test]
fn the_documentation_has_every_case_and_no_other() {
    let file = repository().join("docs/backends/kit.md");
    let documentation = fs::read_to_string(&file).unwrap();
    let header = "| about | case | what it proves | what it needs |\n|---|---|---|---|\n";
    let rows = sigbox_kit::cases()
        .map(|case| format!("| {} | {} | {} | {} |\n", case.group.name(), case.name, case.proves, case.needs.name()));
    let expected = format!("{header}{}", rows.collect::<String>());
    let begin = documentation.find(header).expect("the table has this header");
    let length = documentation[begin..].find("\n\n").expect("a paragraph follows") + 1;
    let found = &documentation[begin..begin + length];
    if std::env::var_os("SIGBOX_BLESS").is_some_and(|value| value == "1") {
        fs::write(&file, documentation.replace(found, &expected)).unwrap();
        return;
    }
    assert_eq!(found, expected, "write it anew with SIGBOX_BLESS=1");
}

#[test]
fn cases_have_names_of_their_own() {
    let mut names: Vec<&str> = sigbox_kit::cases().map(|case| case.name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
}
