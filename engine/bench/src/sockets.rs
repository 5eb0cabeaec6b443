//! What the send queues of a server's connections take in the kernel, by `ss`, which asks the kernel for all of them at once.
//! It is started once a second, and only where a bound asks for it.

use std::process::{Command, Stdio};

/// Where `ss` tells the memory of a socket, and what ends it.
const MEMORY: [&str; 2] = ["skmem:(", ")"];
/// Of that: what is queued to be sent, and what has left and is still held.
const QUEUED: &str = "w";
const HELD: &str = "t";

/// Bytes of the send queues of all connections that have this port on their own side; none where there is no `ss`.
pub(crate) fn send_memory_bytes(port: u16) -> Option<u64> {
    let mut command = Command::new("ss");
    command.args(["-tmnHO", "sport", "=", &format!(":{port}")]);
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let is_good = output.status.success();
    is_good.then(|| text.lines().filter_map(bytes_of).sum())
}

/// Of one socket: `skmem:(r0,rb131072,t0,tb2626560,f0,w0,o0,bl0,d0)`.
fn bytes_of(line: &str) -> Option<u64> {
    let (_, memory) = line.split_once(MEMORY[0])?;
    let (memory, _) = memory.split_once(MEMORY[1])?;
    let number = |name: &str| {
        let numbers = memory
            .split(',')
            .filter_map(|field| field.strip_prefix(name));
        numbers
            .filter_map(|number| number.parse::<u64>().ok())
            .sum::<u64>()
    };
    Some(number(QUEUED) + number(HELD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_queued_and_what_is_held_are_added_and_limits_are_not() {
        let memory = "skmem:(r1,rb131072,t700,tb2626560,f0,w5000,o0,bl0,d0)";
        let line = format!("ESTAB 0 9 127.0.0.1:8554 127.0.0.1:40000 {memory}");
        assert_eq!(bytes_of(&line), Some(5700));
        assert_eq!(bytes_of("ESTAB 0 0 127.0.0.1:8554"), None);
    }
}
