//! The trades as CSV, for spreadsheets and data frames.

use csv::{Terminator, WriterBuilder};

use crate::{Report, TradeRow, text};

/// The columns, under the names of events.
const COLUMNS: [&str; 19] = [
    "id",
    "strategyName",
    "symbol",
    "position",
    "scheduledAt",
    "pendingAt",
    "closeTimestamp",
    "priceOpen",
    "priceTakeProfit",
    "priceStopLoss",
    "priceClose",
    "closeReason",
    "multiplier",
    "cost",
    "pnlPercentage",
    "pnlCost",
    "peakPnl",
    "fallPnl",
    "note",
];

/// The trades as CSV (RFC 4180), one a row below a header. Times are ISO 8601. Numbers are written so that they read
/// back to the same bits. A missing value is empty.
///
/// A text that a spreadsheet would take for a formula gets an apostrophe before it, and so does a text that begins with
/// an apostrophe. So a program that removes one apostrophe from the beginning gets the text. Control characters are
/// escaped, except tabs and line ends.
#[must_use]
pub fn csv(report: &Report) -> String {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    let written = "rows go into memory, and each has every column";
    writer.write_record(COLUMNS).expect(written);
    for TradeRow {
        id,
        strategy,
        symbol,
        side,
        scheduled_ms,
        open_price,
        take_profit,
        stop_loss,
        multiplier,
        cost,
        note,
        trade,
    } in &report.trades
    {
        let row: [String; COLUMNS.len()] = [
            cell(id),
            cell(strategy),
            cell(symbol),
            side.name().to_owned(),
            text::time(*scheduled_ms),
            text::time(trade.opened_ms),
            text::time(trade.closed_ms),
            open_price.to_string(),
            take_profit.to_string(),
            stop_loss.to_string(),
            trade.close_price.to_string(),
            trade.reason.name().to_owned(),
            multiplier.to_string(),
            cost.to_string(),
            number(Some(trade.result_percent)),
            number(Some(trade.result_cost)),
            number(trade.peak_percent),
            number(trade.fall_percent),
            cell(note),
        ];
        writer.write_record(&row).expect(written);
    }
    String::from_utf8(writer.into_inner().expect(written)).expect("every field is text")
}

fn number(number: Option<f64>) -> String {
    number.filter(|number| number.is_finite()).map(|number| number.to_string()).unwrap_or_default()
}

/// A text of a guest, as a cell that a spreadsheet never takes for a formula: see [`csv()`].
#[must_use]
pub fn cell(text: &str) -> String {
    let text = text::printable(text, |character| matches!(character, '\t' | '\r' | '\n'));
    let is_taken_for_a_formula = text.starts_with([
        '=', '+', '-', '@', '\t', '\r', '\n', '\'', // and the same in full width
        '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ]);
    if is_taken_for_a_formula { format!("'{text}") } else { text }
}
