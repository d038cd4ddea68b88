//! TypeScript: types are replaced by blanks, so that every line and column stays where it was. This is what Node does.

use std::{cell::RefCell, rc::Rc};

use swc_common::{
    BytePos, SourceMap,
    errors::{DiagnosticBuilder, Emitter, Handler},
    sync::Lrc,
};
use swc_ts_fast_strip::{ErrorCode, Mode, Options, operate};

use crate::modules;

/// What is wrong with a text of TypeScript.
#[derive(Debug, PartialEq)]
pub(crate) struct Problem {
    pub(crate) message: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// The text without its types.
///
/// # Errors
/// When it cannot be read, or has something that is not only a type, such as an enum.
pub(crate) fn strip(text: &str) -> Result<String, Problem> {
    let found: Rc<RefCell<Option<Found>>> = Rc::default();
    let map: Lrc<SourceMap> = Lrc::default();
    let handler = Handler::with_emitter(true, false, Box::new(First(Rc::clone(&found))));
    let options =
        Options { module: Some(true), mode: Mode::StripOnly, deprecated_ts_module_as_error: Some(true), ..defaults() };
    operate(&map, &handler, text.to_owned(), options).map(|output| output.code).map_err(|error| {
        let (message, at) = found.take().unwrap_or((error.message, None));
        // The first byte of a text has the position 1.
        let at = at.map_or(0, |BytePos(at)| (at as usize).saturating_sub(1).min(text.len()));
        let (line, column) = modules::place(text, text.floor_char_boundary(at));
        let message = match error.code {
            ErrorCode::UnsupportedSyntax => {
                format!("{}. sigbox leaves types out and translates nothing", message.trim_end_matches('.'))
            }
            _ => message,
        };
        Problem { message, line, column }
    })
}

fn defaults() -> Options {
    // Decorators are refused by QuickJS, which names the place.
    Options::default()
}

/// Keeps the first problem.
struct First(Rc<RefCell<Option<Found>>>);

/// A message and where it is about.
type Found = (String, Option<BytePos>);

impl Emitter for First {
    fn emit(&mut self, problem: &mut DiagnosticBuilder<'_>) {
        let at = problem.span.primary_span().map(|span| span.lo);
        self.0.borrow_mut().get_or_insert_with(|| (problem.message(), at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_become_blanks() {
        for (typescript, javascript) in [
            ("const a: number = 1;", "const a         = 1;"),
            ("import type { A } from './a';\nlet b = 1 as A;", ";                            \nlet b = 1     ;"),
            (
                "interface Á { x: number }\nexport const f = <T,>(x: T): T => x!;",
                ";                        \nexport const f =     (x   )    => x ;",
            ),
            ("import { type A, b } from './a';", "import {         b } from './a';"),
        ] {
            let stripped = strip(typescript).unwrap();
            assert_eq!(stripped.trim_end(), javascript.trim_end(), "{typescript}");
        }
    }

    #[test]
    fn what_is_not_only_a_type_is_refused_with_its_place() {
        for (text, place, words) in [
            ("let a = 1;\n  enum Side { Long, Short }", (2, 3), "enum"),
            ("namespace N { export const a = 1; }", (1, 1), "namespace"),
            ("class A { constructor(private x: number) {} }", (1, 31), "parameter property"),
            ("let é = 1; let a: = 2;", (1, 20), ""),
        ] {
            let problem = strip(text).unwrap_err();
            assert_eq!((problem.line, problem.column), place, "{}", problem.message);
            assert!(problem.message.contains(words), "{}", problem.message);
        }
    }
}
