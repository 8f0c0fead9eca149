//! What the fuzzer in `fuzz/` calls, and a test with the fuzzer's corpus on every toolchain.

use std::{io::Cursor, path::Path};

use super::{
    Recording,
    frame::{self, Kind},
    wire::Header,
};

/// Reads a file as far as it goes.
///
/// # Panics
///
/// When a recording can make a reader fail: that is the finding.
pub fn file(bytes: &[u8]) {
    let Ok(mut recording) = Recording::read(Cursor::new(bytes), Path::new("x")) else {
        return;
    };
    let mut moved = 0_u64;
    for interval in recording.by_ref() {
        let Ok(interval) = interval else { return };
        moved = moved.saturating_add(interval.total.moved);
    }
    let intervals = recording.position();
    let damage = recording.damage();
    recording.seek(0).expect("memory can be read");
    let Ok(whole) = recording.whole() else { return };
    // It reads the same twice, and nothing gets lost on the way to the sum.
    assert_eq!((whole.intervals(), recording.damage()), (intervals, damage));
    let document = whole.snapshot();
    assert_eq!(document.total.moved, moved);
    let _ = document.stacks.folded();
}

/// Reads a file that has this as its interval, twice.
///
/// # Panics
///
/// As [`file`].
pub fn payload(payload: &[u8]) {
    let header = Header {
        target_kind: "system".into(),
        ..Header::default()
    };
    let mut bytes = frame::preamble();
    let header = postcard::to_stdvec(&header).expect("a header is no problem");
    let frames = [
        (Kind::Header, &header[..]),
        (Kind::Interval, payload),
        (Kind::Interval, payload),
        (Kind::End, &[]),
    ];
    for (kind, payload) in frames {
        let Ok(frame) = frame::encode(kind, payload) else {
            return;
        };
        bytes.extend(frame);
    }
    file(&bytes);
}
