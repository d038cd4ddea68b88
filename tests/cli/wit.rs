//! `sigbox wit`: the contract of the binary is that of the repository.

use std::{collections::BTreeMap, fs, path::Path};

use crate::support::{Workplace, repository};

/// Every file below `folder`, by its path.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn the_newest_track_is_written_as_it_is_in_the_repository() {
    let workplace = Workplace::empty();
    let finished = workplace.succeed(&["wit", "export", "contract"]);
    let written = files(&workplace.path("contract"));
    assert_eq!(written, files(&repository().join("wit/0.1")));
    let said =
        format!("Wrote {} files to contract. Worlds: strategy, backend, wrapper, fenced-backend.\n", written.len());
    assert_eq!(finished.stdout, said);
}

#[test]
fn it_is_not_written_among_other_files() {
    let workplace = Workplace::empty();
    workplace.write("mine/notes.txt", "mine");
    for folder in ["mine", "mine/notes.txt"] {
        let finished = workplace.run(&["wit", "export", folder]);
        assert_eq!(finished.code(), Some(2), "{finished:?}");
        assert!(finished.stderr.contains("is not an empty folder"), "{finished:?}");
    }
    assert_eq!(files(&workplace.path("mine")).len(), 1);
}
