//! The processes whose stacks are unwound: which file is mapped where.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    ops::Range,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use blazesym::symbolize::Symbolizer;
use framehop::{FrameAddress, Module, Unwinder as _};
use procfs::process::{MMPermissions, MMapPath, MemoryMap};

use super::{Place, Unwound, code::Code, sample::Sample};
use crate::{kernel::TICK_NS, ledger::Stack, target::View};

#[cfg(target_arch = "aarch64")]
use framehop::aarch64::{
    CacheAarch64 as Cache, PtrAuthMask, UnwindRegsAarch64 as Registers, UnwinderAarch64,
};
#[cfg(target_arch = "x86_64")]
use framehop::x86_64::{CacheX86_64 as Cache, UnwindRegsX86_64 as Registers, UnwinderX86_64};

#[cfg(target_arch = "aarch64")]
type Rules = UnwinderAarch64<Arc<[u8]>>;
#[cfg(target_arch = "x86_64")]
type Rules = UnwinderX86_64<Arc<[u8]>>;

/// Processes that are remembered. Beyond that, all are forgotten and learnt again.
const MOST_PROCESSES: usize = 256;
/// Files that are remembered. Beyond that, nothing new is learnt before the next question.
const MOST_FILES: usize = 512;
/// How often the mappings of a process are read again as soon as a stack cannot be unwound: it loads its libraries.
const HASTY: u32 = 8;
/// Later they are not read again before this many times as long as it took to read them. This bounds what it costs where
/// a stack can never be unwound.
const PATIENCE: u32 = 20;
/// Frames of a stack.
const MOST_FRAMES: usize = 256;

/// Whether a stack begins where its thread did.
fn is_whole(frames: &[At]) -> bool {
    frames.first().is_some_and(|frame| *frame != At::Truncated)
}

/// A process: its id in the initial PID namespace and its start in nanoseconds.
type Id = (u32, u64);
/// Device and inode.
type FileId = (u64, u64);

/// Where a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum At {
    /// At an offset in a file, which has this number.
    File(usize, u64),
    /// In code of no file, or of one that could not be read.
    Nowhere,
    /// Farther out than the stack could be unwound.
    Truncated,
}

/// Every process that is known.
pub(super) struct Processes {
    view: Option<View>,
    symbolizer: Symbolizer,
    known: HashMap<Id, Process>,
    /// The number of each file, none of what is no ELF file.
    files: HashMap<FileId, Option<usize>>,
    codes: Vec<Code>,
    cache: Cache,
}

/// The code that a process has mapped.
struct Process {
    rules: Rules,
    mapped: Vec<Mapped>,
    /// How often this was read.
    readings: u32,
    read_at: Instant,
    took: Duration,
}

/// Memory of a process that has code.
struct Mapped {
    addresses: Range<u64>,
    offset: u64,
    /// The number of the file; none of code that was made in memory.
    code: Option<usize>,
}

impl Processes {
    pub(super) fn new() -> Self {
        Self {
            view: View::detect()
                .ok()
                .filter(|view| view.root() == Path::new("/proc")),
            symbolizer: Symbolizer::builder()
                .enable_code_info(false)
                .enable_inlined_fns(false)
                .build(),
            known: HashMap::new(),
            files: HashMap::new(),
            codes: Vec::new(),
            cache: Cache::new(),
        }
    }

    /// The frames of a sample's user stack; nothing if the process has ended before it was known.
    pub(super) fn unwind(&mut self, sample: &Sample<'_>) -> Option<Arc<[At]>> {
        let id = (sample.key.tgid, sample.key.start_ns);
        if let Some(frames) = self.frames(id, sample)
            && (is_whole(&frames) || self.known[&id].is_believed())
        {
            return Some(frames);
        }
        // It is new, or may have loaded a library since.
        if let Some(mut process) = self.read(id) {
            if let Some(known) = self.known.get(&id) {
                process.readings = known.readings.saturating_add(1);
            }
            if self.known.len() >= MOST_PROCESSES {
                self.known.clear();
            }
            self.known.insert(id, process);
        }
        self.frames(id, sample)
    }

    /// What the known code of a process says.
    fn frames(&mut self, id: Id, sample: &Sample<'_>) -> Option<Arc<[At]>> {
        let process = self.known.get(&id)?;
        let mut read = |address: u64| sample.word(address).ok_or(());
        let mut frames =
            process
                .rules
                .iter_frames(sample.pc, registers(sample), &mut self.cache, &mut read);
        let mut places = Vec::new();
        loop {
            match frames.next() {
                Ok(Some(frame))
                    if places.len() < MOST_FRAMES
                        && let Some(place) = process.place_of(frame) =>
                {
                    places.push(place);
                }
                Ok(None) => break,
                // The stack goes on where it was not kept, is too deep, or what was found there is no code.
                _ => {
                    places.push(At::Truncated);
                    break;
                }
            }
        }
        places.reverse();
        Some(places.into())
    }

    fn read(&mut self, (tgid, start_ns): Id) -> Option<Process> {
        let begin = Instant::now();
        let view = self.view.as_ref()?;
        let pid = view.to_user(tgid);
        let process = view.process(pid).ok()?;
        // From here on everything is read of this process, whoever gets its id.
        if process.stat().ok()?.starttime != start_ns / TICK_NS {
            return None;
        }
        let maps = process.maps().ok()?;
        // Opened before any is read: that takes longer than many a process lives.
        let files: Vec<_> = maps
            .into_iter()
            .filter(|map| map.perms.contains(MMPermissions::EXECUTE))
            .map(|map| (MappedFile::open(pid, &map), map))
            .collect();
        let mut rules = Rules::new();
        let mut mapped = Vec::new();
        for (file, map) in files {
            let code = file.and_then(|file| self.number_of(file));
            let addresses = map.address.0..map.address.1;
            if let Some(known) = code.map(|code| &self.codes[code])
                && let Some(bias) = known.bias(map.address.0, map.offset)
            {
                let sections = known.sections();
                rules.add_module(Module::new(
                    String::new(),
                    addresses.clone(),
                    bias,
                    sections,
                ));
            }
            mapped.push(Mapped {
                addresses,
                offset: map.offset,
                code,
            });
        }
        Some(Process {
            rules,
            mapped,
            readings: 1,
            read_at: Instant::now(),
            took: begin.elapsed(),
        })
    }

    /// The number of a file, which is read if it is new.
    fn number_of(&mut self, file: MappedFile) -> Option<usize> {
        if let Some(known) = self.files.get(&file.id) {
            return *known;
        }
        if self.files.len() >= MOST_FILES {
            return None;
        }
        let id = file.id;
        let number = Code::read(file.opened, file.path, file.name).map(|code| {
            self.codes.push(code);
            self.codes.len() - 1
        });
        self.files.insert(id, number);
        number
    }

    /// The same places with the names of their frames.
    pub(super) fn named(
        &mut self,
        unwound: impl Iterator<Item = (Place<Arc<[At]>>, u64)>,
    ) -> Unwound {
        let mut named = Unwound::new();
        for (place, bytes) in unwound {
            let names = |frames: Arc<[At]>| frames.iter().map(|at| self.name(*at)).collect();
            let place = Place {
                key: place.key,
                frames: place.frames.map(names),
            };
            let sum = named.entry(place).or_default();
            *sum = sum.saturating_add(bytes);
        }
        // Nobody refers to a number any more.
        if self.files.len() >= MOST_FILES {
            self.known.clear();
            self.files.clear();
            self.codes.clear();
        }
        named
    }

    fn name(&mut self, at: At) -> Arc<str> {
        match at {
            At::File(code, offset) => self.codes[code].name_at(&self.symbolizer, offset),
            At::Nowhere => "[no file]".into(),
            At::Truncated => Stack::TRUNCATED.into(),
        }
    }
}

/// A file that a process has mapped.
struct MappedFile {
    id: FileId,
    opened: File,
    /// Where it is found later.
    path: PathBuf,
    name: String,
}

impl MappedFile {
    fn open(pid: u32, map: &MemoryMap) -> Option<Self> {
        let MMapPath::Path(path) = &map.pathname else {
            return None;
        };
        let mut place = OsString::from(format!("/proc/{pid}/root"));
        place.push(path);
        let place = Path::new(&place);
        // A device, a pipe or another file can have taken the name: to open one can wait, or do something.
        let found = |path: &Path| {
            let file = fs::metadata(path).ok()?;
            (file.is_file() && file.ino() == map.inode).then(|| (file.dev(), file.ino()))
        };
        let here = found(path);
        // Where the process has ended, its mounts are gone. Inodes of two filesystems can have one number.
        let id = found(place).or_else(|| {
            let device = libc::makedev(map.dev.0.cast_unsigned(), map.dev.1.cast_unsigned());
            here.filter(|(found, _)| *found == device)
        })?;
        // By the name that is still good when it has ended, if its mounts are ours.
        let path = if here == Some(id) { path } else { place };
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .ok()?;
        let is_it = opened.metadata().ok()?;
        if (is_it.dev(), is_it.ino()) != id {
            return None;
        }
        Some(Self {
            id,
            opened,
            path: path.to_owned(),
            name: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        })
    }
}

impl Process {
    /// Nothing if there is no code.
    fn place_of(&self, frame: FrameAddress) -> Option<At> {
        let address = frame.address_for_lookup();
        let mapped = self
            .mapped
            .iter()
            .find(|mapped| mapped.addresses.contains(&address))?;
        let within = address - mapped.addresses.start;
        Some(mapped.code.map_or(At::Nowhere, |code| {
            At::File(code, mapped.offset.wrapping_add(within))
        }))
    }

    /// Whether its mappings need not be read again.
    fn is_believed(&self) -> bool {
        self.readings > HASTY && self.read_at.elapsed() < self.took * PATIENCE
    }
}

#[cfg(target_arch = "x86_64")]
fn registers(sample: &Sample<'_>) -> Registers {
    Registers::new(sample.pc, sample.sp, sample.fp)
}

#[cfg(target_arch = "aarch64")]
fn registers(sample: &Sample<'_>) -> Registers {
    // Addresses of user space have 48 bits; above them is the authentication code of a return address.
    let mask = PtrAuthMask::from_max_known_address((1 << 48) - 1);
    Registers::new_with_ptr_auth_mask(mask, sample.lr, sample.sp, sample.fp)
}
