//! The cases, each file a subject.

mod crashes;
mod description;
mod documents;
mod instances;
mod listings;
mod names;
mod permissions;
mod secrets;
mod servers;

use super::case::Case;

/// Every case, in the order they are run: what is simple first, so that the first failure is the one to look at.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        description::CASES,
        documents::CASES,
        names::CASES,
        listings::CASES,
        instances::CASES,
        crashes::CASES,
        servers::CASES,
        permissions::CASES,
        // Last, because it looks at everything that was said before.
        secrets::CASES,
    ]
    .into_iter()
    .flatten()
}
