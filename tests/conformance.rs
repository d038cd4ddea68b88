//! The checklist of the specification, sections 13.1 to 13.5, 13.7 and 13.8: each id has a test whose name carries it,
//! or a reason why there is none.
//!
//! `conformance/*.md` list them, `check.rs` sees to it that the lists are right, and the other modules hold the tests
//! that are not told elsewhere already. Stories are written in the words of `scene.rs` (backtests) and `stage.rs` (live
//! runs that are ended and started again).

mod check;
mod defend;
mod hazards;
mod lifecycle;
mod market;
mod orders;
mod patience;
mod restore;
mod risk;
mod scene;
mod sequence;
mod stage;
mod validation;
