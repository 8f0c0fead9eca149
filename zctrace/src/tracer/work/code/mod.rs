//! What is where in an ELF file that a traced program chose: nothing in it is believed, everything is bounded.

use std::fs::File;

use gimli::{BaseAddresses, CieOrFde, EhFrame, LittleEndian, UnwindSection as _};
use object::{
    Endianness, SectionIndex, elf,
    read::{
        ReadCache, StringTable,
        elf::{
            FileHeader as _, ProgramHeader as _, Rela as _, SectionHeader as _, SectionTable,
            Sym as _,
        },
    },
};

use super::kind::{self, Work};
use crate::tracer::segments::{Segment, Segments};

/// More than this of a file is not read.
const MOST_BYTES: u64 = 96 << 20;
/// Symbols that are looked at.
const MOST_SYMBOLS: usize = 1 << 20;
/// Ranges that are kept of a file.
const MOST_RANGES: usize = 1 << 16;
/// Functions whose extents are kept, of a C library.
const MOST_FUNCTIONS: usize = 1 << 16;
const MOST_SEGMENTS: usize = 256;
const MOST_SECTIONS: usize = 1 << 14;

/// Between two functions there may be so much padding, in which nothing runs.
const PADDING: u64 = 15;

/// A function without a size and without another behind it is at most this large.
const MOST_UNSIZED: u64 = 4096;

type Header = elf::FileHeader64<Endianness>;
type Cache = ReadCache<File>;

/// Names of the functions of which glibc has a variant for each kind of processor.
const INDIRECT: [&[u8]; 5] = [
    b"memcpy",
    b"memmove",
    b"mempcpy",
    b"__memcpy_chk",
    b"__memmove_chk",
];

/// A file's code.
#[derive(Debug, Default)]
pub(super) struct Code {
    segments: Segments,
    /// Code with a name, by its address.
    ranges: Vec<Range>,
    /// Where the loader has put the addresses of the memory-copying functions that it chose for this processor.
    slots: Vec<u64>,
    /// Extents of all functions, where `slots` are some: begin and length.
    functions: Vec<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    start: u64,
    work: Work,
    end: u64,
}

impl Code {
    /// Of a file; `None` where it is no ELF file of this kind of machine, or too large.
    pub(super) fn read(file: File) -> Option<Self> {
        let cache = Cache::new(file);
        let mut reader = Reader::new(&cache)?;
        let mut code = Self {
            segments: reader.segments()?,
            ..Self::default()
        };
        let mut ranges = Vec::new();
        let mut resolvers = Vec::new();
        for kind in [elf::SHT_SYMTAB, elf::SHT_DYNSYM] {
            reader.symbols(kind, &mut ranges, &mut resolvers);
        }
        code.ranges = merged(ranges)?;
        // With its own names, a library says itself what is where.
        let is_named = code
            .ranges
            .iter()
            .any(|range| range.work == Work::Copying && range.end - range.start > 512);
        if !resolvers.is_empty() && !is_named {
            code.slots = reader.slots(&resolvers);
            code.functions = reader.functions().unwrap_or_default();
        }
        Some(code)
    }

    /// See [`Segments::bias`].
    pub(super) fn bias(&self, start: u64, offset: u64) -> Option<u64> {
        self.segments.bias(start, offset)
    }

    /// What the function at an address does; `None` where none with a name is there.
    pub(super) fn work(&self, address: u64) -> Option<Work> {
        /// Functions within functions are rare.
        const NESTED: usize = 16;
        let behind = self.ranges.partition_point(|range| range.start <= address);
        let before = self.ranges[..behind].iter().rev().take(NESTED);
        let mut around = before.filter(|range| address < range.end);
        around.next().map(|range| range.work)
    }

    /// Where to read the addresses of what the loader chose.
    pub(super) fn slots(&self) -> &[u64] {
        &self.slots
    }

    /// The extent of what the loader chose for copying memory.
    ///
    /// The variants for a kind of processor are one file of assembly: small functions in front that jump into the
    /// last one, which is large. So what follows the function is part of it, up to the first large one.
    pub(super) fn extent(&self, chosen: u64) -> Option<(u64, u64)> {
        const LARGE: u64 = 512;
        const MOST: usize = 8;
        const GAP: u64 = 64;
        let behind = self
            .functions
            .partition_point(|(start, _)| *start <= chosen);
        let first = behind.checked_sub(1)?;
        let (start, length) = self.functions[first];
        if chosen - start >= length {
            return None;
        }
        let mut end = start.checked_add(length)?;
        let mut is_large = length >= LARGE;
        for &(next, length) in self.functions[first + 1..].iter().take(MOST) {
            if is_large || next < end || next - end > GAP {
                break;
            }
            is_large = length >= LARGE;
            end = next.checked_add(length)?;
        }
        Some((start, end))
    }
}

/// Reads parts of a file within a budget.
struct Reader<'a> {
    cache: &'a Cache,
    header: &'a Header,
    endian: Endianness,
    sections: SectionTable<'a, Header, &'a Cache>,
    left: u64,
}

impl<'a> Reader<'a> {
    fn new(cache: &'a Cache) -> Option<Self> {
        let header = Header::parse(cache).ok()?;
        let endian = header.endian().ok()?;
        if header.phnum(endian, cache).ok()? > MOST_SEGMENTS
            || header.shnum(endian, cache).ok()? > MOST_SECTIONS
        {
            return None;
        }
        let sections = header.sections(endian, cache).ok()?;
        Some(Self {
            cache,
            header,
            endian,
            sections,
            left: MOST_BYTES,
        })
    }

    fn segments(&self) -> Option<Segments> {
        let headers = self.header.program_headers(self.endian, self.cache).ok()?;
        let endian = self.endian;
        let is_code = |s: &&elf::ProgramHeader64<Endianness>| {
            s.p_type(endian) == elf::PT_LOAD && s.p_flags(endian) & elf::PF_X != 0
        };
        let segment = |s: &elf::ProgramHeader64<Endianness>| {
            let start: u64 = s.p_offset(endian);
            Segment {
                file: start..start.saturating_add(s.p_filesz(endian)),
                address: s.p_vaddr(endian),
            }
        };
        Some(headers.iter().filter(is_code).map(segment).collect())
    }

    /// Takes the room for a section from the budget.
    fn take(&mut self, section: &elf::SectionHeader64<Endianness>) -> Option<()> {
        self.left = self.left.checked_sub(section.sh_size(self.endian))?;
        Some(())
    }

    fn bytes(&mut self, section: &'a elf::SectionHeader64<Endianness>) -> Option<&'a [u8]> {
        self.take(section)?;
        section.data(self.endian, self.cache).ok()
    }

    /// The sections of a kind.
    fn of_kind(&self, kind: u32) -> Vec<&'a elf::SectionHeader64<Endianness>> {
        let all = self.sections.iter();
        all.filter(|section| section.sh_type(self.endian) == kind)
            .collect()
    }

    /// What the functions of a table of symbols do, and where glibc chooses among variants.
    fn symbols(&mut self, kind: u32, ranges: &mut Vec<Range>, resolvers: &mut Vec<u64>) {
        for section in self.of_kind(kind) {
            let _ = self.symbols_of(section, ranges, resolvers);
        }
    }

    fn symbols_of(
        &mut self,
        section: &'a elf::SectionHeader64<Endianness>,
        ranges: &mut Vec<Range>,
        resolvers: &mut Vec<u64>,
    ) -> Option<()> {
        let endian = self.endian;
        let names = SectionIndex(usize::try_from(section.sh_link(endian)).ok()?);
        let names = self.sections.section(names).ok()?;
        let names = self.bytes(names)?;
        let names = StringTable::new(names, 0, names.len() as u64);
        self.take(section)?;
        let symbols: &[elf::Sym64<Endianness>] = section.data_as_array(endian, self.cache).ok()?;
        let begin = ranges.len();
        for symbol in symbols.iter().take(MOST_SYMBOLS) {
            if symbol.is_undefined(endian) || ranges.len() >= MOST_SYMBOLS {
                continue;
            }
            let start: u64 = symbol.st_value(endian);
            match symbol.st_type() {
                elf::STT_FUNC => {
                    let name = symbol.name(endian, names).unwrap_or_default();
                    ranges.push(Range {
                        start,
                        work: kind::of_function(name),
                        end: start.saturating_add(symbol.st_size(endian)),
                    });
                }
                elf::STT_GNU_IFUNC => {
                    let name = symbol.name(endian, names).unwrap_or_default();
                    if INDIRECT.contains(&name) && resolvers.len() < MOST_SEGMENTS {
                        resolvers.push(start);
                    }
                }
                _ => {}
            }
        }
        // One without a size ends where the next one begins.
        ranges[begin..].sort_unstable();
        let mut next = u64::MAX;
        let mut start = u64::MAX;
        for range in ranges[begin..].iter_mut().rev() {
            if range.start != start {
                (next, start) = (start, range.start);
            }
            if range.end == range.start {
                range.end = next.min(range.start.saturating_add(MOST_UNSIZED));
            }
        }
        Some(())
    }

    /// Where the loader puts the addresses that these resolvers return.
    fn slots(&mut self, resolvers: &[u64]) -> Vec<u64> {
        let endian = self.endian;
        let is_indirect = match self.header.e_machine(endian) {
            elf::EM_X86_64 => elf::R_X86_64_IRELATIVE,
            elf::EM_AARCH64 => elf::R_AARCH64_IRELATIVE,
            _ => return Vec::new(),
        };
        let mut slots = Vec::new();
        for section in self.of_kind(elf::SHT_RELA) {
            if self.take(section).is_none() {
                break;
            }
            let relocations: &[elf::Rela64<Endianness>] = section
                .data_as_array(endian, self.cache)
                .unwrap_or_default();
            let chosen = relocations.iter().filter(|relocation| {
                relocation.r_type(endian, false) == is_indirect
                    && resolvers.contains(&relocation.r_addend(endian).cast_unsigned())
            });
            slots.extend(
                chosen
                    .map(|relocation| relocation.r_offset(endian))
                    .take(64),
            );
        }
        slots
    }

    /// Where functions begin and how long they are, by what is there for exceptions: libraries keep it when their
    /// names are stripped.
    fn functions(&mut self) -> Option<Vec<(u64, u64)>> {
        let endian = self.endian;
        let is_it = |section: &&elf::SectionHeader64<Endianness>| {
            let name = self.sections.section_name(endian, section);
            name.is_ok_and(|name| name == b".eh_frame")
        };
        let section = self.sections.iter().find(is_it)?;
        let bases = BaseAddresses::default().set_eh_frame(section.sh_addr(endian));
        let bytes = self.bytes(section)?;
        let frames = EhFrame::new(bytes, LittleEndian);
        let mut entries = frames.entries(&bases);
        let mut functions = Vec::new();
        while let Ok(Some(entry)) = entries.next() {
            if functions.len() >= MOST_FUNCTIONS {
                break;
            }
            if let CieOrFde::Fde(partial) = entry
                && let Ok(entry) = partial.parse(EhFrame::cie_from_offset)
            {
                functions.push((entry.initial_address(), entry.len()));
            }
        }
        functions.sort_unstable();
        Some(functions)
    }
}

/// Neighbours that do the same as one; `None` where too many are left.
fn merged(mut ranges: Vec<Range>) -> Option<Vec<Range>> {
    ranges.sort_unstable();
    let mut merged: Vec<Range> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last)
                if last.work == range.work && range.start <= last.end.saturating_add(PADDING) =>
            {
                last.end = last.end.max(range.end);
            }
            _ => merged.push(range),
        }
    }
    merged.shrink_to_fit();
    (merged.len() <= MOST_RANGES).then_some(merged)
}

#[cfg(test)]
mod tests;
