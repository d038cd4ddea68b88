//! Texts of guests that try to be more than text: wherever they end up in a report, they are text there.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use serde_json::Value;
use sigbox_report::{Report, csv, json, markdown, text};

use super::example;

/// What breaks out of something somewhere, or tries to.
const TEXTS: [&str; 24] = [
    "a | b",
    "a \\| b \\\\| c \\\\\\| d",
    "line\nbreak\r\n\n# heading",
    "| --- | --- |",
    "<script>alert(1)</script>",
    "<!-- comment",
    "&lt;b&gt; &amp; &#124;",
    "[link](javascript:alert(1))",
    "![image](http://example.com/x.png)",
    "<http://example.com>",
    "*a* _b_ **c** ~~d~~ `e` ``f` $g$",
    "`",
    "```\nfence\n```",
    "[x]: http://example.com \"title\"",
    "=HYPERLINK(\"http://example.com\")",
    "+1+1",
    "-1+1",
    "@SUM(A1:A2)",
    "\t=1+1",
    "'quoted",
    "\u{ff1d}1+1",
    "\"a\",\"b\"\r\n\"c\"",
    "\u{1b}[31mred\u{9b}\u{202e}reversed\u{0}",
    "{\"json\":null}]}\\u0022",
];

/// A report in which every text of a guest or of a file is `text`.
fn report(text: &str) -> Report {
    let mut report = example::report();
    let mut tally = sigbox_engine::stats::Tally::default();
    for row in &mut report.trades {
        for field in [&mut row.id, &mut row.strategy, &mut row.symbol, &mut row.note] {
            text.clone_into(field);
        }
        tally.close(&row.strategy, &row.symbol, &row.trade);
    }
    tally.each(text, text, |summary| summary.reject(text));
    // A second one, so that parts have rows of their own.
    tally.each("other", "other", |summary| summary.failed += 1);
    report.tally = tally;
    let run = &mut report.run;
    for field in [&mut run.exchange, &mut run.frame, &mut run.version, &mut run.configuration, &mut run.events] {
        text.clone_into(field);
    }
    for component in &mut run.components {
        for field in [&mut component.strategy, &mut component.plugin, &mut component.settings] {
            text.clone_into(field);
        }
    }
    for source in &mut run.sources {
        for field in [&mut source.symbol, &mut source.from] {
            text.clone_into(field);
        }
    }
    text.clone_into(&mut report.timings[0].of);
    report
}

/// What a reader of Markdown sees: headings, and the cells of every row of every table.
#[derive(Debug, Default, PartialEq)]
struct Page {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
    code: String,
}

impl Page {
    /// Panics at whatever a report never has.
    fn read(text: &str) -> Self {
        let mut page = Self::default();
        let (mut said, mut in_code) = (String::new(), false);
        for event in
            Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_MATH)
        {
            match event {
                Event::Start(Tag::TableRow | Tag::TableHead) => page.rows.push(Vec::new()),
                Event::Start(Tag::CodeBlock(_)) => in_code = true,
                Event::Start(Tag::Paragraph | Tag::Heading { .. } | Tag::Table(_) | Tag::TableCell) => said.clear(),
                Event::End(TagEnd::TableCell) => page.rows.last_mut().unwrap().push(std::mem::take(&mut said)),
                Event::End(TagEnd::Heading(_)) => page.headings.push(std::mem::take(&mut said)),
                Event::End(TagEnd::CodeBlock) => in_code = false,
                Event::Text(text) if in_code => page.code.push_str(&text),
                Event::Text(text) => said.push_str(&text),
                Event::End(_) | Event::SoftBreak => {}
                other => panic!("{other:?} in\n{text}"),
            }
        }
        page
    }
}

#[test]
fn a_cell_of_a_markdown_table_holds_a_text_and_nothing_else() {
    let plain = Page::read(&markdown(&report("plain")));
    assert!(plain.rows.len() > 60 && plain.code.contains("plain"), "{plain:#?}");
    for text in TEXTS {
        let page = Page::read(&markdown(&report(text)));
        let shown = text::line(text);
        let cell =
            |cell: &String| if cell.contains("plain") { cell.replace("plain", shown.trim()) } else { cell.clone() };
        let headings: Vec<String> = plain.headings.iter().map(cell).collect();
        assert_eq!(page.headings, headings, "{text:?}");
        // The order of the rows is that of the names.
        let sorted = |rows: &[Vec<String>]| {
            let mut rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
            rows.sort();
            rows
        };
        assert_eq!(sorted(&page.rows), sorted(&plain.rows), "{text:?}");
        let code = page.code.trim_end();
        assert_eq!(
            code,
            text.replace("\r\n", "\n").lines().map(show_but_tabs).collect::<Vec<_>>().join("\n").trim_end()
        );
    }
}

/// A line of a configuration as a page shows it.
fn show_but_tabs(line: &str) -> String {
    line.split('\t').map(text::line).collect::<Vec<_>>().join("\t")
}

#[test]
fn a_cell_of_a_csv_file_is_no_formula_and_reads_back() {
    for text in TEXTS {
        let written = csv(&report(text));
        let mut reader = csv::Reader::from_reader(written.as_bytes());
        let header = reader.headers().unwrap().clone();
        let mut count = 0;
        for row in reader.records() {
            let row = row.unwrap_or_else(|error| panic!("{text:?}: {error}"));
            for (name, cell) in header.iter().zip(&row) {
                if ["id", "strategyName", "symbol", "note"].contains(&name) {
                    let first = cell.chars().next().unwrap();
                    assert!(!['=', '+', '-', '@', '\t', '\r', '\u{ff1d}'].contains(&first), "{text:?} became {cell:?}");
                    let read = cell.strip_prefix('\'').unwrap_or(cell);
                    let expected: String = text.chars().map(visible).collect();
                    assert_eq!(read, expected, "{text:?}");
                } else {
                    assert!(!cell.contains(text), "{name}: {cell}");
                }
            }
            count += 1;
        }
        assert_eq!(count, 17, "{text:?}: each trade is one row");
        assert!(!written.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\0']), "it may be shown on a terminal");
    }
}

fn visible(character: char) -> String {
    match character {
        '\u{1b}' | '\u{9b}' | '\u{202e}' | '\0' => character.escape_default().to_string(),
        character => character.to_string(),
    }
}

#[test]
fn json_reads_back_verbatim() {
    for text in TEXTS {
        let read: Value = serde_json::from_str(&json(&report(text))).unwrap();
        let trades = read["trades"].as_array().unwrap();
        assert!(
            trades.iter().all(|trade| ["id", "strategyName", "symbol", "note"].iter().all(|key| trade[key] == text))
        );
        assert_eq!(read["total"]["rejections"][text], 1, "{text:?}");
        assert!(read["pairs"].as_array().unwrap().iter().any(|pair| pair["strategyName"] == text), "{text:?}");
        for key in ["exchangeName", "frameName", "configuration", "events"] {
            assert_eq!(read["run"][key], text, "{text:?}");
        }
    }
}
