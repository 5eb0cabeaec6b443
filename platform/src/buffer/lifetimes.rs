//! Who keeps whose memory alive: buffers are split, cloned, moved and dropped in every order, and abandoned midway, as
//! sessions that end do. Plain tests see the bytes; miri also sees memory that is used after it was freed, or leaked.
//! Run with `cargo miri test -p shardcast-platform --lib buffer::`.
//!
//! What they cannot catch: what a kernel does with a buffer that was lent to it.

use bytes::{Bytes, BytesMut};

use super::{Gather, Slab, Slice};

/// All orders in which four owners can be dropped.
fn orders() -> impl Iterator<Item = [usize; 4]> {
    let digits = |number: usize| [number / 64, number / 16 % 4, number / 4 % 4, number % 4];
    (0..256)
        .map(digits)
        .filter(|order| (0..4).all(|owner| order.contains(&owner)))
}

/// Reads a whole number of bytes, as a socket does: written through the pointer, then counted.
fn read_into(slab: &mut Slab, bytes: &[u8]) {
    assert!(bytes.len() <= slab.spare());
    // SAFETY: the bytes lie within the spare capacity, and are written before they are counted.
    unsafe {
        slab.spare_ptr()
            .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        slab.advance_filled(bytes.len());
    }
}

#[cfg(unix)]
fn through_vectors(gather: &mut Gather) -> Vec<u8> {
    let part = |vector: &libc::iovec| {
        // SAFETY: the gather keeps the slice that the entry describes.
        unsafe { std::slice::from_raw_parts(vector.iov_base.cast::<u8>(), vector.iov_len) }
    };
    gather.vectors().iter().flat_map(part).copied().collect()
}

#[test]
fn pieces_of_a_chunk_may_be_dropped_in_any_order() {
    for order in orders() {
        let mut slab = Slab::with_capacity(16);
        read_into(&mut slab, b"abcdefgh");
        let first = slab.split_to(2).freeze();
        let second = slab.split_to(3).freeze();
        let part = second.slice(1..);
        let mut owners = [Some(first), Some(second), Some(part), None];
        let mut slab = Some(slab);
        let expected: [&[u8]; 3] = [b"ab", b"cde", b"de"];
        for dropped in order {
            owners[dropped] = None;
            if dropped == 3 {
                slab = None;
            }
            for (owner, expected) in owners.iter().flatten().zip(left(&expected, &owners)) {
                assert_eq!(owner, expected);
            }
            assert!(slab.as_ref().is_none_or(|slab| slab.filled() == b"fgh"));
        }
    }
}

/// What the owners that are left should hold.
fn left<'a>(expected: &'a [&[u8]], owners: &'a [Option<Bytes>]) -> impl Iterator<Item = &'a [u8]> {
    let pairs = expected.iter().zip(owners);
    pairs.filter_map(|(expected, owner)| owner.as_ref().map(|_| *expected))
}

#[test]
fn a_slab_that_grows_leaves_what_was_split_off_where_it_is() {
    let mut slab = Slab::with_capacity(8);
    read_into(&mut slab, b"abcdef");
    let front = slab.split_to(4);
    let address = front.as_ptr();
    slab.reserve(64);
    read_into(&mut slab, b"ghijklmn");
    assert_eq!((&front[..], front.as_ptr()), (&b"abcd"[..], address));
    drop(front);
    slab.reserve(128);
    assert_eq!(slab.filled(), b"efghijklmn");
}

#[test]
fn a_slab_that_is_moved_is_read_into_where_it_was_lent() {
    let mut slab = Slab::with_capacity(8);
    read_into(&mut slab, b"ab");
    let lent = slab.spare_ptr();
    // As an operation is, after the kernel has been told the address.
    let mut moved = Box::new(slab);
    // SAFETY: the spare capacity is on the heap and stays there; two of its bytes are written, then counted.
    unsafe {
        lent.copy_from_nonoverlapping(b"cd".as_ptr(), 2);
        moved.advance_filled(2);
    }
    assert_eq!(moved.filled(), b"abcd");
}

#[test]
fn a_slab_that_is_abandoned_with_unread_bytes_frees_them() {
    let mut chunk = BytesMut::with_capacity(32);
    chunk.extend_from_slice(b"begun");
    let mut slab = Slab::from_bytes_mut(chunk);
    let taken = slab.split_to(2).freeze();
    drop(slab);
    assert!(taken.is_unique(), "nobody else keeps the chunk");
    assert_eq!(taken, "be");
}

#[test]
fn clones_and_parts_of_a_slice_may_be_dropped_in_any_order() {
    for order in orders() {
        let chunk = Bytes::from(b"0123456789".to_vec());
        let whole = Slice::new(chunk.clone());
        let part = whole.slice(2..8);
        let mut owners = [
            Some(whole.clone()),
            Some(part.slice(1..3)),
            Some(whole),
            Some(part),
        ];
        let expected: [&[u8]; 4] = [b"0123456789", b"34", b"0123456789", b"234567"];
        for dropped in order {
            owners[dropped] = None;
            for (owner, expected) in owners.iter().zip(expected) {
                assert!(
                    owner
                        .as_ref()
                        .is_none_or(|owner| owner.as_slice() == expected)
                );
            }
        }
        assert!(chunk.is_unique());
    }
}

#[test]
fn a_chunk_is_shared_by_slices_of_two_threads() {
    let chunk = Bytes::from(vec![7; 64]);
    let other = chunk.clone();
    let elsewhere = std::thread::spawn(move || {
        let slice = Slice::new(other);
        let part = slice.slice(3..9);
        drop(slice);
        part.len()
    });
    let here = Slice::new(chunk).slice(60..64);
    assert_eq!(elsewhere.join().expect("no panic"), 6);
    assert_eq!(&*here, [7; 4]);
}

#[cfg(unix)]
#[test]
fn a_gather_that_is_moved_is_still_written_from_the_same_place() {
    let mut gather = Gather::new();
    for part in [&b"abc"[..], b"defg", b"hi"] {
        let pushed = gather.push(Slice::new(Bytes::copy_from_slice(part)));
        assert!(pushed.is_ok(), "there is room");
    }
    let lent = gather.vectors().as_ptr();
    let mut moved = Box::new(gather);
    assert_eq!(lent, moved.vectors().as_ptr());
    assert_eq!(through_vectors(&mut moved), b"abcdefghi");
}

#[cfg(unix)]
#[test]
fn a_gather_keeps_what_everybody_else_has_dropped() {
    let chunk = Bytes::from(b"0123456789".to_vec());
    let whole = Slice::new(chunk.clone());
    let mut gather = Gather::new();
    for range in [0..4, 2..6, 9..10] {
        gather.push(whole.slice(range)).expect("there is room");
    }
    drop(whole);
    for (count, rest) in [(0, "012323459"), (1, "12323459"), (3, "23459"), (4, "9")] {
        gather.advance(count);
        assert_eq!(through_vectors(&mut gather), rest.as_bytes());
    }
    assert!(!chunk.is_unique());
    gather.advance(1);
    assert!(chunk.is_unique());
}

#[test]
fn a_gather_that_is_abandoned_midway_lets_go_of_its_chunks_once() {
    for written in 0..=12 {
        let chunks = [Bytes::from(vec![1; 4]), Bytes::from(vec![2; 8])];
        let mut gather = Gather::new();
        for chunk in &chunks {
            gather
                .push(Slice::new(chunk.clone()))
                .expect("there is room");
        }
        gather.advance(written);
        // The connection ends with the write still under way: the gather is moved out, cleared or dropped.
        let mut abandoned = std::mem::take(&mut gather);
        if written % 2 == 0 {
            abandoned.clear();
        }
        drop(abandoned);
        assert!(chunks.iter().all(Bytes::is_unique), "after {written} bytes");
        gather
            .push(Slice::new(chunks[0].clone()))
            .expect("there is room");
        assert_eq!(gather.bytes(), 4);
    }
}
