//! Samples of where processors are, and the addresses of the kernel's copy routines.

use std::{collections::BTreeMap, fs};

use aya::{
    programs::{
        PerfEvent, ProgramError,
        perf_event::{PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent},
    },
    util::online_cpus,
};
use zctrace_common::{COPY_ROUTINES, CodeRange, CopyRoutines, SAMPLE_PERIOD};

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

/// Where the running kernel has its copy routines; [`CopyRoutines::NONE`] where it does not tell.
pub(super) fn routines() -> CopyRoutines {
    find(&fs::read_to_string("/proc/kallsyms").unwrap_or_default())
}

/// The routines in a text such as `/proc/kallsyms`. Each ends where the next symbol begins.
fn find(symbols: &str) -> CopyRoutines {
    let mut code: BTreeMap<u64, bool> = BTreeMap::new();
    for line in symbols.lines() {
        // Of a module there would be a fourth word.
        let mut words = line.split_whitespace();
        if let (Some(address), Some("t" | "T" | "w" | "W"), Some(name), None) =
            (words.next(), words.next(), words.next(), words.next())
            && let Ok(address) = u64::from_str_radix(address, 16)
            && address != 0
        {
            *code.entry(address).or_default() |= NAMES.contains(&name);
        }
    }
    let mut routines = CopyRoutines::NONE;
    let ends = code.keys().skip(1).copied();
    let copying = code.iter().zip(ends).filter(|((_, copies), _)| **copies);
    for (range, ((start, _), end)) in routines.0.iter_mut().zip(copying) {
        *range = CodeRange { start: *start, end };
    }
    routines
}

/// Samples every processor, or none.
pub(super) fn attach(program: &mut PerfEvent) -> Result<(), ProgramError> {
    program.load()?;
    let cpus = online_cpus().map_err(|(_, error)| ProgramError::IOError(error))?;
    for cpu in cpus {
        let scope = PerfEventScope::AllProcessesOneCpu { cpu };
        let event = PerfEventConfig::Software(SoftwareEvent::CpuClock);
        if let Err(error) = program.attach(event, scope, SamplePolicy::Period(SAMPLE_PERIOD), false)
        {
            program.unload()?;
            return Err(error);
        }
    }
    Ok(())
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
             ffffffffc0000000 t copy_page [module]\n",
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
    fn samples_are_time() {
        assert!((seconds(200) - 1.0).abs() < 1e-6);
    }
}
