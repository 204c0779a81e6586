//! Who may do what: every path of the router, asked by everyone there is.

mod actors;
mod check;
mod document;
mod ended;
mod fixture;
mod matrix;
mod stopping;
mod table;
mod world;
