//! Samples of where processors are, and the addresses of the kernel's copy routines.

use std::{fs, fs::File, io, os::unix::fs::FileExt, time::Instant};

use aya::{
    programs::{
        PerfEvent, ProgramError,
        perf_event::{PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent},
    },
    util::online_cpus,
};
use nix::sys::memfd::{MFdFlags, memfd_create};
use zctrace_common::{COPY_ROUTINES, CodeRange, CopyRoutines, SAMPLE_PERIOD};

use crate::ledger::Pace;

/// Bytes that are read to see how fast this machine copies.
const PIECE: u32 = 64 << 10;

/// How often: something else may run on the processor meanwhile.
const ATTEMPTS: usize = 32;

/// The routines in which the kernel copies, on x86-64 and arm64, old kernels and new: those that do
/// the work, and those that have it inlined.
const NAMES: [&str; COPY_ROUTINES] = [
    "rep_movs_alternative",
    "copy_user_generic_unrolled",
    "copy_user_generic_string",
    "copy_user_enhanced_fast_string",
    "__copy_user_nocache",
    "__arch_copy_to_user",
    "__arch_copy_from_user",
    "copy_mc_fragile",
    "copy_mc_enhanced_fast_string",
    "_copy_to_iter",
    "_copy_from_iter",
    "_copy_from_iter_nocache",
    "_copy_from_iter_flushcache",
    "copy_page_from_iter_atomic",
    "copy_folio_from_iter_atomic",
    "_copy_to_user",
    "_copy_from_user",
    "csum_and_copy_to_iter",
    "csum_and_copy_from_iter",
    "csum_partial_copy_generic",
    "copy_page",
    "__memcpy",
    "memcpy",
    "memcpy_orig",
];

/// Where the running kernel has its copy routines; [`CopyRoutines::NONE`] if it does not say.
pub(super) fn routines() -> CopyRoutines {
    find(&fs::read_to_string("/proc/kallsyms").unwrap_or_default())
}

/// The routines in a text such as `/proc/kallsyms`. Each ends where the next symbol begins.
fn find(symbols: &str) -> CopyRoutines {
    let code = || {
        symbols.lines().filter_map(|line| {
            // Of a module there would be a fourth word, after a tab.
            let (address, rest) = line.split_once(' ')?;
            let (kind, name) = rest.split_once(' ')?;
            let is_code = matches!(kind, "t" | "T" | "w" | "W") && !name.contains('\t');
            Some((is_code.then_some(address)?, name))
        })
    };
    let number = |address| u64::from_str_radix(address, 16).ok().filter(|&n| n != 0);
    let mut starts: Vec<u64> = code()
        .filter(|(_, name)| NAMES.contains(name))
        .filter_map(|(address, _)| number(address))
        .collect();
    starts.sort_unstable();
    starts.dedup();
    let mut ends = vec![u64::MAX; starts.len()];
    for address in code().filter_map(|(address, _)| number(address)) {
        // Of the routines that begin before it, only the last one can end there.
        let before = starts.partition_point(|&start| start < address);
        if let Some(end) = before.checked_sub(1).map(|last| &mut ends[last]) {
            *end = address.min(*end);
        }
    }
    let mut routines = CopyRoutines::NONE;
    let known = starts
        .iter()
        .zip(&ends)
        .filter(|&(_, &end)| end != u64::MAX);
    for (range, (&start, &end)) in routines.0.iter_mut().zip(known) {
        *range = CodeRange { start, end };
    }
    routines
}

/// Samples every processor.
pub(super) fn attach(program: &mut PerfEvent) -> Result<(), ProgramError> {
    let cpus = online_cpus().map_err(|(_, error)| ProgramError::IOError(error))?;
    for cpu in cpus {
        let scope = PerfEventScope::AllProcessesOneCpu { cpu };
        let event = PerfEventConfig::Software(SoftwareEvent::CpuClock);
        program.attach(event, scope, SamplePolicy::Period(SAMPLE_PERIOD), false)?;
    }
    Ok(())
}

/// How fast this machine copies, by the best of several reads of a file in memory.
pub(super) fn pace() -> Pace {
    bytes_per_second().map_or(Pace::USUAL, Pace::of)
}

fn bytes_per_second() -> io::Result<f64> {
    let file = File::from(memfd_create("zctrace", MFdFlags::MFD_CLOEXEC)?);
    let mut buffer = vec![1; PIECE as usize];
    file.write_all_at(&buffer, 0)?;
    let mut best = 0.0_f64;
    for _ in 0..ATTEMPTS {
        let begin = Instant::now();
        file.read_exact_at(&mut buffer, 0)?;
        best = best.max(f64::from(PIECE) / begin.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// The seconds that samples stand for.
#[expect(
    clippy::cast_precision_loss,
    reason = "samples are estimates; 2^53 nanoseconds are exact"
)]
pub(super) fn seconds(samples: u64) -> f64 {
    samples.saturating_mul(SAMPLE_PERIOD) as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_routine_ends_where_the_next_symbol_begins() {
        let routines = find(
            "ffffffff81000100 T other\n\
             ffffffff81000000 T memcpy\n\
             ffffffff81000000 T __memcpy\n\
             ffffffff81000200 t copy_page\n\
             ffffffff81000280 D data\n\
             ffffffff81000300 T last\n\
             ffffffffc0000000 t copy_page\t[module]\n",
        );
        let range = |start, end| CodeRange { start, end };
        assert_eq!(
            routines.0[..3],
            [
                range(0xffff_ffff_8100_0000, 0xffff_ffff_8100_0100),
                range(0xffff_ffff_8100_0200, 0xffff_ffff_8100_0300),
                range(0, 0),
            ]
        );
    }

    #[test]
    fn hidden_addresses_are_no_routines() {
        let hidden = "0000000000000000 T memcpy\n0000000000000000 T last\n";
        assert_eq!(find(hidden), CopyRoutines::NONE);
        assert_eq!(find(""), CopyRoutines::NONE);
    }

    #[test]
    fn the_speed_of_this_machine_is_seen() {
        let speed = bytes_per_second().expect("a file in memory");
        assert!((1e6..1e12).contains(&speed), "{speed}");
    }

    #[test]
    fn samples_are_time() {
        assert!((seconds(200) - 1.0).abs() < 1e-6);
    }
}
