//! Players that show what they read when it is due by their own clocks, and a live source whose pictures and beeps say
//! when they were made: what a beginning costs a reader in latency and lip sync is read off what players present.
//!
//! [`source`] makes and publishes, [`player`] starts a program and listens to what it puts out ([`tap`]), [`timeline`] holds
//! what was presented when and says how late that was, [`plays`] knows when the server has granted PLAY, and [`figures`] is
//! the table. All times are seconds since the source began.

pub mod figures;
pub mod player;
pub mod plays;
pub mod source;
pub mod tap;
pub mod timeline;
