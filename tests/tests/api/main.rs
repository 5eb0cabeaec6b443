//! The Control API of a whole server with publishers and readers: every route and field that MediaMTX has for what exists
//! here (`fields.csv`), with its status and type; paging; kicking; and the API's own description of itself.
//!
//! The server runs in this process. What this suite cannot catch: what real dashboards make of the answers.

mod fields;
mod kicks;
mod lists;
mod paths;
mod stage;
mod table;
