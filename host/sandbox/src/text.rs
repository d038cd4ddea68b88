//! Texts of guests, made safe to show to people.

use crate::limits::TEXT_BYTES;

/// A guest's text as one printable line of at most about `most_bytes` bytes. Characters that could forge lines, colour
/// a terminal or turn the direction of text are escaped. A longer text is cut, so that it cannot fill a disk, and ends
/// with `…`.
pub(super) fn printable(text: &str, most_bytes: usize) -> String {
    let mut line = String::new();
    for character in text.chars() {
        if line.len() >= most_bytes {
            line.push('…');
            break;
        }
        if is_treacherous(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// [`printable`] at the length of a message.
pub(super) fn message(text: &str) -> String {
    printable(text, TEXT_BYTES)
}

/// A guest's words for people, which may have several lines: a traceback has. Each line is as of [`printable`]; those after
/// the first are indented, so that none of them passes for a line of the host.
pub(super) fn words(text: &str) -> String {
    let mut words = String::new();
    for line in text.trim_end().lines() {
        let left = TEXT_BYTES.saturating_sub(words.len());
        if left == 0 {
            if !words.ends_with('…') {
                words.push('…');
            }
            break;
        }
        if !words.is_empty() {
            words.push_str("\n    ");
        }
        words.push_str(&printable(line, left));
    }
    words
}

/// An error with its causes on one line, the root cause first. The other causes only say where it happened, and may be
/// long.
pub(super) fn one_line(error: &wasmtime::Error) -> String {
    let mut causes: Vec<String> = error.chain().map(|cause| cause.to_string().trim().replace('\n', " | ")).collect();
    let Some(first) = causes.pop() else { return String::new() };
    causes.insert(0, first);
    message(&causes.join(": "))
}

/// How a guest trapped, and in which of its functions, the innermost first.
pub(super) fn trap(error: &wasmtime::Error) -> String {
    let cause = error.root_cause().to_string();
    let mut line = cause.strip_prefix("wasm trap: ").unwrap_or(&cause).to_owned();
    // Only the text of a backtrace has demangled names. It has one line for each frame:
    // `0: 0x28b6a - plugin.wasm!name`.
    let backtrace = error.downcast_ref::<wasmtime::WasmBacktrace>().map(ToString::to_string).unwrap_or_default();
    // The module that asks strategies in a backtest is the host's, and is not there in a live run.
    let frames = backtrace.lines().filter_map(|line| line.split_once('!'));
    let frames = frames.filter(|(module, _)| !module.ends_with(" sigbox-asker")).map(|(_, name)| name);
    let mut names: Vec<&str> = frames.map(without_hash).collect();
    // A recursion is one function many times in a row; it is named once.
    names.dedup();
    for (index, name) in names.into_iter().enumerate() {
        line.push_str(if index == 0 { ", in " } else { " < " });
        line.push_str(name);
    }
    message(&line)
}

/// A function's name without the hash that Rust's older mangling adds.
fn without_hash(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => name,
        Some(_) | None => name,
    }
}

/// Whether a character changes more than its own place: ends lines, controls terminals or reorders the text around it.
fn is_treacherous(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_guest_is_one_printable_line_of_bounded_length() {
        let cases = [
            ("a plain line, ü 中 \"quoted\" \\", "a plain line, ü 中 \"quoted\" \\"),
            ("a\r\nb\u{1b}[31m\0\u{9b}", "a\\r\\nb\\u{1b}[31m\\u{0}\\u{9b}"),
            ("a\u{2028}b\u{202e}c", "a\\u{2028}b\\u{202e}c"),
            ("", ""),
        ];
        for (text, shown) in cases {
            assert_eq!(message(text), shown);
        }
        let long = printable(&"\n".repeat(1000), 100);
        assert!(long.len() <= 100 + "\\n…".len() && long.ends_with('…'), "{long}");
    }

    #[test]
    fn words_of_several_lines_are_indented_and_bounded() {
        let cases = [
            ("one line", "one line"),
            ("first\n  second\r\nthird\n\n", "first\n      second\n    third"),
            ("a\u{1b}[31m\nerror: forged", "a\\u{1b}[31m\n    error: forged"),
            ("\n\nlate", "late"),
            ("", ""),
        ];
        for (text, shown) in cases {
            assert_eq!(words(text), shown);
        }
        let long = words(&"0123456789\n".repeat(1000));
        assert!(long.len() <= TEXT_BYTES + 20 && long.ends_with('…'), "{long}");
    }

    #[test]
    fn the_cause_of_an_error_comes_before_where_it_happened() {
        let error = wasmtime::Error::msg("out of luck").context("in a\n  in b");
        assert_eq!(one_line(&error), "out of luck: in a |   in b");
    }
}
