use std::{fs, io::Write as _};

use object::{
    Architecture, BinaryFormat, SymbolFlags, SymbolKind, SymbolScope,
    write::{Object, StandardSection, Symbol, SymbolSection},
};
use proptest::prelude::*;

use super::*;

/// An ELF file with these functions: name, begin, size.
fn file(functions: &[(&str, u64, u64)]) -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let text = object.section_id(StandardSection::Text);
    object.append_section_data(text, &[0x90; 4096], 16);
    for &(name, value, size) in functions {
        object.add_symbol(Symbol {
            name: name.into(),
            value,
            size,
            kind: SymbolKind::Text,
            scope: SymbolScope::Linkage,
            weak: false,
            section: SymbolSection::Section(text),
            flags: SymbolFlags::None,
        });
    }
    object.write().expect("an ELF file")
}

fn read(bytes: &[u8]) -> Option<Code> {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("room");
    Code::read(file)
}

#[test]
fn functions_do_what_their_names_say() {
    let code = read(&file(&[
        ("main", 0, 100),
        ("helper", 112, 88),
        ("memcpy", 208, 0),
        ("inflate_fast", 1024, 64),
        ("memmove", 1024, 64),
    ]))
    .expect("a file");
    assert_eq!(code.work(50), Some(Work::Other));
    assert_eq!(code.work(110), Some(Work::Other), "padding");
    assert_eq!(code.work(208), Some(Work::Copying));
    assert_eq!(code.work(1000), Some(Work::Copying), "up to the next one");
    assert_eq!(code.work(1030), Some(Work::Copying), "one of its names");
    assert_eq!(code.work(2000), None, "nothing is known of it");
    assert_eq!(code.ranges.len(), 4, "{:?}", code.ranges);
}

#[test]
fn a_function_within_another_hides_only_itself() {
    let code = read(&file(&[("main", 0, 1000), ("memcpy", 100, 50)])).expect("a file");
    let at = |address| code.work(address).expect("a name");
    assert_eq!(
        [at(99), at(100), at(149), at(150)],
        [Work::Other, Work::Copying, Work::Copying, Work::Other]
    );
}

#[test]
fn what_is_behind_a_small_variant_is_part_of_it() {
    let code = Code {
        functions: vec![(0, 16), (64, 40), (128, 8), (144, 2000), (2176, 600)],
        ..Code::default()
    };
    assert_eq!(code.extent(64), Some((64, 2144)), "up to the large one");
    assert_eq!(code.extent(144), Some((144, 2144)), "the large one alone");
    assert_eq!(code.extent(50), None, "between functions");
    assert_eq!(code.extent(5000), None);
    let far = Code {
        functions: vec![(0, 16), (1024, 2000)],
        ..Code::default()
    };
    assert_eq!(far.extent(0), Some((0, 16)), "nothing is near");
}

#[test]
fn the_c_library_of_this_machine_tells_its_variants() {
    let Some(path) = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6"]
        .into_iter()
        .find(|path| fs::metadata(path).is_ok())
    else {
        println!("SKIP: the_c_library_of_this_machine_tells_its_variants: no glibc");
        return;
    };
    let code = Code::read(File::open(path).expect("readable")).expect("an ELF file");
    // It may not be stripped.
    let is_named = code
        .ranges
        .iter()
        .any(|r| r.work == Work::Copying && r.end - r.start > 512);
    assert!(is_named || code.slots.len() >= 3, "{:?}", code.slots);
    assert!(
        is_named || code.functions.len() > 1000,
        "{}",
        code.functions.len()
    );
}

#[test]
fn what_is_no_file_of_code_is_none() {
    assert!(read(b"").is_none());
    assert!(read(b"#!/bin/sh\n").is_none());
    assert!(read(&[0x7f, b'E', b'L', b'F']).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_file_upsets_it(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40)) {
        let mut bytes = file(&[("main", 0, 100), ("memcpy", 208, 0), ("memmove", 400, 64)]);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(code) = read(&bytes) {
            for address in [0, 208, u64::MAX] {
                let _ = (code.work(address), code.bias(0, address), code.extent(address));
            }
        }
    }
}
