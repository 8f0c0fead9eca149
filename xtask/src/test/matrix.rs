//! Which kernels the tests run on, which of the tests, and why: the one table of that. docs/CONTRIBUTING.md shows it.

use super::artifacts::Address;
use crate::{arch::Arch, vm::Series};

/// A kernel in a virtual machine, and what is tested there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) arch: Arch,
    /// As `--kernel` takes it.
    pub(super) kernel: &'static str,
    pub(super) tests: Tests,
    /// Why this kernel, and why these tests.
    why: &'static str,
}

/// Which tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tests {
    /// Those of `every_kernel/` and of `one_kernel/`.
    Both,
    /// Those of `every_kernel/`.
    Every,
    /// [`CHOSEN`].
    Chosen,
}

/// What shows soon whether an emulated architecture is counted right: the self-test of `doctor`, the truth, what is seen
/// of each technique, that each site explains its bytes, the verdicts, and the audit.
///
/// Each group is a run of the test program: those of the first share a session. What failed is printed at the end of a
/// run, so a guest that runs out of time later has told it.
pub(super) const CHOSEN: [&[&str]; 3] = [
    &[
        "every_kernel::truth::every_family_is_accounted_for_to_the_byte",
        "every_kernel::sight::the_page_says_what_is_seen_here",
        "every_kernel::unplug::an_unplugged_site_makes_its_bytes_unexplained",
        "every_kernel::verdicts::every_line_of_the_table_gets_its_verdict_and_reason",
    ],
    &["every_kernel::alone::audit::the_catalog_counts_what_breakpoints_see"],
    &[SELF_TEST],
];

/// The self-test of `doctor`, which is otherwise a test of the running kernel.
const SELF_TEST: &str = "host::self_test::the_self_test_passes";

const fn cell(arch: Arch, kernel: &'static str, tests: Tests, why: &'static str) -> Cell {
    Cell {
        arch,
        kernel,
        tests,
        why,
    }
}

/// The matrix. The kernels of this machine's architecture run by default.
pub(super) const MATRIX: [Cell; 7] = [
    cell(
        Arch::Amd64,
        "6.1",
        Tests::Every,
        "the oldest that is supported: pages are sent by `sendpage`, kprobes stand in for functions of many arguments",
    ),
    cell(
        Arch::Amd64,
        "6.12",
        Tests::Both,
        "Debian 13's, between the two; what only the backend can change runs here alone",
    ),
    cell(
        Arch::Amd64,
        "7.3",
        Tests::Every,
        "the newest: preempts BPF programs, so each is attached twice",
    ),
    cell(
        Arch::Arm64,
        "6.1",
        Tests::Chosen,
        "without direct calls: tracepoints, where x86-64 has functions",
    ),
    cell(
        Arch::Arm64,
        "6.12",
        Tests::Chosen,
        "functions: registers, system calls and copy routines of arm64",
    ),
    cell(
        Arch::Arm64,
        "6.12-16k",
        Tests::Chosen,
        "the same with pages of 16 KiB",
    ),
    cell(
        Arch::Arm64,
        "7.3",
        Tests::Chosen,
        "the newest; its types lack the functions `__arm64_sys_*`",
    ),
];

impl Cell {
    /// The row of a kernel. One that is not in the matrix has all tests of its kind.
    pub(super) fn of(arch: Arch, series: Series) -> Self {
        let known = MATRIX
            .into_iter()
            .find(|cell| cell.arch == arch && cell.kernel == series.name);
        let tests = match arch {
            Arch::Amd64 => Tests::Every,
            Arch::Arm64 => Tests::Chosen,
        };
        known.unwrap_or(cell(arch, series.name, tests, "asked for"))
    }

    /// The arguments of the test program, for each time that it is run. A filter selects among all tests that a
    /// kernel can run, whatever runs there without one; `alone` says that no other kernel is tested.
    pub(super) fn runs(&self, filter: Option<&str>, alone: bool) -> Vec<Vec<String>> {
        if self.tests == Tests::Chosen && filter.is_none() {
            return CHOSEN.map(Address::exactly).to_vec();
        }
        let mut runs = vec![Address::EveryKernel.arguments(filter)];
        if alone || self.tests == Tests::Both {
            runs.push(Address::OneKernel.arguments(filter));
        }
        if self.tests == Tests::Chosen && filter.is_some_and(|filter| SELF_TEST.contains(filter)) {
            runs.push(Address::exactly(&[SELF_TEST]));
        }
        runs
    }
}

/// The kernels of an architecture that run without being named.
pub(super) fn kernels(arch: Arch) -> Vec<Series> {
    Series::tested(arch).to_vec()
}

/// What a run of the vm layer on these architectures leaves out, a line each.
pub(super) fn left_out(run: &[Arch]) -> Vec<String> {
    MATRIX
        .iter()
        .filter(|cell| !run.contains(&cell.arch))
        .map(|cell| {
            let (arch, kernel, why) = (cell.arch, cell.kernel, cell.why);
            format!("vm on {arch}, Linux {kernel} ({why}): --all-architectures runs it")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, fs};

    use super::*;
    use crate::paths;

    /// The table of docs/CONTRIBUTING.md.
    fn page() -> String {
        let mut text = String::from("| architecture | kernel | tests | why |\n|---|---|---|---|\n");
        for cell in MATRIX {
            let tests = match cell.tests {
                Tests::Both => "`every_kernel/`, `one_kernel/`",
                Tests::Every => "`every_kernel/`",
                Tests::Chosen => "the chosen ones",
            };
            let (arch, kernel, why) = (cell.arch, cell.kernel, cell.why);
            writeln!(text, "| {arch} | {kernel} | {tests} | {why} |").expect("a string");
        }
        text
    }

    #[test]
    fn the_table_of_the_page_is_this_one() {
        let text = fs::read_to_string(paths::root().join("docs/CONTRIBUTING.md")).unwrap();
        assert!(
            text.contains(&page()),
            "docs/CONTRIBUTING.md should have:\n{}",
            page()
        );
    }

    /// Whoever reads what is supported finds what is tested.
    #[test]
    fn the_page_of_support_has_every_kernel() {
        let text = fs::read_to_string(paths::root().join("docs/support.md")).unwrap();
        for cell in MATRIX {
            let arch = match cell.arch {
                Arch::Amd64 => "x86-64",
                Arch::Arm64 => "arm64",
            };
            let (kernel, pages) = match cell.kernel.strip_suffix("-16k") {
                Some(kernel) => (kernel, "16 KiB"),
                None => (cell.kernel, "4 KiB"),
            };
            let is_row = |line: &&str| {
                let cells: Vec<_> = line.split('|').map(str::trim).collect();
                let versions = cells.get(2).copied().unwrap_or_default();
                cells.get(1) == Some(&arch)
                    && versions.split([' ', ',']).any(|version| version == kernel)
                    && cells.get(3) == Some(&pages)
            };
            assert_eq!(text.lines().filter(is_row).count(), 1, "{cell:?}");
        }
    }

    #[test]
    fn the_chosen_tests_exist() {
        let tests = paths::root().join("zctrace/tests/privileged");
        for name in CHOSEN.concat() {
            let mut parts: Vec<_> = name.split("::").collect();
            let function = parts.pop().unwrap();
            let file = tests.join(parts.join("/")).with_extension("rs");
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.contains(&format!("fn {function}()")), "{name}");
        }
    }

    #[test]
    fn the_kernels_are_those_of_the_virtual_machines() {
        for arch in [Arch::Amd64, Arch::Arm64] {
            let mut here: Vec<_> = MATRIX
                .iter()
                .filter(|cell| cell.arch == arch)
                .map(|cell| cell.kernel)
                .collect();
            let mut there: Vec<_> = kernels(arch).iter().map(|series| series.name).collect();
            here.sort_unstable();
            there.sort_unstable();
            assert_eq!(here, there);
        }
    }

    #[test]
    fn what_does_not_run_is_named() {
        let lines = left_out(&[Arch::Amd64]);
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|line| line.starts_with("vm on arm64")));
        assert!(left_out(&[Arch::Amd64, Arch::Arm64]).is_empty());
    }

    #[test]
    fn a_filter_finds_what_is_not_chosen() {
        let cell = Cell::of(Arch::Arm64, Series::parse("6.12").unwrap());
        let runs = cell.runs(None, true);
        assert_eq!(runs.len(), CHOSEN.len());
        assert!(runs[2].contains(&SELF_TEST.to_owned()));
        assert_eq!(cell.runs(Some("zerocopy"), true).len(), 2);
        let of_the_host = cell.runs(Some("self_test"), true);
        assert_eq!(of_the_host.last().unwrap().last().unwrap(), SELF_TEST);
    }
}
