//! The management API through the real router, over a real database file.

mod boot;
mod document;
mod isolation;
mod lists;
mod media;
mod server;
mod tasks;
