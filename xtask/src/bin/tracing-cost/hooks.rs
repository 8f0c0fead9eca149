//! What is attached to the kernel's functions: how often it runs in an operation and for how long, and programs that do
//! nothing in the same places.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result};

use crate::bpf::{self, Record};

const PROG_TYPE_TRACING: u32 = 26;
const LINK_TYPE_RAW_TRACEPOINT: u32 = 1;
const LINK_TYPE_TRACING: u32 = 2;

/// Ways to attach a program: at a tracepoint with types, at the entry of a function, at its return.
const TRACE_RAW_TP: u32 = 23;
const TRACE_FENTRY: u32 = 24;
const TRACE_FEXIT: u32 = 25;

/// A place where programs can be attached.
#[derive(Clone, Copy)]
pub(crate) struct Hook {
    kind: u32,
    /// The types of the kernel or of a module.
    types: u32,
    /// A function or a tracepoint among them.
    function: u32,
}

impl Hook {
    pub(crate) const fn kind(self) -> &'static str {
        match self.kind {
            TRACE_FENTRY => "fentry",
            TRACE_FEXIT => "fexit",
            _ => "tp_btf",
        }
    }

    /// What it is called; the number of its type, if it belongs to a module.
    pub(crate) fn name(self, kernel: &Names) -> String {
        kernel.of(self.function).map_or_else(
            || format!("type {}", self.function),
            |name| name.trim_start_matches("btf_trace_").to_owned(),
        )
    }
}

/// A program in such a place.
pub(crate) struct Attached {
    pub(crate) hook: Hook,
    program: OwnedFd,
}

impl Attached {
    /// How often it has run, and for how many nanoseconds, while there were [`Statistics`].
    pub(crate) fn runs(&self) -> Result<(u64, u64)> {
        let info = bpf::program(self.program.as_fd())?;
        Ok((info.double(200), info.double(192)))
    }
}

/// All that is attached to functions and to tracepoints with types.
pub(crate) fn attached() -> Result<Vec<Attached>> {
    let mut all = Vec::new();
    let mut id = 0;
    while let Some(next) = bpf::next(bpf::LINK_GET_NEXT_ID, id)? {
        id = next;
        // It may have gone in the meantime.
        let Ok(link) = bpf::opened(bpf::LINK_GET_FD_BY_ID, id) else {
            continue;
        };
        let info = bpf::ask(link.as_fd()).context("asking about a link")?;
        let kind = match info.word(0) {
            LINK_TYPE_TRACING => info.word(16),
            LINK_TYPE_RAW_TRACEPOINT => TRACE_RAW_TP,
            _ => continue,
        };
        let fd = bpf::opened(bpf::PROG_GET_FD_BY_ID, info.word(8))
            .context("opening an attached program")?;
        let of = bpf::program(fd.as_fd())?;
        if of.word(0) == PROG_TYPE_TRACING {
            let hook = Hook {
                kind,
                types: of.word(220),
                function: of.word(224),
            };
            all.push(Attached { hook, program: fd });
        }
    }
    Ok(all)
}

/// The kernel counts the runs of programs for as long as this exists.
pub(crate) struct Statistics {
    _fd: OwnedFd,
}

impl Statistics {
    pub(crate) fn new() -> Result<Self> {
        // 0 asks for the time of runs.
        let fd =
            bpf::opened(bpf::ENABLE_STATS, 0).context("switching the statistics of programs on")?;
        Ok(Self { _fd: fd })
    }
}

/// An attached program that does nothing.
pub(crate) struct Empty {
    _link: OwnedFd,
}

impl Empty {
    pub(crate) fn attach(hook: Hook) -> Result<Self> {
        /// `r0 = 0; exit`.
        static NOTHING: [u64; 2] = [0xb7, 0x95];
        let types = bpf::opened(bpf::BTF_GET_FD_BY_ID, hook.types).context("opening types")?;
        let mut request = Record::new();
        request.put(0, PROG_TYPE_TRACING);
        request.put(4, NOTHING.len() as u32);
        request.put_double(8, NOTHING.as_ptr() as u64);
        request.put_double(16, c"GPL".as_ptr() as u64);
        request.put(68, hook.kind);
        request.put(108, hook.function);
        request.put(112, types.as_raw_fd().cast_unsigned());
        // SAFETY: the instructions and the licence are constants.
        let program = unsafe { bpf::open(bpf::PROG_LOAD, &mut request) }
            .context("loading an empty program")?;
        let mut request = Record::new();
        request.put(8, program.as_raw_fd().cast_unsigned());
        // SAFETY: a program that knows its function needs no name.
        let link = unsafe { bpf::open(bpf::RAW_TRACEPOINT_OPEN, &mut request) }
            .context("attaching an empty program")?;
        Ok(Self { _link: link })
    }
}

/// The names of the kernel's types by their numbers.
pub(crate) struct Names {
    bytes: Vec<u8>,
    /// Where each name is.
    places: Vec<usize>,
}

impl Names {
    /// Reads the kernel's BTF: Documentation/bpf/btf.rst.
    pub(crate) fn new() -> Result<Self> {
        let bytes = fs::read("/sys/kernel/btf/vmlinux").context("reading the kernel's types")?;
        let word = |at: usize| -> Option<usize> {
            let word = bytes.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_ne_bytes(word) as usize)
        };
        let places = || {
            let header = word(4)?;
            let (begin, length) = (header + word(8)?, word(12)?);
            let strings = header + word(16)?;
            // Type 0 is void and is not in the list.
            let mut places = vec![strings];
            let mut at = begin;
            while at < begin + length {
                places.push(strings + word(at)?);
                let info = word(at + 4)?;
                let members = info & 0xffff;
                at += 12
                    + match info >> 24 & 0x1f {
                        // Integers, variables, tags.
                        1 | 14 | 17 => 4,
                        // Arrays.
                        3 => 12,
                        // Structures, unions, sections, enumerations of 64 bits.
                        4 | 5 | 15 | 19 => 12 * members,
                        // Enumerations, prototypes.
                        6 | 13 => 8 * members,
                        _ => 0,
                    };
            }
            Some(places)
        };
        let places = places().context("the kernel's types are cut off")?;
        Ok(Self { bytes, places })
    }

    fn of(&self, id: u32) -> Option<&str> {
        let rest = self.bytes.get(*self.places.get(id as usize)?..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        str::from_utf8(&rest[..end])
            .ok()
            .filter(|name| !name.is_empty())
    }
}
