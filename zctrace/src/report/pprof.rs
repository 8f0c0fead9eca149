//! Sampled stacks as a profile that pprof and what understands its format can read: bytes copied by stack.

use std::{
    collections::HashMap,
    io::{self, Write as _},
};

use flate2::{Compression, write::GzEncoder};
use prost::Message;

use crate::ledger::{Snapshot, Stack};

/// How the names of the kernel's functions end.
const OF_KERNEL: &str = "_[k]";

/// `profile.proto` of pprof, as far as it is used here.
#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(int64, repeated, tag = "13")]
    comment: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    /// The innermost first.
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    label: Vec<Label>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(int64, tag = "2")]
    text: i64,
    #[prost(int64, tag = "3")]
    number: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Mapping {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "5")]
    filename: i64,
    /// The names are known: nobody need look for symbols.
    #[prost(bool, tag = "7")]
    has_functions: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    mapping_id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
}

/// A profile while it is made: what occurs twice is in it once.
struct Maker {
    profile: Profile,
    strings: HashMap<String, i64>,
    locations: HashMap<String, u64>,
}

/// The stacks of a document, compressed as pprof expects it.
///
/// # Errors
///
/// When it cannot be compressed.
pub fn profile(snapshot: &Snapshot) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&made(snapshot).encode_to_vec())?;
    encoder.finish()
}

fn made(snapshot: &Snapshot) -> Profile {
    let mut maker = Maker {
        profile: Profile::default(),
        strings: HashMap::new(),
        locations: HashMap::new(),
    };
    // The first one must be empty.
    maker.string("");
    let (kind, unit) = (maker.string("copied"), maker.string("bytes"));
    maker.profile.sample_type.push(ValueType { kind, unit });
    for (id, name) in [(1, "program"), (2, "[kernel]")] {
        let filename = maker.string(name);
        maker.profile.mapping.push(Mapping {
            id,
            filename,
            has_functions: true,
        });
    }
    for (stack, bytes) in &snapshot.stacks.bytes {
        maker.add(stack, *bytes);
    }
    if snapshot.stacks.lost > 0 {
        let lost = format!("{} bytes had no room", snapshot.stacks.lost);
        let lost = maker.string(&lost);
        maker.profile.comment.push(lost);
    }
    let started = snapshot.started_at.parse::<jiff::Timestamp>();
    let nanoseconds = started.map_or(0, |started| started.as_nanosecond());
    maker.profile.time_nanos = i64::try_from(nanoseconds).unwrap_or(0);
    maker.profile.duration_nanos = number(snapshot.duration_ns);
    maker.profile
}

/// What does not fit stays at the bound.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Maker {
    fn string(&mut self, text: &str) -> i64 {
        if let Some(index) = self.strings.get(text) {
            return *index;
        }
        let index = number(self.profile.string_table.len() as u64);
        self.profile.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), index);
        index
    }

    /// A function and the only place in it, which have one number.
    fn location(&mut self, frame: &str) -> u64 {
        if let Some(id) = self.locations.get(frame) {
            return *id;
        }
        let id = self.profile.location.len() as u64 + 1;
        let name = self.string(frame);
        self.profile.function.push(Function {
            id,
            name,
            system_name: name,
        });
        self.profile.location.push(Location {
            id,
            mapping_id: if frame.ends_with(OF_KERNEL) { 2 } else { 1 },
            line: vec![Line { function_id: id }],
        });
        self.locations.insert(frame.to_owned(), id);
        id
    }

    fn add(&mut self, stack: &Stack, bytes: u64) {
        let location_id = stack.frames.iter().rev().map(|frame| self.location(frame));
        let location_id = location_id.collect();
        let texts = [("command", &*stack.comm), ("class", &*stack.class)];
        let mut label: Vec<_> = texts
            .into_iter()
            .map(|(key, text)| Label {
                key: self.string(key),
                text: self.string(text),
                number: 0,
            })
            .collect();
        label.push(Label {
            key: self.string("pid"),
            text: 0,
            number: stack.pid.into(),
        });
        self.profile.sample.push(Sample {
            location_id,
            value: vec![number(bytes)],
            label,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::ledger::samples;

    fn stack(pid: u32, frames: &[&str]) -> Stack {
        Stack {
            pid,
            start_time: 1,
            comm: "cp".into(),
            class: "copied_to_user".into(),
            frames: frames.iter().map(|&frame| frame.into()).collect(),
        }
    }

    fn read(bytes: &[u8]) -> Profile {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(bytes)
            .read_to_end(&mut plain)
            .expect("gzip");
        Profile::decode(&*plain).expect("a profile")
    }

    #[test]
    fn every_byte_is_in_the_stack_that_copied_it() {
        let mut snapshot = samples::normal();
        snapshot.stacks.bytes.clear();
        snapshot.stacks.lost = 7;
        let stacks = [
            (stack(1, &["main", "copy", "read_[k]"]), 4096),
            (stack(1, &["main", "other", "read_[k]"]), 100),
            (stack(2, &["main", "copy", "read_[k]"]), 3),
        ];
        snapshot.stacks.bytes.extend(stacks);
        let profile = read(&profile(&snapshot).expect("a profile"));
        let name =
            |index: i64| profile.string_table[usize::try_from(index).expect("an index")].as_str();
        let frames = |sample: &Sample| -> Vec<&str> {
            let places = sample.location_id.iter().map(|id| {
                let place = profile
                    .location
                    .iter()
                    .find(|one| one.id == *id)
                    .expect("a place");
                let id = place.line[0].function_id;
                let function = profile
                    .function
                    .iter()
                    .find(|one| one.id == id)
                    .expect("a function");
                name(function.name)
            });
            places.collect()
        };
        let samples: Vec<_> = profile
            .sample
            .iter()
            .map(|sample| (frames(sample), sample.value[0], sample.label[2].number))
            .collect();
        assert_eq!(
            samples,
            [
                (vec!["read_[k]", "copy", "main"], 4096, 1),
                (vec!["read_[k]", "other", "main"], 100, 1),
                (vec!["read_[k]", "copy", "main"], 3, 2),
            ]
        );
        assert_eq!(name(0), "");
        let kind = &profile.sample_type[0];
        assert_eq!((name(kind.kind), name(kind.unit)), ("copied", "bytes"));
        assert_eq!(profile.function.len(), 4, "each name once");
        assert_eq!(name(profile.comment[0]), "7 bytes had no room");
        assert_eq!(profile.duration_nanos, number(snapshot.duration_ns));
        let kernel = profile
            .location
            .iter()
            .find(|one| one.mapping_id == 2)
            .expect("a place");
        assert_eq!(
            name(profile.function[usize::try_from(kernel.id).expect("small") - 1].name),
            "read_[k]"
        );
    }
}
