//! The code that a process has mapped.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

use nix::libc;
use procfs::process::{MMPermissions, MMapPath, MemoryMap, Process};

use super::{
    code::Code,
    kind::{self, Work},
};

/// Files whose code is remembered.
const MOST_FILES: usize = 512;
/// Files that one process can make zctrace read at a time.
const MOST_NEW: usize = 128;
/// Mappings of a process that are looked at.
const MOST_MAPPINGS: usize = 4096;

/// A file's device and inode.
type Inode = ((i32, i32), u64);

/// The code of files; `None` for what is no code.
#[derive(Default)]
pub(super) struct Files {
    known: HashMap<Inode, Option<Rc<Code>>>,
    /// Until when new ones may be read.
    until: Option<Instant>,
}

impl Files {
    /// New ones may be read for so long: a target that maps thousands of large files cannot keep zctrace busy.
    pub(super) fn allow(&mut self, time: Duration) {
        self.until = Some(Instant::now() + time);
    }
}

/// The code of a process, by its addresses.
#[derive(Default)]
pub(super) struct Mappings(Vec<Mapping>);

struct Mapping {
    start: u64,
    end: u64,
    /// What every function there does.
    all: Option<Work>,
    /// Its functions without a name do nothing that is asked for.
    plain: bool,
    code: Option<Rc<Code>>,
    /// What to take from an address for the file's own numbering.
    bias: u64,
    /// Where memory is copied, in the file's own numbering.
    copying: Vec<(u64, u64)>,
}

impl Mapping {
    fn work(&self, address: u64) -> Option<Work> {
        if self.all.is_some() {
            return self.all;
        }
        let code = self.code.as_ref()?;
        let address = address.wrapping_sub(self.bias);
        let mut copying = self.copying.iter();
        if copying.any(|(start, end)| (*start..*end).contains(&address)) {
            return Some(Work::Copying);
        }
        // Before the loader has said where it copies, all of it could.
        let is_known = code.slots().is_empty() || !self.copying.is_empty();
        let known = code.work(address);
        let plain = (self.plain && is_known).then_some(Work::Other);
        known.or(plain)
    }
}

impl Mappings {
    /// Those of a process; `None` where they cannot be read.
    pub(super) fn read(process: &Process, root: &Path, files: &mut Files) -> Option<Self> {
        let maps = process.maps().ok()?;
        let mut all = Vec::new();
        let mut sources = Sources::new(process, root);
        for map in maps.iter().take(MOST_MAPPINGS) {
            if map.perms.contains(MMPermissions::EXECUTE) {
                all.push(sources.mapping(map, files));
            }
        }
        Some(Self(all))
    }

    /// Whether an address is within code that was there.
    pub(super) fn has(&self, address: u64) -> bool {
        self.at(address).is_some()
    }

    /// What is done at an address; `None` where nobody knows.
    pub(super) fn work(&self, address: u64) -> Option<Work> {
        self.at(address)?.work(address)
    }

    fn at(&self, address: u64) -> Option<&Mapping> {
        let behind = self.0.partition_point(|mapping| mapping.start <= address);
        let mapping = self.0.get(behind.checked_sub(1)?)?;
        (address < mapping.end).then_some(mapping)
    }
}

/// Where the files of a process can be read.
struct Sources<'a> {
    process: &'a Process,
    /// Its directory in /proc.
    home: PathBuf,
    /// Its memory, once it is asked for.
    memory: Option<Option<File>>,
    /// Devices on which a file's server can let a reader wait for ever.
    served: Option<Vec<String>>,
    new: usize,
}

impl<'a> Sources<'a> {
    fn new(process: &'a Process, root: &Path) -> Self {
        Self {
            process,
            home: root.join(process.pid.to_string()),
            memory: None,
            served: None,
            new: 0,
        }
    }

    fn mapping(&mut self, map: &MemoryMap, files: &mut Files) -> Mapping {
        let (start, end) = map.address;
        let mut mapping = Mapping {
            start,
            end,
            all: None,
            plain: false,
            code: None,
            bias: 0,
            copying: Vec::new(),
        };
        let path = match &map.pathname {
            MMapPath::Path(path) => path,
            // The kernel's own: clocks, and signals.
            MMapPath::Vdso | MMapPath::Vsyscall => {
                mapping.all = Some(Work::Other);
                return mapping;
            }
            _ => return mapping,
        };
        let name = path
            .file_name()
            .map_or(&b""[..], |name| name.as_encoded_bytes());
        mapping.all = kind::of_library(name);
        mapping.plain = kind::is_plain_library(name);
        if mapping.all.is_some() {
            return mapping;
        }
        let Some(code) = self.code(map, path, files) else {
            return mapping;
        };
        let Some(bias) = code.bias(start, map.offset) else {
            return mapping;
        };
        mapping.bias = bias;
        for slot in code.slots() {
            let chosen = self.word(slot.wrapping_add(mapping.bias));
            let extent = chosen.and_then(|at| code.extent(at.wrapping_sub(mapping.bias)));
            if let Some(extent) = extent
                && !mapping.copying.contains(&extent)
            {
                mapping.copying.push(extent);
            }
        }
        mapping.code = Some(code);
        mapping
    }

    /// The code of a mapped file, read at most once.
    fn code(&mut self, map: &MemoryMap, path: &Path, files: &mut Files) -> Option<Rc<Code>> {
        let key = (map.dev, map.inode);
        if let Some(known) = files.known.get(&key) {
            return known.clone();
        }
        let is_late = files.until.is_none_or(|until| Instant::now() >= until);
        if is_late || self.new >= MOST_NEW || self.is_served(map) {
            return None;
        }
        self.new += 1;
        let file = self.open(map, path)?;
        let code = Code::read(file).map(Rc::new);
        if files.known.len() >= MOST_FILES {
            files.known.clear();
        }
        files.known.insert(key, code.clone());
        code
    }

    /// The file itself, whatever its path is now; where that is not permitted, what the path leads to, if that is the
    /// same file.
    fn open(&self, map: &MemoryMap, path: &Path) -> Option<File> {
        let (start, end) = map.address;
        let itself = self.home.join(format!("map_files/{start:x}-{end:x}"));
        let by_path = self.home.join("root").join(path.strip_prefix("/").ok()?);
        [itself, by_path].iter().find_map(|path| {
            let mut options = OpenOptions::new();
            // It can be a pipe by now, which would wait for a writer.
            let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path);
            let file = file.ok()?;
            let found = file.metadata().ok()?;
            (found.is_file() && found.ino() == map.inode).then_some(file)
        })
    }

    fn is_served(&mut self, map: &MemoryMap) -> bool {
        let process = self.process;
        let served = self.served.get_or_insert_with(|| {
            let mounts = process.mountinfo().map(|all| all.0).unwrap_or_default();
            let served = mounts.into_iter().filter(|m| m.fs_type.starts_with("fuse"));
            served.map(|mount| mount.majmin).collect()
        });
        let device = format!("{}:{}", map.dev.0, map.dev.1);
        served.contains(&device)
    }

    /// A word of its memory.
    fn word(&mut self, address: u64) -> Option<u64> {
        let process = self.process;
        let memory = self
            .memory
            .get_or_insert_with(|| process.mem().ok())
            .as_ref()?;
        let mut word = [0; 8];
        memory.read_exact_at(&mut word, address).ok()?;
        Some(u64::from_le_bytes(word))
    }
}
