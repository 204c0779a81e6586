//! The management API through the real router, over a real database file.

mod boot;
mod document;
mod isolation;
mod lists;
mod server;
mod tasks;
