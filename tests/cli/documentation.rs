//! README.md says what the command says, and what it tells people to type works.
//!
//! ````text
//! <!-- help: sigbox backtest -->     the next ```text block is what `sigbox backtest --help` prints
//! <!-- run -->                       the commands of the next ```sh block are run, in a copy of what they need
//! <!-- file: dip/Cargo.toml -->      the next block is this file, which is built and run
//! ````

use std::{fs, path::Path};

use crate::support::{Configuration, Workplace, repository};

/// The lines of the code blocks that follow a comment `<!-- {marker}… -->`, each with the rest of its comment.
fn blocks(marker: &str) -> Vec<(String, String)> {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let mut found = Vec::new();
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        let comment = line.trim().strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
        let Some(rest) = comment.and_then(|comment| comment.strip_prefix(marker)) else { continue };
        let fence = lines.find(|line| !line.trim().is_empty()).unwrap_or_default();
        assert!(fence.starts_with("```"), "a code block must follow the comment {line}, not {fence:?}");
        let block: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
        found.push((rest.trim().to_owned(), block.join("\n")));
    }
    assert!(!found.is_empty(), "README.md has no comment <!-- {marker} -->");
    found
}

#[test]
fn readme_and_help_agree() {
    let workplace = Workplace::empty();
    for (command, documented) in blocks("help: ") {
        let arguments: Vec<&str> = command.split(' ').skip(1).chain(["--help"]).collect();
        let said = workplace.succeed(&arguments).stdout;
        assert_eq!(documented.trim_end(), said.trim_end(), "{command} --help");
    }
}

#[test]
fn the_strategy_of_the_readme_is_built_and_trades() {
    let workplace = Workplace::empty();
    for (file, text) in blocks("file: ") {
        workplace.write(&file, text.replace("../sigbox/", &format!("{}/", repository().display())));
    }
    // With the versions of the other plugins: new ones may not be there, or not build.
    fs::copy(repository().join("plugins/Cargo.lock"), workplace.path("dip/Cargo.lock")).unwrap();
    workplace.configure(&Configuration::new().generated("BTCUSDT", 7, 20).strategy(
        "dip",
        Path::new("dip"),
        &["BTCUSDT"],
        "",
    ));
    let finished = workplace.succeed(&["backtest", "--json"]);
    let result: serde_json::Value = serde_json::from_str(&finished.stdout).expect("it is JSON");
    assert!(result["total"]["trades"].as_u64().is_some_and(|trades| trades > 0), "{result}");
}

#[test]
fn what_the_readme_says_to_type_works() {
    for (_, commands) in blocks("run") {
        // Plugins are built where they are; everything else a command may write stays in the workplace.
        let workplace = Workplace::empty();
        let plugins = format!("plugin = '{}/plugins/", repository().display());
        let configuration = fs::read_to_string(repository().join("sigbox.toml")).unwrap();
        let configuration: Vec<String> = configuration
            .lines()
            .map(|line| match line.strip_prefix("plugin = \"plugins/") {
                Some(rest) => format!("{plugins}{}", rest.replacen('"', "'", 1)),
                None => line.to_owned(),
            })
            .collect();
        workplace.write("sigbox.toml", configuration.join("\n"));
        for line in commands.lines() {
            let command = line.split(" #").next().unwrap_or_default().trim();
            if command.is_empty() || command.starts_with('#') {
                continue;
            }
            let arguments = ["cargo run --release -- ", "sigbox "].iter().find_map(|start| command.strip_prefix(start));
            let arguments = arguments.unwrap_or_else(|| panic!("{command:?} does not run sigbox; do not mark it"));
            let in_repository = format!("{}/plugins/", repository().display());
            let arguments = arguments.split_whitespace().map(|word| match word.strip_prefix("plugins/") {
                Some(plugin) => format!("{in_repository}{plugin}"),
                None => word.to_owned(),
            });
            let arguments: Vec<String> = arguments.collect();
            workplace.succeed(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}
