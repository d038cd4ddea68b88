//! `sigbox wit`: the contract of the binary is that of the repository.

use crate::support::{Workplace, files_below, repository};

#[test]
fn the_newest_track_is_written_as_it_is_in_the_repository() {
    let workplace = Workplace::empty();
    let finished = workplace.succeed(&["wit", "export", "contract"]);
    let written = files_below(&workplace.path("contract"));
    assert_eq!(written, files_below(&repository().join("wit/0.1")));
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
    assert_eq!(files_below(&workplace.path("mine")).len(), 1);
}
