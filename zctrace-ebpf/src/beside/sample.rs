//! How much of the processors' time goes into copying: samples, held against the addresses of the
//! kernel's copy routines.

use aya_ebpf::{
    macros::{map, perf_event},
    maps::Array,
    programs::PerfEventContext,
};
use zctrace_common::{COPY_ROUTINES, CopyRoutines, Task};

use crate::{base::atomic::add, book::target};

/// Samples within a copy routine, by slot of the process.
#[map]
static COPY_SAMPLES: Array<u64> = Array::with_max_entries(4096, 0);

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
    // SAFETY: as above.
    #[cfg(bpf_target_arch = "aarch64")]
    unsafe {
        (&raw const (*ctx.ctx).regs.pc).read_volatile()
    }
}

/// Runs in an interrupt of the timer: it changes nothing of the thread's record.
#[perf_event]
fn copy_sample(ctx: PerfEventContext) -> u32 {
    let Some(task) = target::current_quietly() else {
        return 0;
    };
    if task.proc_slot == Task::NO_PROC || !copies(instruction(&ctx)) {
        return 0;
    }
    if let Some(samples) = COPY_SAMPLES.get_ptr_mut(task.proc_slot) {
        add(samples, 1);
    }
    0
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
