//! The settings under which the clips are carried, chosen so that each pair of values meets in at least one case.
//!
//! Within each case every publisher sends both clips and every reader reads them over TCP and UDP, so publishers, their
//! transports, readers, their transports and clips meet in full. Where there is multicast, each clip's group has one
//! reader: programs disturb each other there. GStreamer (1.22) takes its own report, which comes back to it, for another's
//! with the same number and says goodbye, and ffmpeg (5.1) takes anybody's goodbye for the end. Over a cable that is always
//! ffmpeg: GStreamer and VLC hear the groups of all tracks on each of their sockets there, and mix the tracks up.

use super::network::{Family, Ground};
use super::transport::Transport;

/// One setting of the daemon and of the way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Number of shards.
    pub shards: usize,
    /// `driver` of the configuration.
    pub driver: &'static str,
    /// Of the addresses in URLs.
    pub family: Family,
    /// `moveLive` of the configuration: whether a publisher's connection moves to the shard that owns its path.
    pub move_live: &'static str,
    /// The network.
    pub ground: Ground,
    /// How publishers send.
    pub publish_over: Transport,
    /// How programs say who they are.
    pub login: Login,
}

/// How programs say who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// Not at all: everybody may do everything.
    Nobody,
    /// By basic authentication.
    Basic,
    /// By digest authentication.
    Digest,
}

/// The one who may do everything where not everybody may.
const USER: &str = "operator";
const PASSWORD: &str = "s3cret";

type Row = (
    usize,
    &'static str,
    Family,
    &'static str,
    Ground,
    Transport,
    Login,
);

const fn case(row: Row) -> Case {
    let (shards, driver, family, move_live, ground, publish_over, login) = row;
    Case {
        shards,
        driver,
        family,
        move_live,
        ground,
        publish_over,
        login,
    }
}

use Family::{V4, V6};
use Ground::{Cable, Loopback};
use Login::{Basic, Digest, Nobody};
use Transport::{Tcp, Udp};

/// Nine cases, the fewest that three numbers of shards with three logins allow.
pub const CASES: [Case; 9] = [
    case((1, "io_uring", V4, "no", Loopback, Udp, Nobody)),
    case((1, "epoll", V6, "yes", Cable, Tcp, Basic)),
    case((2, "io_uring", V4, "yes", Cable, Tcp, Digest)),
    case((4, "epoll", V6, "no", Loopback, Udp, Digest)),
    case((2, "epoll", V6, "no", Cable, Tcp, Nobody)),
    case((4, "io_uring", V4, "yes", Cable, Udp, Basic)),
    case((2, "io_uring", V6, "no", Loopback, Udp, Basic)),
    case((4, "epoll", V4, "yes", Loopback, Tcp, Nobody)),
    case((1, "io_uring", V4, "yes", Loopback, Udp, Digest)),
];

impl Case {
    /// The daemon's configuration. Readers spread over the shards at once, so that every ring is used, and begin at a key
    /// frame with pictures and sound of one time: all of both is to be there. `rtspclientsink` sends its first 2 s at once,
    /// more than the system's usual buffer holds.
    pub fn configuration(&self) -> String {
        let Self {
            shards,
            driver,
            move_live,
            ..
        } = self;
        format!(
            "shards: {shards}\ndriver: {driver}\nmoveLive: {move_live}\ngatherReaders: 0\n\
             udpReadBufferSize: 2097152\n{}\
             paths:\n  all_others:\n    start: keyFrame\n",
            self.login.configuration()
        )
    }

    /// The server in URLs, with who asks where that has to be said.
    pub fn host(&self) -> String {
        let host = self.ground.host(self.family);
        match self.login {
            Nobody => host,
            Basic | Digest => format!("{USER}:{PASSWORD}@{host}"),
        }
    }

    /// Whether a group can be joined: groups are IPv4's alone.
    pub fn has_multicast(&self) -> bool {
        self.family == V4
    }

    /// Short name, fit for a file.
    pub fn name(&self) -> String {
        let Self {
            shards,
            driver,
            move_live,
            ..
        } = self;
        let family = if self.family == V4 { "ipv4" } else { "ipv6" };
        let ground = if self.ground == Cable { "cable" } else { "lo" };
        let login = match self.login {
            Nobody => "nobody",
            Basic => "basic",
            Digest => "digest",
        };
        let from = self.publish_over.name();
        format!("{shards}-{driver}-{family}-move-{move_live}-{ground}-from-{from}-{login}")
    }
}

impl Login {
    fn configuration(self) -> String {
        let method = match self {
            Self::Nobody => return String::new(),
            Self::Basic => "basic",
            Self::Digest => "digest",
        };
        format!(
            "rtspAuthMethods: [{method}]\nauthInternalUsers:\n- user: {USER}\n  pass: {PASSWORD}\n  \
             permissions:\n  - action: publish\n  - action: read\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: usize = 7;

    fn values(case: &Case) -> [String; COLUMNS] {
        let Case {
            shards,
            driver,
            family,
            move_live,
            ground,
            publish_over,
            login,
        } = *case;
        [
            shards.to_string(),
            driver.to_owned(),
            format!("{family:?}"),
            move_live.to_owned(),
            format!("{ground:?}"),
            publish_over.name().to_owned(),
            format!("{login:?}"),
        ]
    }

    #[test]
    fn each_pair_of_values_meets_in_a_case() {
        let all: Vec<[String; COLUMNS]> = CASES.iter().map(values).collect();
        for left in 0..COLUMNS {
            for right in left + 1..COLUMNS {
                for one in &all {
                    for other in &all {
                        let pair = (&one[left], &other[right]);
                        let meets = all.iter().any(|row| (&row[left], &row[right]) == pair);
                        assert!(meets, "{pair:?} never meet");
                    }
                }
            }
        }
    }

    #[test]
    fn no_value_is_missing() {
        let all: Vec<String> = CASES.iter().flat_map(values).collect();
        let due = [
            "1", "2", "4", "io_uring", "epoll", "V4", "V6", "yes", "no", "Loopback", "Cable",
            "tcp", "udp", "Nobody", "Basic", "Digest",
        ];
        for value in due {
            assert!(all.iter().any(|found| found == value), "{value}");
        }
    }
}
