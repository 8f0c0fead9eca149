//! How much work the programs are to the verifier, which is most of the time that attaching takes.
//!
//! `verifier.txt` beside this file has what each program took on each kernel. Where one takes a fifth more,
//! the test fails. When that is wanted, or a program is new, copy the table that the test prints into the file.

use std::{collections::BTreeMap, fmt::Write as _};

use zctrace::{catalog, kernel};

use crate::common::shared;

const COMMITTED: &str = include_str!("verifier.txt");

/// For each program, instructions on each of the kernels of the first line.
struct Table {
    kernels: Vec<String>,
    programs: BTreeMap<String, Vec<Option<u32>>>,
}

impl Table {
    fn parse(text: &str) -> Self {
        let mut lines = text.lines().map(str::split_whitespace);
        let kernels = lines.next().expect("a first line").skip(1);
        Self {
            kernels: kernels.map(str::to_owned).collect(),
            programs: lines
                .map(|mut words| {
                    let name = words.next().expect("a program").to_owned();
                    (name, words.map(|word| word.parse().ok()).collect())
                })
                .collect(),
        }
    }

    fn print(&self) -> String {
        let mut text = format!("{:<36}", "program");
        for kernel in &self.kernels {
            let _ = write!(text, "{kernel:>8}");
        }
        for (name, counts) in &self.programs {
            let _ = write!(text, "\n{name:<36}");
            for count in counts {
                let cell = count.map_or_else(|| "-".to_owned(), |count| count.to_string());
                let _ = write!(text, "{cell:>8}");
            }
        }
        text
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn no_program_became_more_work_to_the_verifier() {
    let release = kernel::release();
    let counted = shared::session().verified_instructions();
    assert!(!counted.is_empty(), "no program is loaded");
    let mut table = Table::parse(COMMITTED);
    let known = table
        .kernels
        .iter()
        .position(|kernel| release.starts_with(&format!("{kernel}.")));
    let column = known.unwrap_or_else(|| {
        table.kernels.push(release.clone());
        table.kernels.len() - 1
    });
    let mut faults = Vec::new();
    for (name, &count) in &counted {
        let counts = table.programs.entry(name.clone()).or_default();
        counts.resize(column.max(counts.len().saturating_sub(1)) + 1, None);
        match counts[column] {
            Some(before) if u64::from(count) * 5 > u64::from(before) * 6 => {
                faults.push(format!("{name}: {before} -> {count}"));
            }
            None => faults.push(format!("{name}: not in the table, {count}")),
            Some(_) => {}
        }
        counts[column] = Some(count);
    }
    let programs: Vec<_> = catalog::probes()
        .flat_map(|probe| probe.ways)
        .map(|way| way.program)
        .collect();
    for name in table.programs.keys() {
        let is_known = programs.iter().any(|program| name.starts_with(program));
        if !is_known && !counted.contains_key(name) {
            faults.push(format!("{name}: in the table, and no program"));
        }
    }
    let sum: u64 = table
        .programs
        .values()
        .filter_map(|counts| counts.get(column)?.map(u64::from))
        .sum();
    println!("\n{}\n{sum} instructions on Linux {release}", table.print());
    if known.is_none() {
        println!(
            "SKIP: no_program_became_more_work_to_the_verifier: nothing is known of Linux {release}"
        );
        return;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
