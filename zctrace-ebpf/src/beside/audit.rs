//! Breakpoints on the kernel's copy routines: what was really copied, to compare with the counts of the sites.
//!
//! They run in the debug exception. What is not allowed there, such as taking a thread into the target, is left to the
//! sites.

use aya_ebpf::{
    bindings::bpf_perf_event_data,
    macros::{map, perf_event},
    maps::PerCpuArray,
    programs::PerfEventContext,
};
use zctrace_common::{AuditCount, AuditKey, AuditRoutine, AuditRoutines};

use crate::{
    base::{
        kernel::{self, Access as _, Probed},
        maps::offset,
    },
    book::target,
    site::file,
};

/// What was copied, by [`AuditKey::index`].
#[map]
static AUDIT: PerCpuArray<AuditCount> = PerCpuArray::with_max_entries(AuditKey::COUNT, 0);

/// The routines behind the breakpoints.
#[unsafe(no_mangle)]
static ROUTINES: AuditRoutines = AuditRoutines::NONE;

/// The first arguments of the function that was about to run: the calling conventions, and the
/// only place that knows them.
#[inline(always)]
fn arguments(ctx: *const bpf_perf_event_data) -> [u64; 4] {
    // All are read, then one is chosen: the verifier allows constant offsets only.
    // SAFETY: fields of the context.
    #[cfg(not(bpf_target_arch = "aarch64"))]
    unsafe {
        [
            (&raw const (*ctx).regs.rdi).read_volatile(),
            (&raw const (*ctx).regs.rsi).read_volatile(),
            (&raw const (*ctx).regs.rdx).read_volatile(),
            (&raw const (*ctx).regs.rcx).read_volatile(),
        ]
    }
    // SAFETY: the saved registers, which the context points to.
    #[cfg(bpf_target_arch = "aarch64")]
    unsafe {
        [
            (&raw const (*ctx).regs.regs[0]).read_volatile(),
            (&raw const (*ctx).regs.regs[1]).read_volatile(),
            (&raw const (*ctx).regs.regs[2]).read_volatile(),
            (&raw const (*ctx).regs.regs[3]).read_volatile(),
        ]
    }
}

#[inline(always)]
fn choose(arguments: &[u64; 4], which: u32) -> u64 {
    match which {
        0 => arguments[0],
        1 => arguments[1],
        2 => arguments[2],
        _ => arguments[3],
    }
}

#[inline(always)]
fn routine(slot: u16) -> AuditRoutine {
    // SAFETY: a valid static; the map behind it is frozen.
    unsafe { (&raw const ROUTINES.0[slot as usize]).read_volatile() }
}

#[inline(always)]
fn hit(ctx: &PerfEventContext, slot: u16) {
    if !target::is_current() {
        return;
    }
    let arguments = arguments(ctx.ctx);
    let AuditRoutine { bytes, iterator } = routine(slot);
    let mut bytes = choose(&arguments, bytes);
    let mut kernel_memory = false;
    if iterator != AuditRoutine::NO_ITERATOR {
        // The routine copies no more than the iterator has room for.
        let iterator = choose(&arguments, iterator) as *const u8;
        let left: u64 = Probed::load(iterator, offset!(iter_count));
        if left < bytes {
            bytes = left;
        }
        let memory = Probed::load::<u8>(iterator, offset!(iter_type));
        kernel_memory = !matches!(file::of_type(memory), file::Memory::User);
    }
    let nr = if target::is_kernel_thread() {
        AuditKey::KERNEL_THREAD
    } else {
        kernel::current_nr()
    };
    let key = AuditKey {
        slot,
        kernel_memory,
        nr,
    };
    if let Some(count) = AUDIT.get_ptr_mut(key.index()) {
        // SAFETY: a map value of this CPU; a breakpoint does not interrupt a breakpoint.
        unsafe {
            (*count).hits += 1;
            (*count).bytes += bytes;
        }
    }
}

/// A program for each breakpoint, because a program does not know at which one it runs.
macro_rules! breakpoints {
    ($($name:ident = $slot:literal)+) => {
        $(#[perf_event]
        fn $name(ctx: PerfEventContext) -> u32 {
            hit(&ctx, $slot);
            0
        })+
    };
}

breakpoints! { audit_0 = 0 audit_1 = 1 audit_2 = 2 audit_3 = 3 }
