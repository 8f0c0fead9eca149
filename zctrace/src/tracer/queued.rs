//! What was passed to sockets by reference and is still in them: it can still be copied.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
};

use aya::{
    Ebpf,
    maps::HashMap,
    programs::{Program, ProgramError},
};
use aya_obj::generated::bpf_cmd;
use zctrace_common::{Lender, NOT_QUEUED, Proc};

use super::{Error, bpf, map};

/// The program that looks at a socket.
pub(super) const PROGRAM: &str = "queued";

/// Loads the program.
pub(super) fn load(ebpf: &mut Ebpf) -> Result<(), Error> {
    if let Some(Program::RawTracePoint(program)) = ebpf.program_mut(PROGRAM) {
        program.load().map_err(aya::EbpfError::from)?;
    }
    Ok(())
}

/// Bytes that the sockets of each process still have to send, by its slot. Sockets that no longer exist are
/// forgotten.
pub(super) fn by_process(
    ebpf: &mut Ebpf,
    processes: &BTreeMap<u32, Proc>,
) -> Result<BTreeMap<u32, u64>, Error> {
    let lenders: HashMap<_, u64, Lender> = HashMap::try_from(map(ebpf, "LENDERS"))?;
    let lenders: Vec<(u64, Lender)> = lenders.iter().flatten().collect();
    let mut by_process = BTreeMap::new();
    let mut gone = Vec::new();
    if let Some(Program::RawTracePoint(program)) = ebpf.program(PROGRAM)
        && let Ok(fd) = program.fd()
    {
        for (sock, lender) in lenders {
            let bytes = ask(fd.as_fd(), sock, lender.ports)?;
            let process = processes.get(&lender.proc_slot);
            if bytes == NOT_QUEUED {
                gone.push((sock, lender));
            } else if process.is_some_and(|process| process.start_ns == lender.start_ns) {
                let sum: &mut u64 = by_process.entry(lender.proc_slot).or_default();
                *sum = sum.saturating_add(bytes.into());
            }
        }
    }
    let mut lenders: HashMap<_, u64, Lender> = HashMap::try_from(map(ebpf, "LENDERS"))?;
    for (sock, lender) in gone {
        // Another socket can have its address by now.
        if lenders.get(&sock, 0).is_ok_and(|now| now == lender) {
            let _ = lenders.remove(&sock);
        }
    }
    Ok(by_process)
}

/// Runs the program once.
fn ask(program: BorrowedFd<'_>, sock: u64, ports: u32) -> Result<u32, Error> {
    let arguments = [sock, u64::from(ports)];
    let mut attr = bpf::attr();
    attr.test.prog_fd = program.as_raw_fd().cast_unsigned();
    attr.test.ctx_in = arguments.as_ptr() as u64;
    attr.test.ctx_size_in = size_of_val(&arguments) as u32;
    // SAFETY: `attr` says where the arguments are and how many there are; the program reads no others.
    unsafe { bpf::call(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr) }.map_err(|io_error| {
        aya::EbpfError::from(ProgramError::SyscallError(aya::sys::SyscallError {
            call: "bpf_prog_test_run",
            io_error,
        }))
    })?;
    // SAFETY: the kernel has written it.
    Ok(unsafe { attr.test.retval })
}
