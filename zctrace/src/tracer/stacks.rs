//! Reading sampled stacks and naming their frames.
//!
//! Most frames are places in files, which mean the same once the process has ended (`places.rs`). Others are addresses.
//! They are named while the process lives. What could not be named says so.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap as StdHashMap, HashSet},
    sync::Arc,
};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, StackTraceMap},
};
use blazesym::{
    ErrorKind, MaybeDefault, Pid,
    symbolize::{
        Input, Reason, Symbolized, Symbolizer,
        source::{Kernel, Process, Source},
    },
};
use procfs::process::{MMPermissions, MMapPath};
use zctrace_common::{StackKey, StackKind, UserFrame};

use super::{
    Error, map, places,
    unwind::{Frames, Place, Unwinder, Unwound},
};
use crate::{
    kernel::TICK_NS,
    ledger::{self, Stack, Stacks},
    target::View,
};

/// Room for different stacks, and for stacks of processes.
pub(super) const ROOM: u32 = 16_384;

/// What the kernel answers where another stack has the same slot.
const EEXIST: i32 = -libc::EEXIST;

/// The only frame of a stack of which nothing could be named.
const ENDED: &str = "[ended before it was read]";

/// A process: its id in the initial PID namespace and its start in nanoseconds.
type Id = (u32, u64);

pub(super) struct Sampler {
    symbolizer: Symbolizer,
    view: Option<View>,
    kernel: StdHashMap<i32, Frames>,
    user: StdHashMap<(Id, i32), Frames>,
    comms: StdHashMap<Id, Arc<str>>,
    files: places::Files,
    names: Names,
    unwinder: Option<Unwinder>,
    /// What it has unwound so far.
    unwound: Unwound,
    /// Bytes of stacks for which there was no room there.
    lost: u64,
}

/// Names, each kept once.
#[derive(Default)]
struct Names(HashSet<Arc<str>>);

impl Names {
    fn keep(&mut self, name: &str) -> Arc<str> {
        if let Some(name) = self.0.get(name) {
            return name.clone();
        }
        let name: Arc<str> = name.into();
        self.0.insert(name.clone());
        name
    }
}

impl Sampler {
    /// With an unwinder, stacks come from there, and those it could not unwind say that they may be truncated.
    pub(super) fn new(unwinder: Option<Unwinder>) -> Self {
        Self {
            symbolizer: Symbolizer::builder()
                .enable_code_info(false)
                .enable_inlined_fns(false)
                .build(),
            // Names are those of the processes that /proc shows.
            view: View::detect()
                .ok()
                .filter(|view| view.root() == std::path::Path::new("/proc")),
            kernel: StdHashMap::new(),
            user: StdHashMap::new(),
            comms: StdHashMap::new(),
            files: places::Files::default(),
            names: Names::default(),
            unwinder,
            unwound: Unwound::new(),
            lost: 0,
        }
    }

    /// Takes what was unwound since the last time.
    fn take(&mut self) {
        let Some(unwinder) = &self.unwinder else {
            return;
        };
        for (place, bytes) in unwinder.take() {
            if self.unwound.len() >= ROOM as usize && !self.unwound.contains_key(&place) {
                self.lost = self.lost.saturating_add(bytes);
                continue;
            }
            let sum = self.unwound.entry(place).or_default();
            *sum = sum.saturating_add(bytes);
        }
    }

    /// Everything sampled since the start.
    pub(super) fn read(
        &mut self,
        ebpf: &mut Ebpf,
        processes: &[ledger::Process],
    ) -> Result<Stacks, Error> {
        let comms: StdHashMap<_, _> = processes
            .iter()
            .map(|process| ((process.pid, process.start_time), process.comm.as_str()))
            .collect();
        let lost: Array<_, u64> = Array::try_from(map(ebpf, "STACK_LOST"))?;
        let lost = lost.get(&0, 0)?;
        self.take();
        let lost = lost.saturating_add(self.lost);
        let sampled: HashMap<&mut MapData, StackKey, u64> =
            HashMap::try_from(map(ebpf, "STACK_BYTES"))?;
        let sampled = sampled.iter().flatten().map(|(key, bytes)| {
            let place = Place { key, frames: None };
            (place, bytes)
        });
        let unwound = self.unwound.iter();
        let unwound = unwound.map(|(place, bytes)| (place.clone(), *bytes));
        let sampled: Vec<_> = sampled.chain(unwound).collect();
        let traces = StackTraceMap::try_from(map(ebpf, "STACKS"))?;
        let addresses = |id: i32| -> Vec<u64> {
            let Ok(id) = u32::try_from(id) else {
                return Vec::new();
            };
            traces.get(&id, 0).map_or_else(
                |_| Vec::new(),
                |trace| trace.frames().iter().map(|frame| frame.ip).collect(),
            )
        };
        let mut unnamed: BTreeMap<Id, Vec<i32>> = BTreeMap::new();
        for (Place { key, frames }, _) in &sampled {
            if key.kernel >= 0 && !self.kernel.contains_key(&key.kernel) {
                let frames = self.name_kernel(&addresses(key.kernel));
                self.kernel.insert(key.kernel, frames);
            }
            let id = (key.tgid, key.start_ns);
            if frames.is_none() && key.user >= 0 && !self.user.contains_key(&(id, key.user)) {
                unnamed.entry(id).or_default().push(key.user);
            }
        }
        let users = map(ebpf, "USER_STACKS");
        for (id, mut stacks) in unnamed {
            stacks.sort_unstable();
            stacks.dedup();
            let places: Vec<_> = stacks
                .iter()
                .map(|&stack| places::of_stack(users, stack))
                .collect();
            let comm = comms.get(&(id.0, id.1 / TICK_NS)).copied();
            let frames = self.name_user(id, comm, &places);
            for (stack, frames) in stacks.into_iter().zip(frames) {
                self.user.insert((id, stack), frames);
            }
        }
        let mut stacks = Stacks {
            bytes: BTreeMap::new(),
            lost,
        };
        for (
            Place {
                key,
                frames: unwound,
            },
            bytes,
        ) in sampled
        {
            let Some(kind) = StackKind::from_raw(key.kind) else {
                continue;
            };
            let id = (key.tgid, key.start_ns);
            let mut frames = Vec::new();
            if let Some(unwound) = &unwound {
                frames.extend(unwound.iter().cloned());
            } else if self.unwinder.is_some() && key.user != StackKey::NONE {
                frames.push(self.names.keep(Stack::TRUNCATED));
            }
            match self.user.get(&(id, key.user)) {
                _ if unwound.is_some() => {}
                Some(named) => frames.extend(named.iter().cloned()),
                None if key.user == EEXIST => frames.push(self.names.keep("[user stack lost]")),
                None if key.user != StackKey::NONE => {
                    frames.push(self.names.keep("[no user stack]"));
                }
                None => {}
            }
            match self.kernel.get(&key.kernel) {
                Some(named) => frames.extend(named.iter().cloned()),
                None if key.kernel == EEXIST => frames.push(self.names.keep("[kernel stack lost]")),
                None if key.kernel != StackKey::NONE => {
                    frames.push(self.names.keep("[no kernel stack]"));
                }
                None => {}
            }
            let stack = Stack {
                pid: key.tgid,
                start_time: key.start_ns / TICK_NS,
                comm: self.comm(id, &comms),
                class: self.names.keep(kind.name()),
                frames,
            };
            let sum = stacks.bytes.entry(stack).or_default();
            *sum = sum.saturating_add(bytes);
        }
        Ok(stacks)
    }

    /// The process as `/proc` shows it, if it is still that one.
    fn alive(&self, (tgid, start_ns): Id) -> Option<procfs::process::Stat> {
        let view = self.view.as_ref()?;
        let stat = view.process(view.to_user(tgid)).ok()?.stat().ok()?;
        (stat.starttime == start_ns / TICK_NS).then_some(stat)
    }

    /// The first name that was seen: a stack must not change its identity between two readings.
    fn comm(&mut self, id: Id, comms: &StdHashMap<(u32, u64), &str>) -> Arc<str> {
        if let Some(comm) = self.comms.get(&id) {
            return comm.clone();
        }
        let comm = match comms.get(&(id.0, id.1 / TICK_NS)) {
            Some(comm) => self.names.keep(comm),
            // A kernel thread, or a process without a row.
            None => match self.alive(id) {
                Some(stat) => self.names.keep(&stat.comm),
                None => self.names.keep("[ended]"),
            },
        };
        self.comms.insert(id, comm.clone());
        comm
    }

    fn name_kernel(&mut self, addresses: &[u64]) -> Frames {
        let source = Source::Kernel(Kernel {
            vmlinux: MaybeDefault::None,
            ..Kernel::default()
        });
        let named = self
            .symbolizer
            .symbolize(&source, Input::AbsAddr(addresses));
        let mut frames: Vec<Arc<str>> = Vec::with_capacity(addresses.len());
        for index in 0..addresses.len() {
            let symbol = match named.as_ref().map(|named| named.get(index)) {
                Ok(Some(Symbolized::Sym(symbol))) => symbol.name.to_string(),
                _ => "[kernel]".into(),
            };
            // zctrace's own programs and what the kernel built around them.
            let own = ["bpf_prog_", "bpf_trampoline_", "bpf_get_stackid", "__bpf_"];
            if !own.iter().any(|prefix| symbol.starts_with(prefix)) {
                frames.push(self.names.keep(&format!("{symbol}_[k]")));
            }
        }
        frames.reverse();
        frames.into()
    }

    fn name_user(&mut self, id: Id, comm: Option<&str>, stacks: &[Vec<UserFrame>]) -> Vec<Frames> {
        let all: BTreeSet<UserFrame> = stacks.iter().flatten().copied().collect();
        let pid = self
            .alive(id)
            .and(self.view.as_ref())
            .map(|view| view.to_user(id.0));
        let in_files = self.files.name(&self.symbolizer, &all, pid, comm);
        let addresses: Vec<u64> = all
            .iter()
            .filter(|frame| frame.status == UserFrame::ADDRESS)
            .map(|frame| frame.at)
            .collect();
        let at_addresses = if addresses.is_empty() {
            StdHashMap::new()
        } else {
            self.name_addresses(id, &addresses).unwrap_or_default()
        };
        let named = |frame: &UserFrame| match frame.status {
            UserFrame::ADDRESS => at_addresses.get(&frame.at).map(String::as_str),
            _ => in_files.get(frame).map(String::as_str),
        };
        let names = &mut self.names;
        stacks
            .iter()
            .map(|stack| {
                if !stack.is_empty() && stack.iter().all(|frame| named(frame).is_none()) {
                    return [names.keep(ENDED)].into();
                }
                let name = |frame| named(frame).unwrap_or("[unknown]");
                let frames: Vec<_> = stack.iter().rev().map(|at| names.keep(name(at))).collect();
                frames.into()
            })
            .collect()
    }

    /// Names of addresses of a process that lives.
    fn name_addresses(&mut self, id: Id, all: &[u64]) -> Option<StdHashMap<u64, String>> {
        let pid = self.view.as_ref().map(|view| view.to_user(id.0));
        match pid {
            Some(pid) if self.alive(id).is_some() => {
                let source = Source::Process(Process {
                    // No files that the process, or anybody in /tmp, could have put there.
                    perf_map: false,
                    debug_syms: false,
                    ..Process::new(Pid::from(pid))
                });
                let modules = self.modules(pid);
                let named = each(all, &mut |addresses| {
                    self.symbolizer
                        .symbolize(&source, Input::AbsAddr(addresses))
                });
                let named: StdHashMap<u64, String> = all
                    .iter()
                    .zip(named)
                    .map(|(&address, named)| {
                        let why = match named {
                            Ok(Symbolized::Sym(symbol)) => return (address, symbol.name.into()),
                            Ok(Symbolized::Unknown(Reason::Unmapped)) => "[unmapped]",
                            Ok(Symbolized::Unknown(_)) => "[unknown]",
                            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                                "[not permitted]"
                            }
                            Err(_) => "[unreadable]",
                        };
                        let place = within(&modules, address);
                        (address, place.unwrap_or_else(|| why.to_owned()))
                    })
                    .collect();
                // The id may have gone to another process in the meantime.
                self.alive(id).map(|_| named)
            }
            _ => None,
        }
    }

    /// The code that a process has mapped from files; nothing where that cannot be read.
    fn modules(&self, pid: u32) -> Vec<Module> {
        let view = self.view.as_ref();
        let process = view.and_then(|view| view.process(pid).ok());
        let Some(maps) = process.and_then(|process| process.maps().ok()) else {
            return Vec::new();
        };
        maps.into_iter()
            // An address in anything else is not a frame, only what lay where one was looked for.
            .filter(|map| map.perms.contains(MMPermissions::EXECUTE))
            .filter_map(|map| match map.pathname {
                MMapPath::Path(path) => Some(Module {
                    start: map.address.0,
                    end: map.address.1,
                    offset: map.offset,
                    name: path.file_name()?.to_string_lossy().into_owned(),
                }),
                _ => None,
            })
            .collect()
    }
}

/// A part of a file that a process has mapped.
struct Module {
    start: u64,
    end: u64,
    offset: u64,
    name: String,
}

/// A place without a symbol: the file, and the offset in it.
fn within(modules: &[Module], address: u64) -> Option<String> {
    let module = modules
        .iter()
        .find(|module| (module.start..module.end).contains(&address))?;
    let offset = module.offset.wrapping_add(address - module.start);
    Some(format!("{}+{offset:#x}", module.name))
}

/// The answer for each address. One that spoils a batch (a stack without frame pointers has some)
/// must not take the others with it, so a batch that fails is tried again in halves.
fn each<T, E>(
    addresses: &[u64],
    batch: &mut impl FnMut(&[u64]) -> Result<Vec<T>, E>,
) -> Vec<Result<T, E>> {
    match batch(addresses) {
        Ok(all) => all.into_iter().map(Ok).collect(),
        Err(error) if addresses.len() < 2 => vec![Err(error)],
        Err(_) => {
            let (left, right) = addresses.split_at(addresses.len() / 2);
            let mut all = each(left, batch);
            all.extend(each(right, batch));
            all
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_address_spoils_no_other() {
        let mut batch = |addresses: &[u64]| {
            if addresses.contains(&3) {
                return Err("refused");
            }
            Ok(addresses.to_vec())
        };
        let all = each(&[1, 2, 3, 4, 5], &mut batch);
        assert_eq!(all, [Ok(1), Ok(2), Err("refused"), Ok(4), Ok(5)]);
        assert!(each(&[], &mut batch).is_empty());
    }

    #[test]
    fn a_place_without_a_symbol_is_named_by_its_file() {
        let modules = [Module {
            start: 0x1000,
            end: 0x2000,
            offset: 0x400,
            name: "python3.11".into(),
        }];
        assert_eq!(
            within(&modules, 0x1010).as_deref(),
            Some("python3.11+0x410")
        );
        assert_eq!(within(&modules, 0x2000), None);
    }
}
