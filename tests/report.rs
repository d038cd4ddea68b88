//! Reports: what the events of a run amount to, and what becomes of it on paper.

mod command;
mod example;
mod ledger;
mod renderings;
mod unfriendly;
