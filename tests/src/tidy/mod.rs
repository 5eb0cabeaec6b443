//! Reading the repository's own sources: its files, and what of a Rust file is code, comment or text in quotes.
//!
//! Serves the style checks of `tests/tidy.rs`. It knows as much of Rust's grammar as those need: where comments,
//! literals and functions begin and end. Deliberately absent: macros, which are read as they are written.

pub mod lexer;
pub mod manifest;
pub mod workspace;
