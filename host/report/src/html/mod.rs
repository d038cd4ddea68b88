//! Reports as web pages. Each page is one file that opens from disk, without a network.
//!
//! All numbers are computed here; the scripts in `assets/` draw them, sort them and filter them.

mod data;
mod list;
mod page;
mod run;
mod sweep;

use maud::{Markup, html};
use sigbox_engine::{outcome::CloseReason, stats::Unit};

pub use self::{run::html, sweep::sweep_html};
use crate::text;

/// Why a position was closed, in words.
const fn reason(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::TakeProfit => "take-profit",
        CloseReason::StopLoss => "stop-loss",
        CloseReason::TimeExpired => "expired",
        CloseReason::Liquidation => "liquidated",
        CloseReason::Closed => "closed by hand",
    }
}

/// A number in a table; gains and losses have their own colours and signs.
fn number_cell(unit: Unit, value: Option<f64>) -> Markup {
    html! { td class=(number_class(unit, value)) { (text::number(unit, value)) } }
}

fn number_class(unit: Unit, value: Option<f64>) -> &'static str {
    match (unit, value) {
        (_, None) => "missing",
        (Unit::Gain | Unit::Money, Some(value)) if value > 0.0 => "up",
        (Unit::Gain | Unit::Money, Some(value)) if value < 0.0 => "down",
        (_, Some(_)) => "",
    }
}
