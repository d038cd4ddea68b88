//! Lists that `table.js` fills: filters, headings to sort by, and a pager.

use maud::{Markup, html};

/// A column: the key of its values in the data, its heading, and the kind of its values (`format.js`).
pub(super) struct Column {
    pub(super) key: String,
    pub(super) heading: String,
    pub(super) kind: &'static str,
}

/// A filter that shows the rows whose `key` is the chosen option. An option is the value of `key` and the text that is
/// shown for it.
pub(super) struct Choice {
    pub(super) key: String,
    pub(super) label: String,
    pub(super) options: Vec<(String, String)>,
}

impl Column {
    pub(super) fn new(key: impl Into<String>, heading: impl Into<String>, kind: &'static str) -> Self {
        Self { key: key.into(), heading: heading.into(), kind }
    }
}

impl Choice {
    /// A choice between texts that are shown as they are.
    pub(super) fn between<T: Into<String>>(
        key: impl Into<String>,
        label: impl Into<String>,
        texts: impl IntoIterator<Item = T>,
    ) -> Self {
        let option = |text: T| {
            let text = text.into();
            (text.clone(), text)
        };
        Self { key: key.into(), label: label.into(), options: texts.into_iter().map(option).collect() }
    }
}

/// The list without its rows. `what` says what the rows are, for people who cannot see the page.
pub(super) fn list(id: &str, what: &str, columns: &[Column], choices: &[Choice]) -> Markup {
    html! {
        div id=(id) hidden {
            form class="controls" {
                label { "Search " input type="search" name="search" placeholder="any text"; }
                @for Choice { key, label, options } in choices {
                    @if options.len() > 1 {
                        label {
                            (label) " "
                            select name=(key) {
                                option value="" { "all" }
                                @for (value, shown) in options { option value=(value) { (shown) } }
                            }
                        }
                    }
                }
                label {
                    "Rows "
                    select name="rows" { @for rows in [25, 100, 500] { option { (rows) } } }
                }
            }
            div class="scroll" tabindex="0" role="region" aria-label=(what) {
                table class="list" {
                    thead {
                        tr {
                            @for Column { key, heading, kind } in columns {
                                th scope="col" class=(kind) data-key=(key) data-kind=(kind) aria-sort="none" {
                                    button type="button" { (heading) }
                                }
                            }
                        }
                    }
                    tbody {}
                }
            }
            p class="pager" {
                button type="button" class="back" aria-label="Rows before" { "‹" }
                span class="count" role="status" {}
                button type="button" class="forward" aria-label="Rows after" { "›" }
            }
        }
        noscript { p { "The list needs JavaScript." } }
    }
}
