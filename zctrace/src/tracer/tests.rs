//! The programs of the built object, compared with the catalog.

use std::collections::BTreeMap;

use aya_obj::{Object, ProgramSection};

use crate::{
    catalog::{self, Kind},
    tracer::{OBJECT, attach, audit, kretprobe, queued},
};

/// The kind of a program in the object, by the catalog's word.
fn kind(section: &ProgramSection) -> &'static str {
    match section {
        ProgramSection::FEntry { .. } => "fentry",
        ProgramSection::FExit { .. } => "fexit",
        ProgramSection::KRetProbe => "kretprobe",
        ProgramSection::KProbe => "kprobe",
        ProgramSection::BtfTracePoint => "tp_btf",
        ProgramSection::PerfEvent => "perf event",
        ProgramSection::RawTracePoint => "raw tracepoint",
        _ => "of another kind",
    }
}

/// The programs that the user side asks the object for, with their kinds.
fn wanted() -> BTreeMap<String, &'static str> {
    let mut wanted = BTreeMap::new();
    for way in catalog::probes().flat_map(|probe| probe.ways) {
        wanted.insert(way.program.to_owned(), way.kind.name());
        match way.kind {
            Kind::FEntry | Kind::FExit | Kind::BtfTracepoint => {
                wanted.insert(attach::twin(way), way.kind.name());
            }
            Kind::KRetProbe => {
                wanted.insert(kretprobe::entry(way.program), "kprobe");
            }
            Kind::Clock => {}
        }
    }
    for name in audit::PROGRAMS {
        wanted.insert(name.to_owned(), Kind::Clock.name());
    }
    wanted.insert(queued::PROGRAM.to_owned(), "raw tracepoint");
    wanted
}

#[test]
fn the_object_has_the_programs_of_the_catalog_and_no_others() {
    let object = Object::parse(OBJECT).expect("the object");
    let built: BTreeMap<_, _> = object
        .programs
        .iter()
        .map(|(name, program)| (name.clone(), kind(&program.section)))
        .collect();
    let wanted = wanted();
    let differ = |one: &BTreeMap<String, &'static str>, other: &BTreeMap<_, _>| {
        one.iter()
            .filter(|&(name, kind)| other.get(name) != Some(kind))
            .map(|(name, kind)| format!("{kind} {name}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (differ(&wanted, &built), differ(&built, &wanted)),
        (vec![], vec![]),
        "in the catalog only, and in the object only"
    );
}
