//! What is attached to the kernel's functions: how often it runs in an operation and for how long, and programs that do
//! nothing in the same places.

use std::{
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result};
use nix::libc;

/// Commands of bpf(2), from include/uapi/linux/bpf.h.
const PROG_LOAD: i32 = 5;
const PROG_GET_FD_BY_ID: i32 = 13;
const OBJ_GET_INFO_BY_FD: i32 = 15;
const RAW_TRACEPOINT_OPEN: i32 = 17;
const BTF_GET_FD_BY_ID: i32 = 19;
const LINK_GET_FD_BY_ID: i32 = 30;
const LINK_GET_NEXT_ID: i32 = 31;
const ENABLE_STATS: i32 = 32;

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
        let info = program(self.program.as_fd())?;
        Ok((info.double(200), info.double(192)))
    }
}

/// All that is attached to functions and to tracepoints with types.
pub(crate) fn attached() -> Result<Vec<Attached>> {
    let mut all = Vec::new();
    let mut id = 0;
    while let Some(next) = next_link(id)? {
        id = next;
        // It may have gone in the meantime.
        let Ok(link) = opened(LINK_GET_FD_BY_ID, id) else {
            continue;
        };
        let info = ask(link.as_fd()).context("asking about a link")?;
        let kind = match info.word(0) {
            LINK_TYPE_TRACING => info.word(16),
            LINK_TYPE_RAW_TRACEPOINT => TRACE_RAW_TP,
            _ => continue,
        };
        let fd = opened(PROG_GET_FD_BY_ID, info.word(8)).context("opening an attached program")?;
        let of = program(fd.as_fd())?;
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
        let fd = opened(ENABLE_STATS, 0).context("switching the statistics of programs on")?;
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
        let types = opened(BTF_GET_FD_BY_ID, hook.types).context("opening types")?;
        let mut request = Record::new();
        request.put(0, PROG_TYPE_TRACING);
        request.put(4, NOTHING.len() as u32);
        request.put_double(8, NOTHING.as_ptr() as u64);
        request.put_double(16, c"GPL".as_ptr() as u64);
        request.put(68, hook.kind);
        request.put(108, hook.function);
        request.put(112, types.as_raw_fd().cast_unsigned());
        // SAFETY: the instructions and the licence are constants.
        let program =
            unsafe { open(PROG_LOAD, &mut request) }.context("loading an empty program")?;
        let mut request = Record::new();
        request.put(8, program.as_raw_fd().cast_unsigned());
        // SAFETY: a program that knows its function needs no name.
        let link = unsafe { open(RAW_TRACEPOINT_OPEN, &mut request) }
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

/// What bpf(2) takes and gives: fields are where include/uapi/linux/bpf.h has them.
#[repr(C, align(8))]
struct Record([u8; 256]);

impl Record {
    const fn new() -> Self {
        Self([0; 256])
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.0[at..at + 4].try_into().expect("4 bytes"))
    }

    fn double(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.0[at..at + 8].try_into().expect("8 bytes"))
    }

    fn put(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    fn put_double(&mut self, at: usize, value: u64) {
        self.0[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    }
}

/// The id of the next link, if there is one.
fn next_link(after: u32) -> Result<Option<u32>> {
    let mut request = Record::new();
    request.put(0, after);
    // SAFETY: the command takes the id, and answers beside it.
    match unsafe { call(LINK_GET_NEXT_ID, &mut request) } {
        Ok(_) => Ok(Some(request.word(4))),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error).context("listing links"),
    }
}

fn program(fd: BorrowedFd<'_>) -> Result<Record> {
    ask(fd).context("asking about a program")
}

/// What the kernel reports about an object.
fn ask(fd: BorrowedFd<'_>) -> io::Result<Record> {
    let mut info = Record::new();
    let mut request = Record::new();
    request.put(0, fd.as_raw_fd().cast_unsigned());
    request.put(4, info.0.len() as u32);
    request.put_double(8, (&raw mut info) as u64);
    // SAFETY: the request says where the answer goes and how much room there is. Zeros ask for no lists.
    unsafe { call(OBJ_GET_INFO_BY_FD, &mut request) }?;
    Ok(info)
}

/// Opens what a command knows by a number.
fn opened(command: i32, number: u32) -> io::Result<OwnedFd> {
    let mut request = Record::new();
    request.put(0, number);
    // SAFETY: the callers' commands take a number and point to nothing.
    unsafe { open(command, &mut request) }
}

/// Calls bpf(2) with a command that gives a descriptor.
///
/// # Safety
/// As [`call`].
unsafe fn open(command: i32, request: &mut Record) -> io::Result<OwnedFd> {
    // SAFETY: the caller answers for it.
    let fd = unsafe { call(command, request) }?;
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Calls bpf(2).
///
/// # Safety
/// What `request` points to must be as the command has it.
unsafe fn call(command: i32, request: &mut Record) -> io::Result<i32> {
    /// All fields that are used here are within. The kernel refuses longer requests only where they are not zero.
    const SIZE: usize = 128;
    // SAFETY: the request has this size; the caller answers for what it points to.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            libc::c_long::from(command),
            (&raw mut *request).cast::<u8>(),
            SIZE,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(i32::try_from(result).unwrap_or(i32::MAX))
}
