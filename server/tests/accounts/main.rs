//! Accounts through the router, over a real database file.

mod claims;
mod database;
mod guesses;
mod machines;
mod secrets;
mod support;
mod tokens;
mod users;
