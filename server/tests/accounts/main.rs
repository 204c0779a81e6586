//! Accounts through the router, over a real database file.

mod database;
mod guesses;
mod machines;
mod secrets;
mod support;
mod tokens;
mod users;
