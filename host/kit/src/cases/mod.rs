//! The cases, one file for each group.

mod crashes;
mod description;
mod documents;
mod hosts;
mod instances;
mod listings;
mod names;
mod permissions;
mod secrets;
mod servers;

use super::case::Case;

/// Every case, in the order in which they run. Simple cases come first, so that the first failure is the one to look
/// at.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        description::CASES,
        documents::CASES,
        names::CASES,
        listings::CASES,
        instances::CASES,
        hosts::CASES,
        crashes::CASES,
        servers::CASES,
        permissions::CASES,
        // Last, because these search everything that was said in the cases before.
        secrets::CASES,
    ]
    .into_iter()
    .flatten()
}
