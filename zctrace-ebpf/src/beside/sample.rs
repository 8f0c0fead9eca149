//! Where the processors' time goes: samples, compared with the addresses of the kernel's copy routines. Addresses of
//! user space are handed to the user side, which knows what code is there.

use aya_ebpf::{
    macros::{map, perf_event},
    maps::{Array, HashMap},
    programs::PerfEventContext,
};
use zctrace_common::{COPY_ROUTINES, CopyRoutines, CpuSamples, Task, UserAddress};

use crate::{
    base::{abi::BPF_NOEXIST, atomic::add, kernel, syscalls},
    book::target,
};

/// Samples within a copy routine, by slot of the process.
#[map]
static COPY_SAMPLES: Array<u64> = Array::with_max_entries(4096, 0);

/// Those samples within calls that are not operations of the ledger, by slot of the process and number of the call.
/// (Preallocated: no other map is allowed here before Linux 6.1.)
#[map]
static OTHER_SAMPLES: HashMap<[u32; 2], u64> = HashMap::with_max_entries(4096, 0);

/// All samples of a process, by its slot.
#[map]
static CPU_SAMPLES: Array<CpuSamples> = Array::with_max_entries(4096, 0);

/// Samples of user space, until the user side takes them. Those for which there is no room are in [`CPU_SAMPLES`] only.
#[map]
static USER_SAMPLES: HashMap<UserAddress, u64> = HashMap::with_max_entries(8192, 0);

/// The kernel's copy routines.
#[unsafe(no_mangle)]
static ROUTINES_OF_COPIES: CopyRoutines = CopyRoutines::NONE;

/// Where the processor was.
#[inline(always)]
fn instruction(ctx: &PerfEventContext) -> u64 {
    // SAFETY: a field of the context.
    #[cfg(not(bpf_target_arch = "aarch64"))]
    unsafe {
        (&raw const (*ctx.ctx).regs.rip).read_volatile()
    }
    // SAFETY: the saved registers, which the context points to.
    #[cfg(bpf_target_arch = "aarch64")]
    unsafe {
        (&raw const (*ctx.ctx).regs.pc).read_volatile()
    }
}

/// Runs in an interrupt of the timer, so it changes nothing in the thread's record, except that a process without
/// rows gets its slot: otherwise a process that does nothing but copy in calls that have no rows, or in user space,
/// would be in no report.
#[perf_event]
fn copy_sample(ctx: PerfEventContext) -> u32 {
    // SAFETY: nothing else in this program refers to the thread's record.
    let Some(task) = (unsafe { target::current() }) else {
        return 0;
    };
    let address = instruction(&ctx);
    // The kernel has the upper half of the addresses on every architecture.
    if address.cast_signed() >= 0 {
        count_user(task, address);
        return 0;
    }
    if task.proc_slot != Task::NO_PROC
        && let Some(samples) = CPU_SAMPLES.get_ptr_mut(task.proc_slot)
    {
        // SAFETY: a map value, which outlives the program; aligned integers of it are used.
        unsafe { add(&raw mut (*samples).kernel, 1) };
    }
    if !copies(address) {
        return 0;
    }
    let nr = kernel::current_nr();
    // Of what a ring is asked for, only some is an operation: a command to a device is none (`IORING_OP_URING_CMD`).
    let is_other = nr >= 0
        && task.flags & Task::KTHREAD == 0
        && (syscalls::is_other(nr) || nr == syscalls::IO_URING_ENTER);
    if task.proc_slot == Task::NO_PROC && !is_other {
        return 0;
    }
    let Some(slot) = target::proc_slot(task) else {
        return 0;
    };
    if let Some(samples) = COPY_SAMPLES.get_ptr_mut(slot) {
        // SAFETY: an integer of a map value.
        unsafe { add(samples, 1) };
    }
    if is_other {
        count_other(slot, nr as u32);
    }
    0
}

/// Counts a sample of user space. A kernel thread has none.
#[inline(always)]
fn count_user(task: &mut Task, address: u64) {
    let Some(slot) = target::proc_slot(task) else {
        return;
    };
    let Some(samples) = CPU_SAMPLES.get_ptr_mut(slot) else {
        return;
    };
    // SAFETY: a map value, which outlives the program; aligned integers of it are used.
    unsafe { add(&raw mut (*samples).user, 1) };
    let key = UserAddress {
        address,
        proc_slot: slot,
        padding: 0,
    };
    if let Some(samples) = USER_SAMPLES.get_ptr_mut(key) {
        // SAFETY: an integer of a map value.
        unsafe { add(samples, 1) };
        return;
    }
    if USER_SAMPLES.insert(key, 1, BPF_NOEXIST).is_err()
        // Another processor was quicker.
        && let Some(samples) = USER_SAMPLES.get_ptr_mut(key)
    {
        // SAFETY: an integer of a map value.
        unsafe { add(samples, 1) };
    }
}

/// If there is no room for another call, its samples count only for the process.
#[inline(always)]
fn count_other(slot: u32, nr: u32) {
    let key = [slot, nr];
    if let Some(samples) = OTHER_SAMPLES.get_ptr_mut(key) {
        // SAFETY: an integer of a map value.
        unsafe { add(samples, 1) };
        return;
    }
    if OTHER_SAMPLES.insert(key, 1, BPF_NOEXIST).is_err()
        // Another processor was quicker.
        && let Some(samples) = OTHER_SAMPLES.get_ptr_mut(key)
    {
        // SAFETY: an integer of a map value.
        unsafe { add(samples, 1) };
    }
}

/// Whether an address is in a copy routine.
#[inline(always)]
fn copies(address: u64) -> bool {
    let routines = &raw const ROUTINES_OF_COPIES;
    let mut i = 0;
    while i < COPY_ROUTINES {
        // SAFETY: a valid static; the map behind it is frozen.
        let range = unsafe { (&raw const (*routines).0[i]).read_volatile() };
        if address >= range.start && address < range.end {
            return true;
        }
        i += 1;
    }
    false
}
