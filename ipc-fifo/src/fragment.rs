//! The wire format: how a message of any length travels in writes of at most `PIPE_BUF` bytes.
//!
//! The kernel keeps a write into a pipe in one piece if it has at most `PIPE_BUF` (4,096) bytes; longer
//! ones of several writers are mixed. So a message is cut into fragments, each of which is one write(2)
//! and says whose it is and where in its message it belongs:
//!
//! ```text
//!   0        4      6      8              16             24       28       32
//!   +--------+------+------+--------------+--------------+--------+--------+-------- - -
//!   | "ipF1" | kind |length| writer       | message      | total  | offset | bytes
//!   +--------+------+------+--------------+--------------+--------+--------+-------- - -
//!     4        2      2      8              8              4        4        `length`
//! ```
//!
//! All numbers are little-endian and without sign.
//!
//! * `kind`: 0 is a piece of a message; 1 says that the writer has given up the message it was at
//!   (`length`, `total` and `offset` are 0).
//! * `length`: how many bytes of the message follow, at most 4,064. It is 0 for an empty message only.
//! * `writer`: a random number from 1 to 2^62 - 1, the writer's for as long as it has the FIFO open.
//!   While it does, it holds an open-file-description lock (`F_OFD_SETLK`, `F_WRLCK`, see fcntl(2)) on the
//!   one byte of the FIFO at that offset. The kernel releases the lock when the writer dies, however it
//!   dies, and the receiver can test it: so it knows that the rest of a message will never come.
//! * `message`: another number for each message of a writer.
//! * `total`: the length of the whole message. `offset`: where in it these bytes belong.
//!
//! A writer sends the fragments of a message in order and without gaps, and one message after the other.
//! If it has no time to finish one, it begins the next: that gives up the one before.

use crate::lock;

/// The most that the kernel writes in one piece: `PIPE_BUF` of limits.h(0p) on Linux.
pub(crate) const PIPE_BUF: usize = 4096;

/// The length of a fragment's header.
pub(crate) const HEADER: usize = 32;

/// The most bytes of a message that a fragment carries.
pub(crate) const PAYLOAD: usize = PIPE_BUF - HEADER;

/// A writer's number is below this.
const WRITERS: u64 = lock::END;

const MAGIC: [u8; 4] = *b"ipF1";
const PIECE: u16 = 0;
const GIVE_UP: u16 = 1;

/// What a fragment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) writer: u64,
    pub(crate) message: u64,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `length` bytes, which belong at `offset` in a message of `total`.
    Piece { length: usize, total: usize, offset: usize },
    /// The writer has given up the message that it was at.
    GiveUp,
}

/// What stands at the front of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// A whole fragment, of `HEADER` bytes and then its piece.
    Fragment(Fragment),
    /// The beginning of one; more must come.
    Incomplete,
    /// Something else.
    Garbage,
}

impl Fragment {
    pub(crate) fn header(&self) -> [u8; HEADER] {
        let (kind, length, total, offset) = match self.kind {
            Kind::Piece { length, total, offset } => (PIECE, length, total, offset),
            Kind::GiveUp => (GIVE_UP, 0, 0, 0),
        };
        let mut header = [0; HEADER];
        let mut rest = header.as_mut_slice();
        let mut put = |field: &[u8]| {
            if let Some((place, more)) = std::mem::take(&mut rest).split_at_mut_checked(field.len()) {
                place.copy_from_slice(field);
                rest = more;
            }
        };
        put(&MAGIC);
        put(&kind.to_le_bytes());
        // A piece has at most PAYLOAD bytes, and a message at most `Framing::MAX`, which is u32::MAX.
        put(&(length as u16).to_le_bytes());
        put(&self.writer.to_le_bytes());
        put(&self.message.to_le_bytes());
        put(&(total as u32).to_le_bytes());
        put(&(offset as u32).to_le_bytes());
        header
    }

    /// How many bytes it has on the wire.
    pub(crate) fn wire_len(&self) -> usize {
        match self.kind {
            Kind::Piece { length, .. } => HEADER + length,
            Kind::GiveUp => HEADER,
        }
    }
}

/// Reads what stands at the front of `bytes`. Nothing is believed that does not fit together.
pub(crate) fn front(bytes: &[u8]) -> Front {
    let magic = bytes.get(..MAGIC.len()).unwrap_or(bytes);
    if !MAGIC.starts_with(magic) {
        return Front::Garbage;
    }
    let Some(header) = bytes.first_chunk::<HEADER>() else { return Front::Incomplete };
    let Some(fragment) = read(header) else { return Front::Garbage };
    if bytes.len() < fragment.wire_len() {
        return Front::Incomplete;
    }
    Front::Fragment(fragment)
}

fn read(header: &[u8; HEADER]) -> Option<Fragment> {
    let rest = header.get(MAGIC.len()..)?;
    let (kind, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (writer, rest) = rest.split_first_chunk()?;
    let (message, rest) = rest.split_first_chunk()?;
    let (total, rest) = rest.split_first_chunk()?;
    let offset = rest.first_chunk()?;
    let writer = u64::from_le_bytes(*writer);
    let message = u64::from_le_bytes(*message);
    let length = usize::from(u16::from_le_bytes(*length));
    let total = u32::from_le_bytes(*total) as usize;
    let offset = u32::from_le_bytes(*offset) as usize;
    if writer == 0 || writer >= WRITERS {
        return None;
    }
    let kind = match u16::from_le_bytes(*kind) {
        PIECE if length > PAYLOAD || (length == 0 && total > 0) => return None,
        PIECE if offset.checked_add(length)? > total => return None,
        PIECE => Kind::Piece { length, total, offset },
        GIVE_UP if length == 0 && total == 0 && offset == 0 => Kind::GiveUp,
        _ => return None,
    };
    Some(Fragment { writer, message, kind })
}

/// How many bytes at the front of `bytes`, which are garbage, can be passed over: up to where the next
/// fragment may begin.
pub(crate) fn garbage(bytes: &[u8]) -> usize {
    (1..bytes.len())
        .find(|start| {
            let rest = bytes.get(*start..).unwrap_or_default();
            rest.starts_with(&MAGIC) || MAGIC.starts_with(rest)
        })
        .unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_fragment_is_what_the_picture_says() {
        let kind = Kind::Piece { length: 3, total: 0x0a0b0c, offset: 0x0102 };
        let header = Fragment { writer: 0x1122, message: 0x33, kind }.header();
        let expected =
            b"ipF1\x00\x00\x03\x00\x22\x11\0\0\0\0\0\0\x33\0\0\0\0\0\0\0\x0c\x0b\x0a\0\x02\x01\0\0";
        assert_eq!(&header, expected);
    }

    #[test]
    fn what_does_not_fit_together_is_garbage() {
        let good = Kind::Piece { length: 10, total: 100, offset: 90 };
        for (writer, kind) in [
            (0, good),
            (WRITERS, good),
            (1, Kind::Piece { length: 11, total: 100, offset: 90 }),
            (1, Kind::Piece { length: 0, total: 100, offset: 90 }),
            (1, Kind::Piece { length: PAYLOAD + 1, total: 10_000, offset: 0 }),
        ] {
            let header = Fragment { writer, message: 1, kind }.header();
            assert_eq!(front(&header), Front::Garbage, "{writer} {kind:?}");
        }
        let mut other_kind = Fragment { writer: 1, message: 1, kind: Kind::GiveUp }.header();
        other_kind[4] = 2;
        assert_eq!(front(&other_kind), Front::Garbage);
        assert_eq!(front(b"hello"), Front::Garbage);
        assert_eq!(front(b"ip"), Front::Incomplete);
        assert_eq!(garbage(b"helloipF1"), 5);
        assert_eq!(garbage(b"helloip"), 5);
        assert_eq!(garbage(b"ipip"), 2);
        assert_eq!(garbage(b"hello"), 5);
    }

    proptest! {
        #[test]
        fn a_header_reads_back_as_it_was(
            writer in 1..WRITERS,
            message: u64,
            length in 1..=PAYLOAD,
            offset in 0..1_000_000_usize,
            behind in 0..1_000_000_usize,
        ) {
            let kind = Kind::Piece { length, total: offset + length + behind, offset };
            let fragment = Fragment { writer, message, kind };
            let mut bytes = fragment.header().to_vec();
            prop_assert_eq!(front(&bytes), Front::Incomplete);
            bytes.resize(fragment.wire_len(), 0);
            prop_assert_eq!(front(&bytes), Front::Fragment(fragment));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = front(&bytes);
            let skipped = garbage(&bytes);
            prop_assert!(skipped <= bytes.len() && (skipped > 0 || bytes.is_empty()));
        }
    }
}
