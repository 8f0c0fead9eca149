//! What the ledger promises, whatever the sites saw and whatever the kernel returned.

use proptest::prelude::*;
use zctrace_common::{
    Acc, Class, Object, ObjectKind, Shape, Task, UNREPORTED, explain, legs, take_usual,
};

const SHAPES: [Shape; 7] = [
    Shape::ToUser,
    Shape::FromUser,
    Shape::Source,
    Shape::Sink,
    Shape::Both,
    Shape::Reference,
    Shape::Dropped,
];

/// The accumulators that explain an operation with one leg, and the class that each one gives.
const ONE_LEG: [(Shape, &[(Acc, Class)]); 4] = [
    (
        Shape::ToUser,
        &[
            (Acc::ToUser, Class::CopiedToUser),
            (Acc::SourceDirect, Class::Direct),
            (Acc::SourceSynthetic, Class::Synthetic),
        ],
    ),
    (
        Shape::FromUser,
        &[
            (Acc::FromUser, Class::CopiedFromUser),
            (Acc::SinkDirect, Class::Direct),
            (Acc::SinkSynthetic, Class::Synthetic),
            (Acc::SinkRef, Class::Spliced),
        ],
    ),
    (
        Shape::Source,
        &[
            (Acc::SourceCopy, Class::CopiedInKernel),
            (Acc::SourceDirect, Class::Direct),
            (Acc::SourceSynthetic, Class::Synthetic),
            (Acc::SourceRef, Class::Spliced),
        ],
    ),
    (
        Shape::Sink,
        &[
            (Acc::SinkCopy, Class::CopiedInKernel),
            (Acc::SinkDirect, Class::Direct),
            (Acc::SinkSynthetic, Class::Synthetic),
            (Acc::SinkRef, Class::Spliced),
        ],
    ),
];

/// The accumulators of both legs.
const SOURCE: [Acc; 4] = [
    Acc::SourceCopy,
    Acc::SourceRef,
    Acc::SourceDirect,
    Acc::SourceSynthetic,
];
const SINK: [Acc; 4] = [
    Acc::SinkCopy,
    Acc::SinkRef,
    Acc::SinkDirect,
    Acc::SinkSynthetic,
];

const ADDED: u32 = 1 << Acc::Added as u32;

/// A byte count: often 0, often small, seldom up to what one operation can move.
fn bytes() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => Just(0),
        3 => 0..100_u64,
        1 => 0..0x7fff_f000_u64,
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    (0..SHAPES.len()).prop_map(|index| SHAPES[index])
}

/// A thread whose sites saw this.
fn seen(accumulators: &[(Acc, u64)]) -> Task {
    let mut task = Task::NEW;
    for &(which, bytes) in accumulators {
        task.acc[which as usize] += bytes;
        if bytes != 0 {
            task.filled |= 1 << which as u32;
        }
    }
    task
}

/// A thread with these accumulators.
fn holding(acc: [u64; Acc::COUNT], fresh: bool) -> Task {
    let mut task = Task::NEW;
    task.acc = acc;
    for (index, bytes) in acc.into_iter().enumerate() {
        task.filled |= u32::from(bytes != 0) << index;
    }
    task.flags = if fresh { Task::FRESH } else { 0 };
    task
}

fn settled(mut task: Task, shape: Shape, result: i64) -> Task {
    explain(&mut task, shape as u32, result);
    task
}

fn class(task: &Task, class: Class) -> u64 {
    task.delta.class[class as usize]
}

fn unexplained(task: &Task) -> u64 {
    class(task, Class::Unexplained)
}

proptest! {
    /// For any accumulators and any result: no byte is explained twice, and none is left out.
    #[test]
    fn classes_sum_to_what_moved(
        acc in proptest::array::uniform15(bytes()),
        shape in shape(),
        result in prop_oneof![-4095..0_i64, 0..200_i64, 0..0x7fff_f000_i64],
        fresh: bool,
    ) {
        let task = settled(holding(acc, fresh), shape, result);
        let moved = u64::try_from(result).unwrap_or(0);
        prop_assert_eq!(task.delta.moved, moved);
        prop_assert_eq!(task.delta.class.iter().sum::<u64>(), moved);
        prop_assert_eq!(task.delta.ops, 1);
        prop_assert_eq!(task.delta.errors, if result < 0 { result.unsigned_abs() } else { 0 });
        prop_assert_eq!(task.acc, [0; Acc::COUNT], "the next operation starts from nothing");
        prop_assert_eq!(task.filled, 0);
        prop_assert_eq!(task.flags & Task::FRESH, 0);
    }

    /// What was copied for a message that its call does not report is no operation and no error.
    #[test]
    fn what_was_copied_unreported_is_wasted(bytes in 1..100_000_u64) {
        for (shape, acc) in [(Shape::ToUser, Acc::ToUser), (Shape::FromUser, Acc::FromUser)] {
            let task = settled(seen(&[(acc, bytes)]), shape, UNREPORTED);
            prop_assert_eq!((task.delta.ops, task.delta.errors, task.delta.moved), (0, 0, 0));
            prop_assert_eq!(task.delta.wasted, bytes);
        }
    }

    /// The short way to the usual answers gives the same ones, and otherwise touches nothing.
    #[test]
    fn the_usual_is_what_it_would_be_settled_as(
        acc in proptest::array::uniform15(prop_oneof![6 => Just(0), 2 => Just(64_u64), 1 => 0..100_u64]),
        shape in shape(),
        result in prop_oneof![Just(64_i64), -10..100_i64],
        fresh: bool,
    ) {
        let mut task = holding(acc, fresh);
        let settled = settled(task, shape, result);
        let (before, answer) = (task, take_usual(&mut task, shape, result));
        if let Some(usual) = answer {
            prop_assert_eq!(settled.delta.moved, class(&settled, usual));
            prop_assert_eq!(settled.delta.moved, result.cast_unsigned());
            let others = [
                settled.delta.recopied,
                settled.delta.wasted,
                settled.delta.encrypted,
                settled.delta.errors,
            ];
            prop_assert_eq!(others, [0; 4]);
            let mut added = [0; Acc::COUNT];
            added[Acc::Added as usize] = before.acc[Acc::Added as usize];
            prop_assert_eq!((task.acc, task.filled), (added, before.filled & ADDED));
        } else {
            prop_assert_eq!((task.acc, task.filled), (before.acc, before.filled));
        }
    }

    /// A probe that is missing takes exactly its bytes out of its class, and says so.
    #[test]
    fn an_unplugged_accumulator_is_unexplained(
        leg in 0..ONE_LEG.len(),
        parts in proptest::collection::vec(0..10_000_u64, 4),
        silent in 0..10_000_u64,
        unplugged in 0..4_usize,
    ) {
        let (shape, accumulators) = ONE_LEG[leg];
        let seen_by: Vec<(Acc, u64)> = accumulators
            .iter()
            .zip(&parts)
            .map(|(&(which, _), &bytes)| (which, bytes))
            .collect();
        let moved = seen_by.iter().map(|(_, bytes)| bytes).sum::<u64>() + silent;
        let result = i64::try_from(moved).unwrap();
        let whole = settled(seen(&seen_by), shape, result);
        for (&(_, explained), &(_, bytes)) in accumulators.iter().zip(&seen_by) {
            prop_assert_eq!(class(&whole, explained), bytes);
        }
        prop_assert_eq!(unexplained(&whole), silent);

        let unplugged = unplugged % accumulators.len();
        let mut left = seen_by.clone();
        let missing = std::mem::take(&mut left[unplugged].1);
        let partly = settled(seen(&left), shape, result);
        prop_assert_eq!(unexplained(&partly), silent + missing);
        prop_assert_eq!(class(&partly, accumulators[unplugged].1), 0);
        for (index, &(_, explained)) in accumulators.iter().enumerate() {
            if index != unplugged {
                prop_assert_eq!(class(&partly, explained), seen_by[index].1);
            }
        }
    }

    /// With two legs too: a byte is explained only where both legs are.
    #[test]
    fn an_unplugged_leg_is_unexplained(
        moved in 1..10_000_u64,
        cuts in proptest::array::uniform6(0..=10_000_u64),
        unplugged in 0..8_usize,
    ) {
        let mut seen_by = split(moved, &SOURCE, [cuts[0], cuts[1], cuts[2]]);
        seen_by.extend(split(moved, &SINK, [cuts[3], cuts[4], cuts[5]]));
        let result = i64::try_from(moved).unwrap();
        let whole = settled(seen(&seen_by), Shape::Both, result);
        prop_assert_eq!(unexplained(&whole), 0);
        let missing = std::mem::take(&mut seen_by[unplugged].1);
        let partly = settled(seen(&seen_by), Shape::Both, result);
        prop_assert_eq!(unexplained(&partly), missing);
    }

    /// A copy that a site saw is told: as the class of a moved byte, as a second copy of one, or as
    /// copied for nothing.
    #[test]
    fn a_copy_is_never_hidden(
        acc in proptest::array::uniform15(bytes()),
        leg in 0..ONE_LEG.len(),
        result in 0..0x7fff_f000_i64,
    ) {
        let shape = ONE_LEG[leg].0;
        let mut task = Task::NEW;
        task.acc = acc;
        let task = settled(task, shape, result);
        let told = class(&task, Class::CopiedToUser)
            + class(&task, Class::CopiedFromUser)
            + class(&task, Class::CopiedInKernel)
            + task.delta.recopied
            + task.delta.wasted;
        let copies: &[Acc] = match shape {
            Shape::ToUser => &[Acc::ToUser, Acc::SourceCopy],
            Shape::FromUser => &[Acc::FromUser, Acc::SinkCopy],
            Shape::Source => &[Acc::SourceCopy],
            _ => &[Acc::SinkCopy],
        };
        let seen: u64 = copies.iter().map(|&which| acc[which as usize]).sum();
        prop_assert_eq!(told, seen);
    }

    /// An object survives being packed, and nothing but an object is unpacked to one.
    #[test]
    fn objects_are_packed_whole(kind: u8, value in 0..1_u64 << 56, raw: u64) {
        if let Some(kind) = ObjectKind::from_raw(kind) {
            let packed = Object::pack(kind, value);
            prop_assert_eq!(Object::unpack(packed), Some(Object { kind, value }));
            prop_assert!(Object::is(packed, kind));
            prop_assert!(packed != 0);
        }
        if let Some(object) = Object::unpack(raw) {
            prop_assert_eq!(Object::pack(object.kind, object.value), raw);
        }
    }
}

/// `moved` in as many parts as there are accumulators.
fn split(moved: u64, accumulators: &[Acc; 4], cuts: [u64; 3]) -> Vec<(Acc, u64)> {
    let mut cuts = cuts.map(|cut| cut % (moved + 1));
    cuts.sort_unstable();
    let ends = [cuts[0], cuts[1], cuts[2], moved];
    let mut start = 0;
    accumulators
        .iter()
        .zip(ends)
        .map(|(&which, end)| (which, end - std::mem::replace(&mut start, end)))
        .collect()
}

#[test]
fn legs_are_told_by_pipes() {
    let pipe = Object::pack(ObjectKind::Pipe, 0);
    let file = Object::pack(ObjectKind::File, 7);
    assert!(legs(pipe, pipe) == Shape::Reference);
    assert!(legs(pipe, file) == Shape::Sink);
    assert!(legs(file, pipe) == Shape::Source);
    assert!(legs(file, file) == Shape::Both);
}

#[test]
fn shapes_survive_their_numbers() {
    for shape in SHAPES {
        assert!(Shape::numbered(shape as u32) == shape);
    }
}

/// Each usual case is one, so that the property above is about something.
#[test]
fn whole_copies_and_whole_references_are_usual() {
    for (shape, seen_by, usual) in [
        (Shape::ToUser, &[Acc::ToUser][..], Class::CopiedToUser),
        (Shape::FromUser, &[Acc::FromUser], Class::CopiedFromUser),
        (Shape::Source, &[Acc::SourceRef], Class::Spliced),
        (Shape::Sink, &[Acc::SinkRef], Class::Spliced),
        (Shape::Both, &[Acc::SourceRef, Acc::SinkRef], Class::Spliced),
    ] {
        let accumulators: Vec<_> = seen_by.iter().map(|&acc| (acc, 64)).collect();
        let mut task = seen(&accumulators);
        assert_eq!(take_usual(&mut task, shape, 64), Some(usual), "{shape:?}");
        let mut task = seen(&accumulators);
        assert_eq!(take_usual(&mut task, shape, 65), None, "{shape:?}");
    }
}
