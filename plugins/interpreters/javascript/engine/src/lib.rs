//! JavaScript for plugins: QuickJS, the modules of an author, and the host's interfaces as modules.

mod convert;
mod import;
mod modules;
mod runtime;
mod typescript;

pub use convert::{Mismatch, Wit, field, flag, object, string, tagged, text};
pub use import::{
    Import, Item, Make, Native, Resource, answer, argument, class, give, lent, lent_list, outcome, take, this,
};
pub use modules::Files;
pub use rquickjs::{Ctx, Result as JsResult, Value};
pub use runtime::{Guest, Thrown};
