//! Attaching at the return of a function by kprobe, so that the kernel can be asked what it missed: aya
//! keeps the link to itself.

use std::{
    ffi::CString,
    fs, io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

use aya::{
    Ebpf,
    maps::HashMap,
    programs::{Program, ProgramError},
};
use aya_obj::generated::{bpf_attach_type, bpf_cmd, perf_event_attr};

use zctrace_common::{UnderWay, twin_slot};

use super::bpf;

/// Where the kernel tells how to ask for a kprobe.
const DEVICE: &str = "/sys/bus/event_source/devices/kprobe";

/// Attaches a loaded program. The probe is there as long as the link.
pub(super) fn attach(program: BorrowedFd<'_>, function: &str) -> io::Result<OwnedFd> {
    let event = open(function)?;
    let mut attr = bpf::attr();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    attr.link_create.__bindgen_anon_2.target_fd = event.as_raw_fd().cast_unsigned();
    attr.link_create.attach_type = bpf_attach_type::BPF_PERF_EVENT as u32;
    // SAFETY: it has descriptors and numbers only.
    unsafe { bpf::open(bpf_cmd::BPF_LINK_CREATE, &mut attr) }
}

/// What the name of the program at a function's entry ends in: see `zctrace-ebpf/src/book/room.rs`.
const ENTRY: &str = "_entry";

/// The name of the program at the entry that counts for a kretprobe.
pub(super) fn entry(program: &str) -> String {
    format!("{program}{ENTRY}")
}

/// Has the calls counted whose return the kretprobe `program` will not see.
pub(super) fn count_calls(
    ebpf: &mut Ebpf,
    program: &str,
    function: &str,
) -> Result<(), ProgramError> {
    let processors =
        aya::util::nr_cpus().map_err(|(_, error)| ProgramError::IOError(error))? as u64;
    let calls = UnderWay {
        // On each processor one call can have returned and still be in its place.
        room: 10.max(2 * processors).saturating_sub(processors),
        ..UnderWay::default()
    };
    let mut under_way: HashMap<_, u32, UnderWay> =
        HashMap::try_from(super::map(ebpf, "UNDER_WAY"))?;
    under_way.insert(twin_slot(program), calls, 0)?;
    let Some(Program::KProbe(program)) = ebpf.program_mut(&entry(program)) else {
        return Err(ProgramError::UnexpectedProgramType);
    };
    if program.fd().is_err() {
        program.load()?;
    }
    program.attach(function, 0)?;
    Ok(())
}

/// The calls whose return a kretprobe did not see, where they are counted here.
pub(super) fn unseen(ebpf: &Ebpf, program: &str) -> u64 {
    ebpf.map("UNDER_WAY")
        .and_then(|map| HashMap::<_, u32, UnderWay>::try_from(map).ok())
        .and_then(|calls| calls.get(&twin_slot(program), 0).ok())
        .map_or(0, |calls| calls.unseen)
}

fn open(function: &str) -> io::Result<OwnedFd> {
    const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
    let kind = parse(&fs::read_to_string(format!("{DEVICE}/type"))?)?;
    let bit = fs::read_to_string(format!("{DEVICE}/format/retprobe"))?;
    let bit = parse(bit.trim().strip_prefix("config:").unwrap_or_default())?;
    let function = CString::new(function)?;
    // SAFETY: a plain C struct for which all zeros are a value.
    let mut attr: perf_event_attr = unsafe { std::mem::zeroed() };
    attr.size = size_of::<perf_event_attr>() as u32;
    attr.type_ = kind;
    attr.config = 1_u64.checked_shl(bit).ok_or(io::ErrorKind::InvalidData)?;
    attr.__bindgen_anon_3.kprobe_func = function.as_ptr() as u64;
    // SAFETY: `attr` and the name that it points to live until the call is over.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attr,
            -1,
            0,
            -1,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn parse(text: &str) -> io::Result<u32> {
    text.trim()
        .parse()
        .map_err(|_| io::ErrorKind::InvalidData.into())
}
