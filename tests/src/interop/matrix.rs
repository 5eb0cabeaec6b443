//! The settings under which the clips are carried, chosen so that each pair of values meets in at least one case.

/// One setting of the daemon and of the way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Number of shards.
    pub shards: usize,
    /// `driver` of the configuration.
    pub driver: &'static str,
    /// Loopback address in URLs.
    pub host: &'static str,
    /// `moveLive` of the configuration: whether a publisher's connection moves to the shard that owns its path.
    pub move_live: &'static str,
}

const fn case(
    shards: usize,
    driver: &'static str,
    host: &'static str,
    move_live: &'static str,
) -> Case {
    Case {
        shards,
        driver,
        host,
        move_live,
    }
}

const IPV4: &str = "127.0.0.1";
const IPV6: &str = "[::1]";

/// Six cases, the fewest that three numbers of shards with two drivers allow.
pub const CASES: [Case; 6] = [
    case(1, "io_uring", IPV4, "yes"),
    case(1, "epoll", IPV6, "no"),
    case(2, "io_uring", IPV6, "no"),
    case(2, "epoll", IPV4, "yes"),
    case(4, "io_uring", IPV4, "no"),
    case(4, "epoll", IPV6, "yes"),
];

impl Case {
    /// The daemon's configuration. Readers spread over the shards at once, so that every ring is used.
    pub fn configuration(&self) -> String {
        let Self {
            shards,
            driver,
            move_live,
            ..
        } = self;
        format!(
            "shards: {shards}\ndriver: {driver}\nmoveLive: {move_live}\ngatherReaders: 0\n\
             paths:\n  all_others:\n"
        )
    }

    /// Short name, fit for a file.
    pub fn name(&self) -> String {
        let family = if self.host == IPV4 { "ipv4" } else { "ipv6" };
        format!(
            "{}-{}-{family}-move-{}",
            self.shards, self.driver, self.move_live
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(case: &Case) -> [String; 4] {
        let Case {
            shards,
            driver,
            host,
            move_live,
        } = *case;
        [
            shards.to_string(),
            driver.to_owned(),
            host.to_owned(),
            move_live.to_owned(),
        ]
    }

    #[test]
    fn each_pair_of_values_meets_in_a_case() {
        let all: Vec<[String; 4]> = CASES.iter().map(values).collect();
        for left in 0..4 {
            for right in left + 1..4 {
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
        for value in ["1", "2", "4", "io_uring", "epoll", IPV4, IPV6, "yes", "no"] {
            assert!(all.iter().any(|found| found == value), "{value}");
        }
    }
}
