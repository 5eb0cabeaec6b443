//! The promises that a whole server keeps to its peers over loopback: what readers are given, how streams end, how long
//! anybody is waited for, what a slow reader costs, what hostile input gets, and what a fault takes along.
//!
//! A server runs in this process, or as a child where the process itself is the matter. Raw peers publish packets with
//! counters and check every one that comes back. What this suite cannot catch: what real programs make of the stream,
//! what a real network does to it, and faults of the machine.
//!
//! # Hostile input
//!
//! | what comes | what is shown, in `hostile` if nothing else is said |
//! |---|---|
//! | a frame that declares 65535 bytes and stalls | `packets`: ended by its deadline; `floods`: costs what has come of it |
//! | `Content-Length` negative, huge, given twice and different | `messages`: 400 or 413 before any body; `floods`: a begun body costs what has come |
//! | a URL that is empty, `*`, `..` in disguise, with NUL | `requests`, `messages`: 400 or 404 |
//! | every method in every state, SETUP twice, UDP after TCP | `requests`: 455, 459 or 461, and the state stays |
//! | a session id from another connection | `requests`: 454, and its owner plays on |
//! | `destination=` of a third party, ports that are none | `requests`, `datagrams`: 461 or 400, and media goes to the peer alone |
//! | datagrams of strangers | `datagrams`: reach nobody |
//! | packets of another source, channel or form | `packets`: reach nobody |
//! | numbers over UDP that jump, repeat, and leave gaps | `numbers`: put in order, and a window of memory |
//! | timestamps that wrap, for days | `engine`'s own tests of numbering and clock |
//! | fragments without end, thousands of NAL units, an aggregation that overruns | `units`: cut off at the largest access unit, or passed on |
//! | a parameter set with absurd sizes, 32 leading zeros, or cut short | `requests`: 400 (and the parsers' own tests and fuzz targets) |
//! | a flood of connections, of names, of refused requests | `floods`, `requests`; idle sessions by address: `admission` |
//! | two publishers on two shards in the same moment | `succession`: exactly one is left, with `overridePublisher` and without |
//! | wrong passwords, many at once | `authentication`: answered late, so many by address; a bystander loses nothing, nobody waits for a hash |
//! | readers that take a byte per second, or nothing | `slow_readers`: skip to a key frame, then closed by policy; `floods`: bounded memory |
//!
//! Over HTTP, shown in `tests/http`:
//!
//! | what comes | what is shown |
//! |---|---|
//! | a message with two ends, or none: lengths, codings, chunks, folded lines | `smuggling`: refused, or it has one end; what is hidden in it is never answered |
//! | a form that a foreign page sends, a name that was made to point here | `origins`: 415 or 403, and nothing has changed; a script's form is taken |
//! | wrong passwords, many at once, a slow hash | `authorisation`: answered late, so many by address; nobody waits for a hash |
//! | slow heads and bodies, a byte now and then | `slow`: 408 by the deadline, and nobody waits with them |
//! | heads and targets too long; paths that lead elsewhere, `//evil/`, `<script>` | `limits`: the most is taken, one byte more is 431 or 414; 400 or 404, in the site's own words |
//! | bodies of a gigabyte, 100 000 levels deep, of aliases upon aliases | `bodies`: 413 or 400, and memory follows what has come |
//! | pages that cannot be: -1, 0, 2⁶³ | `limits`: 400 |
//! | over HTTP/2: streams reset at once, headers without end, questions whose answers nobody reads, no window, messages that are none | `streams`: the connection ends with its reason, and nobody else waits |
//! | 10 000 connections that keep silent | `idle`: a bounded part of memory each, others are served, descriptors come back |
//! | a source on `file:`, `exec:` or a link-local address, added over the API | `tests/config_api`: 400, unless the operator allows it |
//! | `X-Forwarded-For` of a stranger, or rubbish | `proxies`: not believed, and a proxy's own address is lent to nobody |
//!
//! In each of these (an `Ordeal`): no panic, a bystander's stream without loss, refusals counted under their reasons and
//! no others, and everything back at the baseline 5 s after the last connection has ended. A bystander's p99 is compared
//! where that can be done robustly: with stalled peers (`floods`).
//!
//! # Faults
//!
//! | fault | what is shown, in `faults` if nothing else is said |
//! |---|---|
//! | a shard is busy for 5 s | `stalls`: only what it owns and serves pauses; told within a second; readers go on within one group of pictures |
//! | a session panics | `panics`: it dies alone |
//! | a shard's core panics | `panics`: the process ends within a second, with status 70 |
//! | a ring is full | `rings`: nobody waits; the stream is cut for that shard, counted, and goes on at a key frame |
//! | a peer resets in mid-frame | `ends`: the partial packet reaches nobody, on either shard |
//! | a publisher flaps ten times a second | `continuity`: its readers are kept within the grace, and tasks do not grow; `succession`: without grace they are ended, and the path works |
//! | a partition of 30 s | `partition`: sessions end by deadline on both sides of the cut, whoever can wait so long goes on, and who comes back plays (nothing is pulled from elsewhere yet) |
//! | descriptors run out | `system`: accepting waits by timer, streams go on, whoever waited is served; `tests/http`, `descriptors`: the API answers on connections old and new |
//! | memory, bit rates, readers or busy shards near their limits | `limits`: new sessions are refused with the reason, and those who are there lose nothing |
//! | a slow hash | `authentication`: refused at its deadline; nobody else waits |
//! | io_uring is forbidden | `system`: epoll is chosen, once, and said with the reason |
//! | io_uring's queues are full | `platform/tests/queues.rs`: what finds no room waits, and every operation completes |
//! | a future is dropped at any `.await` | `platform/tests/dropping.rs`: no buffer is used after it, no descriptor stays open |
//! | a reader takes less than the stream | `slow_readers`: whole access units are dropped up to a key frame, counted and told, the kernel holds a bounded part; `skipping`: or those that no other refers to, without a gap in its numbers |
//! | one CPU only | `system`: one shard, and nothing is lost |

mod admission;
mod authentication;
mod begins;
mod continuity;
mod deadlines;
mod ends;
mod faults;
mod hostile;
mod limits;
mod process;
mod reads;
mod reports;
mod sessions;
mod skipping;
mod slow_readers;
mod succession;
