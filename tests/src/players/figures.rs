//! What was measured of one player under one beginning, and the table of all.

use std::fmt;

use super::player::{Player, Playing};
use super::source::{GROUP_SECONDS, Order};
use super::timeline::Timeline;
use crate::interop::transport::Transport;

/// The moment whose latency counts, after PLAY.
const AFTER_PLAY_S: f64 = 5.0;
/// It is later for a player that waited for its first picture: a player needs some seconds to find its pace.
const AFTER_FIRST_PICTURE_S: f64 = 3.0;
/// What is presented until so long after that moment is looked at too.
const REACH_S: f64 = 0.6;

/// Where a reader's stream begins, as the configuration says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Start {
    /// `live`.
    Live,
    /// `keyFrame`.
    KeyFrame,
    /// `gop`.
    Gop,
    /// `catchUp`.
    CatchUp,
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Case {
    /// By whom.
    pub player: Player,
    /// Over what.
    pub transport: Transport,
    /// Of which pictures.
    pub order: Order,
    /// From where.
    pub start: Start,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// From PLAY to the first picture that was presented.
    pub first_picture_s: f64,
    /// How late pictures are some 5 s after PLAY.
    pub latency_s: f64,
    /// By how much sound is later than pictures then.
    pub sound_lag_s: f64,
}

impl Start {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Live, Self::KeyFrame, Self::Gop, Self::CatchUp];

    /// As the configuration says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::KeyFrame => "keyFrame",
            Self::Gop => "gop",
            Self::CatchUp => "catchUp",
        }
    }
}

impl Case {
    /// The path on which its stream is published.
    pub fn path(&self) -> String {
        format!("{}/{}", self.order.name(), self.start.name())
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            player,
            transport,
            order,
            start,
        } = self;
        let (player, over) = (player.name(), transport.name());
        write!(
            f,
            "{player:9} {over:3} {:9} {:8}",
            order.name(),
            start.name()
        )
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            first_picture_s,
            latency_s,
            sound_lag_s,
        } = self;
        let lag_ms = sound_lag_s * 1000.0;
        write!(
            f,
            "{first_picture_s:9.2} s {latency_s:9.2} s {lag_ms:+9.0} ms"
        )
    }
}

/// Names the columns of a case and its figures.
pub const HEADING: &str =
    "player    via pictures  start     first picture     latency   sound behind";

/// The moment that counts for a player that was granted PLAY then, once it presents.
pub fn moment_s(play_s: f64, presented: &Timeline) -> Option<f64> {
    let first = presented.pictures.first()?;
    Some((play_s + AFTER_PLAY_S).max(first.at_s + AFTER_FIRST_PICTURE_S))
}

/// Whether all that counts has been presented by now.
pub fn is_complete(play_s: f64, presented: &Timeline, now_s: f64) -> bool {
    moment_s(play_s, presented).is_some_and(|moment_s| now_s > moment_s + REACH_S)
}

/// Ends the player and measures; what is missing if it cannot be told.
///
/// # Errors
/// With what is missing.
pub fn measure(playing: Playing, play_s: f64) -> Result<Figures, String> {
    let (presented, recorded) = playing.stop().map_err(|error| error.to_string())?;
    let moment_s = moment_s(play_s, &presented).ok_or("no picture")?;
    let latency_s = presented.latency_s(moment_s);
    let sound_lag_s = match recorded {
        Some(recorded) => end_sound_lag_s(recorded, play_s),
        None => presented.sound_lag_s(moment_s),
    };
    let first = presented.pictures.first().ok_or("no picture")?;
    Ok(Figures {
        first_picture_s: first.at_s - play_s,
        latency_s: latency_s.ok_or("no pictures when they count")?,
        sound_lag_s: sound_lag_s.ok_or_else(|| format!("no beeps: {:?}", presented.beeps.len()))?,
    })
}

/// Lip sync at the end of what VLC has recorded. Its timeline begins at 0; it is set behind the moments at which its pictures
/// were made, so that numbers mean what they meant then.
fn end_sound_lag_s(mut recorded: Timeline, play_s: f64) -> Option<f64> {
    let begin_s = play_s + GROUP_SECONDS as f64;
    for picture in &mut recorded.pictures {
        picture.at_s += begin_s;
    }
    for beep in &mut recorded.beeps {
        beep.at_s += begin_s;
    }
    let end_s = recorded.pictures.last()?.at_s;
    recorded.sound_lag_s(end_s - 1.0)
}
