//! Plugins that misbehave, load badly or look round: what they get, and what everybody else does not notice.

mod cache;
mod contract;
mod field;
mod frozen;
mod live;
mod logs;
mod memory;
mod nonsense;
mod quiet;
mod rows;
mod scripted;
mod source;
mod stores;
mod text_component;
mod used_up;
mod world;
