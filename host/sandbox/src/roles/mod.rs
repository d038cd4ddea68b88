//! The roles of plugins. Each role has a world, a context, a `link` and the types that its callers use. Roles share
//! only [`Guest`](crate::guest::Guest).

pub(crate) mod backend;
pub(crate) mod strategy;
