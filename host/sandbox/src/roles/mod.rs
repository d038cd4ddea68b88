//! What plugins are for. A role has a world, a context, a `link` and what its callers use; roles share nothing but
//! [`Guest`](crate::guest::Guest).

pub(crate) mod backend;
pub(crate) mod strategy;
