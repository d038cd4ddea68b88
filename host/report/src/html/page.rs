//! The HTML document of a report, which needs no other file.
//!
//! Names, notes and settings come from strategies, which are not trusted. Text is escaped by the templates. Data is
//! JSON in an element that is not executed. The policy allows the scripts and the style below, and forbids every other
//! script, style and request.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// TradingView's charts. See the folder for the licence.
const CHARTS: &str = include_str!("../../assets/vendor/lightweight-charts/lightweight-charts.standalone.production.js");
const STYLE: &str = include_str!("../../assets/page.css");
/// The scripts that all pages share, in this order.
const SHARED: [&str; 4] = [
    CHARTS,
    include_str!("../../assets/format.js"),
    include_str!("../../assets/table.js"),
    include_str!("../../assets/chart.js"),
];

/// The document, made from its title, its body, the data that its scripts draw, and those scripts.
pub(super) fn page(title: &str, body: &Markup, data: &impl Serialize, scripts: &[&str]) -> String {
    let scripts: Vec<&str> = SHARED.iter().chain(scripts).copied().collect();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy(&scripts));
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                (footer())
                script type="application/json" id="data" { (PreEscaped(embedded(data))) }
                @for script in scripts {
                    script { (PreEscaped(script)) }
                }
            }
        }
    }
    .into_string()
}

/// The attribution that the licence of the charts asks for.
fn footer() -> Markup {
    html! {
        footer {
            p {
                "Made by sigbox " (env!("CARGO_PKG_VERSION")) ". All times are UTC. Results are after fees and "
                "slippage; what was is no promise of what will be."
            }
            p {
                "Charts: TradingView Lightweight Charts™, Copyright © 2026 TradingView, Inc., "
                a href="https://www.tradingview.com/" rel="noopener noreferrer" { "www.tradingview.com" }
                ", under the Apache License 2.0."
            }
        }
    }
}

/// The Content-Security-Policy, which allows only these scripts and the style.
fn policy(scripts: &[&str]) -> String {
    let hash = |text: &&str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)));
    let scripts: Vec<String> = scripts.iter().map(hash).collect();
    format!(
        "default-src 'none'; script-src {}; style-src {}; base-uri 'none'; form-action 'none'",
        scripts.join(" "),
        hash(&STYLE)
    )
}

/// JSON for a script element: it can neither end the element nor begin a comment.
fn embedded(data: &impl Serialize) -> String {
    let json = serde_json::to_string(data).expect("numbers, texts and lists are JSON");
    // In JSON these characters occur only in texts, where they may be written like this.
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_leave_its_element_and_reads_back() {
        let hostile = "</script><!--<script>\u{2028}\u{2029}\0\"&'";
        let text = embedded(&[hostile]);
        assert!(!text.contains(['<', '\u{2028}', '\u{2029}', '\0']), "{text}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), [hostile]);
    }

    #[test]
    fn what_is_inlined_can_be_inlined() {
        for script in SHARED {
            assert!(!script.contains("</script") && !script.contains("<!--") && !script.contains('\r'));
        }
        assert!(!STYLE.contains("</") && !STYLE.contains('\r'));
    }

    #[test]
    fn vendored_files_are_what_their_list_of_digests_says() {
        let digest: String = Sha256::digest(CHARTS).iter().map(|byte| format!("{byte:02x}")).collect();
        let listed = include_str!("../../assets/vendor/SHA256SUMS");
        let line = format!("{digest}  lightweight-charts/lightweight-charts.standalone.production.js");
        assert!(listed.lines().any(|listed| listed == line), "{line}");
    }
}
