//! Breakpoints on the kernel's copy routines: what was really copied, to compare with the counts of the sites.
//!
//! They run in the debug exception. What is not allowed there, such as taking a thread into the target, is left to the
//! sites.

use aya_ebpf::{
    bindings::{bpf_perf_event_data, bpf_perf_event_value},
    helpers::generated::bpf_perf_prog_read_value,
    macros::{map, perf_event},
    maps::PerCpuArray,
    programs::PerfEventContext,
};
use zctrace_common::{AUDIT_SLOTS, AuditCount, AuditKey, AuditMissed, AuditRoutine, AuditRoutines};

#[cfg(bpf_target_arch = "aarch64")]
use crate::base::maps::SIGHTINGS;
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

/// How often each breakpoint was met and its program did not run.
#[map]
static AUDIT_MISSED: PerCpuArray<AuditMissed> =
    PerCpuArray::with_max_entries(AUDIT_SLOTS as u32, 0);

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

/// A breakpoint that was met.
#[cfg(bpf_target_arch = "aarch64")]
#[repr(C)]
#[derive(Clone, Copy)]
struct Met {
    registers: u64,
    sightings: u64,
}

/// What each processor met last, by slot.
#[cfg(bpf_target_arch = "aarch64")]
#[map]
static MET: PerCpuArray<Met> = PerCpuArray::with_max_entries(AUDIT_SLOTS as u32, 0);

/// Whether the same call has met the breakpoint before.
///
/// arm64 switches the breakpoint off, makes one step and switches it on again, with interrupts enabled. One that comes
/// first takes the step instead, and when it returns, the instruction meets the breakpoint again, with every register
/// as it was. Another call can have the same registers too, but the site of the routine has seen the first one then.
/// (`hw_breakpoint.c`, `do_breakpoint` and `try_step_suspended_breakpoints`.)
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
fn is_met_again(ctx: *const bpf_perf_event_data, slot: u16) -> bool {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    macro_rules! mix {
        ($($index:literal)+) => {
            $(
                // SAFETY: the saved registers, which the context points to.
                let register = unsafe { (&raw const (*ctx).regs.regs[$index]).read_volatile() };
                hash = (hash ^ register).wrapping_mul(0x0100_0000_01b3);
            )+
        };
    }
    mix! { 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 }
    // SAFETY: as above. It tells the threads apart: each has a stack of its own.
    let stack = unsafe { (&raw const (*ctx).regs.sp).read_volatile() };
    hash = (hash ^ stack).wrapping_mul(0x0100_0000_01b3);
    let (Some(met), Some(sightings)) = (MET.get_ptr_mut(slot.into()), SIGHTINGS.get_ptr(0)) else {
        return false;
    };
    // SAFETY: map values of this CPU; a breakpoint does not interrupt a breakpoint.
    unsafe {
        let now = Met {
            registers: hash,
            sightings: *sightings,
        };
        let before = core::mem::replace(&mut *met, now);
        before.registers == now.registers && before.sightings == now.sightings
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

/// Compares the runs of a program on this processor with the kernel's count of the breakpoint. `bpf_overflow_handler`
/// runs no program where another one, or the `bpf` system call, is at work on the processor (`bpf_prog_active`).
#[inline(always)]
fn compare(ctx: &PerfEventContext, slot: u16) {
    let Some(missed) = AUDIT_MISSED.get_ptr_mut(u32::from(slot)) else {
        return;
    };
    let mut value = bpf_perf_event_value {
        counter: 0,
        enabled: 0,
        running: 0,
    };
    // SAFETY: the context of this program, and a buffer of the size that is given.
    let error = unsafe {
        bpf_perf_prog_read_value(
            ctx.ctx,
            &raw mut value,
            size_of::<bpf_perf_event_value>() as u32,
        )
    };
    // SAFETY: a map value of this CPU; a breakpoint does not interrupt a breakpoint.
    unsafe {
        (*missed).runs += 1;
        (*missed).hits = if error == 0 {
            value.counter.saturating_sub((*missed).runs)
        } else {
            AuditMissed::UNKNOWN
        };
    }
}

#[inline(always)]
fn hit(ctx: &PerfEventContext, slot: u16) {
    compare(ctx, slot);
    if !target::is_current() {
        return;
    }
    #[cfg(bpf_target_arch = "aarch64")]
    if is_met_again(ctx.ctx, slot) {
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
