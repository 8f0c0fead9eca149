//! Frames: a length, a checksum, a kind and a compressed payload.

use std::io::{self, Read};

use super::{VERSION, error::Damage, limits::Budget};

/// What a recording starts with; then its version.
pub(super) const MAGIC: [u8; 8] = *b"zctrace\n";

/// From this version on a recording that was ended says so.
pub(super) const WITH_END: u16 = 2;

/// Length of magic and version.
pub(super) const PREAMBLE: usize = MAGIC.len() + 2;

/// Length of what stands before a payload.
const HEAD: usize = 13;

/// More than any frame has: a length beyond it is damage, and no reason to ask for memory.
const LARGEST: u32 = 64 << 20;

/// Fast, and good enough for frames that hold differences.
const LEVEL: i32 = 3;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What was recorded, and where.
    Header = 1,
    /// What happened in an interval.
    Interval = 2,
    /// Nothing: that the recorder was done. It is the last frame.
    End = 3,
}

/// The bytes that a file starts with.
pub(super) fn preamble() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes
}

/// A whole frame.
pub(super) fn encode(kind: Kind, payload: &[u8]) -> io::Result<Vec<u8>> {
    let packed = zstd::bulk::compress(payload, LEVEL)?;
    let too_long = || io::Error::new(io::ErrorKind::InvalidData, "an interval of 64 MiB");
    let length = |bytes: &[u8]| {
        u32::try_from(bytes.len())
            .ok()
            .filter(|&length| length <= LARGEST)
            .ok_or_else(too_long)
    };
    let (packed_length, length) = (length(&packed)?, length(payload)?);
    let mut frame = Vec::with_capacity(HEAD + packed.len());
    frame.extend(packed_length.to_le_bytes());
    frame.extend([0; 4]);
    frame.push(kind as u8);
    frame.extend(length.to_le_bytes());
    frame.extend(packed);
    let sum = checksum(&frame);
    frame[4..8].copy_from_slice(&sum.to_le_bytes());
    Ok(frame)
}

/// Over the frame without the checksum itself.
fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..4]);
    hasher.update(&frame[8..]);
    hasher.finalize()
}

/// Why there is no further frame.
#[derive(Debug)]
pub(super) enum End {
    /// The file ends here, as it should.
    Clean,
    /// What is here is not a frame.
    Damaged(Damage),
    /// The file cannot be read.
    Failed(io::Error),
}

/// A sound frame.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) payload: Vec<u8>,
    /// Offset of the next one.
    pub(super) next: u64,
    /// What its content may take beside the payload.
    pub(super) budget: Budget,
}

/// Reads the frame at offset `at`.
pub(super) fn decode(from: &mut impl Read, at: u64) -> Result<Frame, End> {
    let damaged = |what| End::Damaged(Damage { at, what });
    let mut head = Vec::with_capacity(HEAD);
    let read = from.take(HEAD as u64).read_to_end(&mut head);
    match read.map_err(End::Failed)? {
        0 => return Err(End::Clean),
        HEAD => {}
        _ => return Err(damaged("a frame that was cut off")),
    }
    let field =
        |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (packed_length, sum, length) = (field(0), field(4), field(9));
    if packed_length > LARGEST || length > LARGEST {
        return Err(damaged("an impossible length"));
    }
    let kind = head[8];
    let mut frame = head;
    let read = from.take(packed_length.into()).read_to_end(&mut frame);
    if read.map_err(End::Failed)? != packed_length as usize {
        return Err(damaged("a frame that was cut off"));
    }
    if checksum(&frame) != sum {
        return Err(damaged("a wrong checksum"));
    }
    let kind = match kind {
        1 => Kind::Header,
        2 => Kind::Interval,
        3 => Kind::End,
        _ => return Err(damaged("a frame of an unknown kind")),
    };
    let mut budget = Budget::of_frame(packed_length.into());
    if budget.take(length as usize).is_none() {
        return Err(damaged("a frame that unpacks to too much"));
    }
    let payload = zstd::bulk::decompress(&frame[HEAD..], length as usize)
        .ok()
        .filter(|payload| payload.len() == length as usize)
        .ok_or_else(|| damaged("a frame that cannot be unpacked"))?;
    Ok(Frame {
        kind,
        payload,
        next: at + HEAD as u64 + u64::from(packed_length),
        budget,
    })
}
