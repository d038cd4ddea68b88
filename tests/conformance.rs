//! The conformance list of the specification, each row a test whose name carries the row's id.
//!
//! `conformance/*.md` says which test proves which row, or why a row does not apply here.

mod defend;
mod market;
mod orders;
mod risk;
mod scene;
mod validation;
