//! The guide for authors of backends: its code is real, and its configurations work.

use std::{collections::BTreeMap, fs};

use crate::{
    crash::chaos::undisturbed,
    servers::{Postgres, PostgresSetup, Redis, RedisSetup, S3},
    support::{Configuration, Workplace, of_traders, plugin, repository},
};

/// Blocks of code after a comment `<!-- {marker}: … -->`, each with the rest of its comment.
fn blocks(marker: &str) -> Vec<(String, String)> {
    let guide = fs::read_to_string(repository().join("docs/backends/README.md")).unwrap();
    let mut found = Vec::new();
    let mut rest = guide.as_str();
    while let Some((_, after)) = rest.split_once(&format!("<!-- {marker}: ")) {
        let (name, after) = after.split_once(" -->\n```").expect("a code block follows");
        let (block, after) = after.split_once("\n```\n").expect("it ends");
        let (_, block) = block.split_once('\n').expect("it has lines");
        found.push((name.to_owned(), block.to_owned()));
        rest = after;
    }
    found
}

#[test]
fn code_in_the_guide_is_code_of_the_plugins() {
    let blocks = blocks("from");
    assert!(blocks.len() > 3, "{blocks:?}");
    for (file, code) in blocks {
        let source = fs::read_to_string(repository().join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(&code), "this is not in {file}:\n{code}");
    }
}

/// The plugins a block names are built, and its servers are ours.
fn localized(block: &str, ports: &BTreeMap<u16, u16>) -> String {
    let mut text = String::new();
    for line in block.lines() {
        let line = match line.strip_prefix("plugin = \"plugins/").and_then(|rest| rest.strip_suffix('"')) {
            Some(folder) => format!("plugin = '{}'", plugin(folder).display()),
            None => ports.iter().fold(line.to_owned(), |line, (usual, port)| {
                line.replace(&format!("localhost:{usual}"), &format!("localhost:{port}"))
            }),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[test]
fn every_configuration_of_the_guide_keeps_what_files_keep() {
    let patterns = blocks("pattern");
    let names: Vec<&str> = patterns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["one for everything", "a namespace for each", "hybrid", "sealed"]);
    let (Some(postgres), Some(s3)) = (Postgres::start(PostgresSetup::default()), S3::start()) else { return };
    let undisturbed = undisturbed(&Configuration::sma_cross(2));
    for (name, block) in &patterns {
        let Some(redis) = Redis::start(RedisSetup::default()) else { return };
        let ports = BTreeMap::from([(6379, redis.port()), (5432, postgres.port()), (9000, s3.port())]);
        let section = localized(block, &ports);
        let workplace = Workplace::new(&Configuration::sma_cross(2).section(&section));
        workplace.write("keys.txt", "first:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n");
        let run = |arguments: &[&str]| {
            let mut command = workplace.command(arguments);
            command.env("PGPASSWORD", Postgres::PASSWORD);
            command.env("S3_ACCESS_KEY_ID", S3::ACCESS_KEY_ID).env("S3_SECRET_ACCESS_KEY", S3::SECRET_ACCESS_KEY);
            let output = command.output().expect("the command starts");
            assert!(output.status.success(), "{name}: {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        run(&["live"]);
        let told = |workplace: &Workplace| of_traders(&workplace.read("dump/data/events.jsonl"));
        assert_eq!(told(&workplace), told(&undisturbed), "{name}");
        let kept = redis.ask(&["info", "keyspace"]);
        assert_eq!(kept.contains("db1:"), *name == "a namespace for each", "{name}: {kept}");
        for domain in ["signal", "schedule", "risk", "partial"] {
            let bound = block.lines().find_map(|line| line.strip_prefix(&format!("{domain} = "))).unwrap();
            let store = bound.trim_matches('"');
            if store != "file" {
                let in_files = workplace.documents().into_keys().find(|path| path.starts_with(domain));
                assert_eq!(in_files, None, "{name}");
                run(&["state", "copy", "--from", store, "--to", "file", "--domain", domain]);
            }
        }
        assert_eq!(workplace.documents(), undisturbed.documents(), "{name}");
    }
}
