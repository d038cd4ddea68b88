//! Write sigbox plugins in Rust.
//!
//! A plugin depends on this crate, exports one type, and is built for `wasm32-wasip2`; the result is the component sigbox
//! loads. The plugin chooses its world by what it names:
//!
//! * a strategy implements [`strategy::Strategy`] and names the type in [`export_strategy!`];
//! * a persistence backend implements [`persistence::Backend`] and names the type in [`export_backend!`];
//! * a backend that keeps two hosts apart implements [`persistence::Fenced`] too and names the type in
//!   [`export_fenced_backend!`] instead;
//! * a backend that keeps its documents in another store calls [`persistence::inner`] besides.
//!
//! What a plugin does not name adds nothing to its component: an export comes from its macro alone, and the linker leaves
//! out an import that nobody calls. The crate has no feature for a world, because cargo adds up the features of plugins
//! that are built together, and each plugin would get the exports of all.

pub mod persistence;
pub mod strategy;
