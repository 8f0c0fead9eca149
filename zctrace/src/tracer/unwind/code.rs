//! What a file says about unwinding its code, and the names of places in it.

use std::{collections::HashMap, fs::File, ops::Range, path::PathBuf, sync::Arc};

use blazesym::symbolize::{
    Input, Symbolized, Symbolizer,
    source::{Elf, Source},
};
use framehop::ExplicitModuleSectionInfo;
use object::{Object as _, ObjectSection as _, ObjectSegment as _, ReadCache};

use crate::tracer::segments::{Segment, Segments};

/// The most that is read of a section.
const LONGEST: u64 = 64 << 20;
/// Names that are remembered of a file.
const MOST_NAMES: usize = 65_536;

/// A section: its place in the file's own addresses, and what is in it.
#[derive(Clone)]
struct Section {
    addresses: Range<u64>,
    data: Arc<[u8]>,
}

/// A file with code.
pub(super) struct Code {
    path: PathBuf,
    /// Its name, for places without a symbol.
    name: String,
    segments: Segments,
    text: Option<Range<u64>>,
    eh_frame: Option<Section>,
    eh_frame_hdr: Option<Section>,
    got: Option<Range<u64>>,
    names: HashMap<u64, Arc<str>>,
}

impl Code {
    /// Reads a file, which is found at `path` later; nothing if it is no ELF file.
    pub(super) fn read(opened: File, path: PathBuf, name: String) -> Option<Self> {
        let cache = ReadCache::new(opened);
        let file = object::File::parse(&cache).ok()?;
        let section = |name: &str| -> Option<Section> {
            let section = file.section_by_name(name)?;
            let (address, size) = (section.address(), section.size());
            let data = if size > LONGEST {
                return None;
            } else {
                section.data().ok()?.into()
            };
            let addresses = address..address.checked_add(size)?;
            Some(Section { addresses, data })
        };
        let range = |name: &str| {
            let section = file.section_by_name(name)?;
            Some(section.address()..section.address().checked_add(section.size())?)
        };
        let segments = file.segments().filter_map(|segment| {
            let (start, size) = segment.file_range();
            let is_code = segment.permissions().executable();
            is_code.then_some(Segment {
                file: start..start.saturating_add(size),
                address: segment.address(),
            })
        });
        Some(Self {
            path,
            name,
            segments: segments.collect(),
            text: range(".text"),
            eh_frame: section(".eh_frame"),
            eh_frame_hdr: section(".eh_frame_hdr"),
            got: range(".got"),
            names: HashMap::new(),
        })
    }

    /// See [`Segments::bias`].
    pub(super) fn bias(&self, start: u64, offset: u64) -> Option<u64> {
        self.segments.bias(start, offset)
    }

    pub(super) fn sections(&self) -> ExplicitModuleSectionInfo<Arc<[u8]>> {
        let addresses = |section: &Option<Section>| section.as_ref().map(|it| it.addresses.clone());
        let data = |section: &Option<Section>| section.as_ref().map(|it| it.data.clone());
        ExplicitModuleSectionInfo {
            base_svma: 0,
            text_svma: self.text.clone(),
            eh_frame_svma: addresses(&self.eh_frame),
            eh_frame: data(&self.eh_frame),
            eh_frame_hdr_svma: addresses(&self.eh_frame_hdr),
            eh_frame_hdr: data(&self.eh_frame_hdr),
            got_svma: self.got.clone(),
            ..ExplicitModuleSectionInfo::default()
        }
    }

    /// The function at an offset of the file, or the file and the offset.
    pub(super) fn name_at(&mut self, symbolizer: &Symbolizer, offset: u64) -> Arc<str> {
        if let Some(name) = self.names.get(&offset) {
            return name.clone();
        }
        let mut elf = Elf::new(&self.path);
        elf.debug_syms = false;
        let named = symbolizer.symbolize(&Source::Elf(elf), Input::FileOffset(&[offset]));
        let name: Arc<str> = match named.ok().and_then(|named| named.into_iter().next()) {
            Some(Symbolized::Sym(symbol)) => symbol.name.as_ref().into(),
            _ => format!("{}+{offset:#x}", self.name).into(),
        };
        if self.names.len() >= MOST_NAMES {
            self.names.clear();
        }
        self.names.insert(offset, name.clone());
        name
    }
}
