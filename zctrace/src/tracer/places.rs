//! Frames of user stacks that are places in files: the kernel gives the build id of the file and the offset in it.
//!
//! Which file has a build id is learnt from the processes that live, and remembered. So the frames of a process that lives
//! for milliseconds are named by what another one of its program, or any user of the same library, has shown.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ffi::OsString,
    fs,
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
};

use aya::maps::Map;
use aya_obj::generated::{bpf_attr, bpf_cmd};
use blazesym::{
    helper::read_elf_build_id,
    symbolize::{
        Input, Symbolized, Symbolizer,
        source::{Elf, Source},
    },
};
use procfs::process::{MMPermissions, MMapPath, Process};
use zctrace_common::{USER_FRAMES, UserFrame};

/// A build id of 20 bytes; a shorter one is filled up with zeros.
type BuildId = [u8; 20];

/// Files that are remembered. Beyond that, nothing new is learnt.
const MOST_FILES: usize = 4096;
/// Processes that are looked at when a program has ended of which nobody knows anything.
const MOST_PROCESSES: usize = 256;
/// Where programs are, for those that nobody has seen alive.
const PROGRAMS: [&str; 5] = [
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/libexec",
];

/// The frames of a user's stack; none if there is no such stack.
pub(super) fn of_stack(map: &Map, id: i32) -> Vec<UserFrame> {
    let (Map::StackTraceMap(data), Ok(id)) = (map, u32::try_from(id)) else {
        return Vec::new();
    };
    let mut frames = [UserFrame::default(); USER_FRAMES];
    // SAFETY: a plain C union for which all zeros are a value.
    let mut attr: bpf_attr = unsafe { std::mem::zeroed() };
    attr.__bindgen_anon_2.map_fd = data.fd().as_fd().as_raw_fd().cast_unsigned();
    attr.__bindgen_anon_2.key = (&raw const id) as u64;
    attr.__bindgen_anon_2.__bindgen_anon_1.value = frames.as_mut_ptr() as u64;
    // SAFETY: the map's values have the length of `frames` (`zctrace-ebpf/src/book/stacks.rs`).
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            bpf_cmd::BPF_MAP_LOOKUP_ELEM as libc::c_long,
            &raw mut attr,
            size_of::<bpf_attr>(),
        )
    };
    if result != 0 {
        return Vec::new();
    }
    let frames = frames.into_iter();
    frames
        .take_while(|frame| frame.status != UserFrame::EMPTY)
        .collect()
}

/// A file with a build id.
struct File {
    /// Where it can be read.
    path: PathBuf,
    /// Its name, for places without a symbol.
    name: String,
    /// Its length. The kernel takes an address below the first mapping for a place before its file, because
    /// `find_vma` in `stack_map_get_build_id_offset` finds the next mapping.
    length: u64,
}

/// The files that are known by their build ids.
#[derive(Default)]
pub(super) struct Files {
    files: HashMap<BuildId, File>,
    /// Device and inode of the files that were looked at, with a build id or without.
    seen: HashSet<(u64, u64)>,
    /// Programs that were looked for by their names.
    tried: HashSet<String>,
    /// The processes that live were looked at for a build id that nobody knew, when this many files were known.
    looked: Option<usize>,
}

impl Files {
    /// The names of places in files. `pid` is the process where it lives, `comm` its name.
    pub(super) fn name(
        &mut self,
        symbolizer: &Symbolizer,
        all: &BTreeSet<UserFrame>,
        pid: Option<u32>,
        comm: Option<&str>,
    ) -> HashMap<UserFrame, String> {
        let places = || all.iter().filter(|at| at.status == UserFrame::IN_FILE);
        let is_known = |files: &HashMap<_, _>| places().all(|at| files.contains_key(&at.build_id));
        if !is_known(&self.files)
            && let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok())
        {
            self.learn(pid);
        }
        if !is_known(&self.files)
            && let Some(comm) = comm
        {
            self.learn_program(comm);
        }
        if !is_known(&self.files) && self.looked != Some(self.files.len()) {
            self.learn_all();
        }
        let mut by_file: HashMap<BuildId, Vec<u64>> = HashMap::new();
        for place in places() {
            by_file.entry(place.build_id).or_default().push(place.at);
        }
        let mut names = HashMap::new();
        for (build_id, offsets) in by_file {
            let Some(file) = self.files.get(&build_id) else {
                continue;
            };
            let mut elf = Elf::new(&file.path);
            elf.debug_syms = false;
            let source = Source::Elf(elf);
            let named = symbolizer.symbolize(&source, Input::FileOffset(&offsets));
            let named = named.unwrap_or_default();
            for (index, &at) in offsets.iter().enumerate() {
                let name = match named.get(index) {
                    _ if at >= file.length => "[unmapped]".to_owned(),
                    Some(Symbolized::Sym(symbol)) => symbol.name.to_string(),
                    _ => format!("{}+{at:#x}", file.name),
                };
                let frame = UserFrame {
                    status: UserFrame::IN_FILE,
                    build_id,
                    at,
                };
                names.insert(frame, name);
            }
        }
        names
    }

    /// Learns the files whose code a process has mapped.
    fn learn(&mut self, pid: i32) {
        let Ok(maps) = Process::new(pid).and_then(|process| process.maps()) else {
            return;
        };
        let code = maps
            .into_iter()
            .filter(|map| map.perms.contains(MMPermissions::EXECUTE));
        for map in code {
            if let MMapPath::Path(path) = map.pathname {
                let mut place = OsString::from(format!("/proc/{pid}/root"));
                place.push(&path);
                self.learn_file(&path, Path::new(&place));
            }
        }
    }

    /// Learns a file, which the process that has it mapped finds at `path`. It is read at `place`.
    fn learn_file(&mut self, path: &Path, place: &Path) {
        if self.seen.len() >= MOST_FILES {
            return;
        }
        let id = |file: &fs::Metadata| (file.dev(), file.ino());
        let Ok(found) = fs::metadata(place) else {
            return;
        };
        let file = id(&found);
        if !self.seen.insert(file) {
            return;
        }
        // What an ended process had in its own namespace of mounts cannot be found any more.
        let here = fs::metadata(path).is_ok_and(|here| id(&here) == file);
        let path = if here { path } else { place };
        let Ok(Some(build_id)) = read_elf_build_id(path) else {
            return;
        };
        let mut key = BuildId::default();
        let length = build_id.len().min(key.len());
        key[..length].copy_from_slice(&build_id[..length]);
        let name = path.file_name().unwrap_or_default();
        self.files.entry(key).or_insert_with(|| File {
            path: path.to_owned(),
            name: name.to_string_lossy().into_owned(),
            length: found.len(),
        });
    }

    /// Learns the program of this name that is installed.
    fn learn_program(&mut self, comm: &str) {
        let is_name = !comm.is_empty() && !comm.contains('/') && !comm.starts_with('.');
        if !is_name || self.tried.len() >= MOST_FILES || !self.tried.insert(comm.to_owned()) {
            return;
        }
        for directory in PROGRAMS {
            let path = Path::new(directory).join(comm);
            if let Ok(path) = path.canonicalize() {
                self.learn_file(&path, &path);
            }
        }
    }

    /// Learns from the processes that live: their libraries are those of others as well.
    fn learn_all(&mut self) {
        let Ok(processes) = procfs::process::all_processes() else {
            return;
        };
        for process in processes.flatten().take(MOST_PROCESSES) {
            self.learn(process.pid);
        }
        self.looked = Some(self.files.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This program is known by its build id once a process that has it mapped was looked at.
    #[test]
    fn a_place_in_a_file_is_named_without_the_process() {
        let own = std::env::current_exe().unwrap();
        let Some(build_id) = read_elf_build_id(&own).unwrap() else {
            panic!("the test has no build id");
        };
        let mut frame = UserFrame {
            status: UserFrame::IN_FILE,
            at: 0,
            ..UserFrame::default()
        };
        frame.build_id.copy_from_slice(&build_id);
        let all = BTreeSet::from([frame]);
        let symbolizer = Symbolizer::new();
        let mut files = Files {
            looked: Some(0),
            ..Files::default()
        };
        assert!(files.name(&symbolizer, &all, None, None).is_empty());
        files.learn(std::process::id().cast_signed());
        let names = files.name(&symbolizer, &all, None, None);
        // A symbol, if the linker left one there, or the file and the offset in it.
        let name = names.get(&frame).expect("a name");
        assert!(!name.starts_with('['), "{name}");
        let beyond = UserFrame {
            at: u64::MAX - 4096,
            ..frame
        };
        let names = files.name(&symbolizer, &BTreeSet::from([beyond]), None, None);
        assert_eq!(names.get(&beyond).map(String::as_str), Some("[unmapped]"));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut files = Files::default();
        for number in 0..MOST_FILES + 10 {
            files.learn_program(&format!("no-such-program-{number}"));
        }
        assert_eq!(files.tried.len(), MOST_FILES);
        files.learn_program("../bin/sh");
        assert!(files.files.is_empty());
    }
}
