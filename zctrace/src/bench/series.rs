//! Several runs, by turns: what changes on the machine in the meantime hits all alike.

use anyhow::Result;

use super::{
    Entry, Options, Spread, Status, Tracer, advice,
    document::{Comparison, Contestant, Cost, Crossover, Line, Point, Sweep},
    measure,
};
use crate::workload::{Arena, stage::runner, technique::Workload};

/// What is swept over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The size of the buffer.
    Buffer,
    /// The modified part.
    Fraction,
}

impl Over {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Buffer => "buffer",
            Self::Fraction => "fraction",
        }
    }

    /// The points: 1 KiB to 16 MiB, 0 to 1.
    #[must_use]
    pub fn points(self) -> Vec<f64> {
        match self {
            Self::Buffer => (0..8)
                .map(|step| f64::from(1024_u32 << (2 * step)))
                .collect(),
            Self::Fraction => [0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
                .map(|percent| f64::from(percent) / 100.0)
                .to_vec(),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a point of the sweep, which is a number of bytes"
    )]
    fn at(self, options: &Options, value: f64) -> Options {
        let mut options = *options;
        match self {
            Self::Buffer => options.parameters.buffer = value as usize,
            Self::Fraction => options.parameters.fraction = value,
        }
        options
    }
}

/// What a series of runs made of its workloads.
#[derive(Debug)]
pub struct Series<T> {
    /// The worst, or the last, entry of each workload.
    pub entries: Vec<Entry>,
    /// The result.
    pub result: T,
}

/// Told what runs next: the number, of how many, and the name.
pub type Progress<'a> = &'a mut dyn FnMut(usize, usize, &str);

/// Keeps the worst entry of each workload: a difference in one run is one.
fn keep(entries: &mut Vec<Entry>, entry: Entry) {
    match entries.iter_mut().find(|kept| kept.name == entry.name) {
        Some(kept) if matches!(kept.status, Status::Ok | Status::Unverified) => *kept = entry,
        Some(_) => {}
        None => entries.push(entry),
    }
}

/// Runs every workload at every point.
pub fn sweep(
    arena: &Arena,
    tracer: &mut Tracer,
    workloads: &[Workload],
    options: &Options,
    (over, runs): (Over, u32),
    progress: Progress<'_>,
) -> Series<Sweep> {
    let mut entries = Vec::new();
    let mut lines: Vec<_> = workloads
        .iter()
        .map(|workload| Line {
            name: workload.name(),
            points: Vec::new(),
        })
        .collect();
    let points = over.points();
    let total = points.len() * workloads.len();
    for (at, value) in points.iter().enumerate() {
        let options = over.at(options, *value);
        let mut measured = vec![(Vec::new(), None); workloads.len()];
        for _ in 0..runs {
            for (index, workload) in workloads.iter().enumerate() {
                if runner::is_interrupted() {
                    break;
                }
                progress(at * workloads.len() + index + 1, total, &workload.name());
                let entry = measure(arena, Some(tracer), *workload, &options);
                measured[index].0.extend(entry.bytes_per_second);
                measured[index].1 = entry.measured_copies_per_carried_byte;
                keep(&mut entries, entry);
            }
        }
        for (line, (throughputs, copies)) in lines.iter_mut().zip(measured) {
            line.points
                .extend(Spread::of(throughputs).map(|spread| Point {
                    value: *value,
                    bytes_per_second: spread,
                    copies_per_carried_byte: copies,
                }));
        }
    }
    let crossovers = crossovers(&lines, runs);
    Series {
        entries,
        result: Sweep {
            over: over.name().to_owned(),
            runs,
            lines,
            crossovers,
        },
    }
}

/// Where lines cross, pair by pair: on the straight line between two points.
fn crossovers(lines: &[Line], runs: u32) -> Vec<Crossover> {
    let mut found = Vec::new();
    for (index, first) in lines.iter().enumerate() {
        for second in &lines[index + 1..] {
            let gaps: Vec<_> = first
                .points
                .iter()
                .filter_map(|a| {
                    let b = second.points.iter().find(|b| b.value == a.value)?;
                    let (own, other) = (a.bytes_per_second, b.bytes_per_second);
                    // One run tells nothing of its noise.
                    let is_clear = runs > 1 && (own.min > other.max || other.min > own.max);
                    Some((a.value, own.median - other.median, is_clear))
                })
                .collect();
            for pair in gaps.windows(2) {
                let ((from, before, clear_before), (to, after, clear_after)) = (pair[0], pair[1]);
                if before * after >= 0.0 {
                    continue;
                }
                let names = (first.name.clone(), second.name.clone());
                let (below, above) = if before > 0.0 {
                    names
                } else {
                    (names.1, names.0)
                };
                found.push(Crossover {
                    below,
                    above,
                    value: from + (to - from) * before / (before - after),
                    uncertain: !(clear_before && clear_after),
                });
            }
        }
    }
    found
}

/// Runs workloads by turns and compares them.
pub fn compare(
    arena: &Arena,
    tracer: &mut Tracer,
    workloads: &[Workload],
    options: &Options,
    runs: u32,
    progress: Progress<'_>,
) -> Series<Option<Comparison>> {
    let mut entries = Vec::new();
    let mut rounds: Vec<Vec<Entry>> = vec![Vec::new(); workloads.len()];
    let total = runs as usize * workloads.len();
    'rounds: for run in 0..runs as usize {
        for (index, workload) in workloads.iter().enumerate() {
            if runner::is_interrupted() {
                break 'rounds;
            }
            progress(run * workloads.len() + index + 1, total, &workload.name());
            let entry = measure(arena, Some(tracer), *workload, options);
            rounds[index].push(entry.clone());
            keep(&mut entries, entry);
        }
    }
    let modifies = workloads.iter().any(|w| w.technique.modifies);
    let result = contestants(&rounds).map(|contestants| Comparison {
        runs,
        advice: advice::sentence(&contestants, options, modifies),
        contestants,
    });
    Series { entries, result }
}

fn contestants(rounds: &[Vec<Entry>]) -> Option<Vec<Contestant>> {
    let speeds = |entries: &[Entry]| -> Vec<f64> {
        entries.iter().filter_map(|e| e.bytes_per_second).collect()
    };
    let median = |entries: &[Entry]| Spread::of(speeds(entries)).map(|spread| spread.median);
    let fastest = rounds
        .iter()
        .filter(|entries| median(entries).is_some())
        .max_by(|a, b| {
            median(a)
                .unwrap_or(0.0)
                .total_cmp(&median(b).unwrap_or(0.0))
        })?;
    let fastest = speeds(fastest);
    let mut contestants: Vec<_> = rounds
        .iter()
        .filter_map(|entries| {
            let own = speeds(entries);
            let ratios = own.iter().zip(&fastest).map(|(own, best)| own / best);
            let last = entries.last()?;
            let cpu = entries.iter().filter_map(|e| e.cpu_seconds_per_gib);
            Some(Contestant {
                name: last.name.clone(),
                of_fastest: Spread::of(ratios.collect())?,
                cpu_seconds_per_gib: Spread::of(cpu.collect())?,
                copies_per_carried_byte: last.measured_copies_per_carried_byte,
                bytes_per_second: Spread::of(own)?,
            })
        })
        .collect();
    contestants.sort_by(|a, b| {
        b.bytes_per_second
            .median
            .total_cmp(&a.bytes_per_second.median)
    });
    Some(contestants)
}

/// Runs each workload by turns with and without the tracer.
///
/// # Errors
///
/// When the tracer cannot be attached again.
pub fn untraced(
    arena: &Arena,
    mut attach: impl FnMut() -> Result<Tracer, crate::run::Error>,
    workloads: &[Workload],
    options: &Options,
    runs: u32,
    progress: Progress<'_>,
) -> Result<Series<Vec<Cost>>, crate::run::Error> {
    let mut entries = Vec::new();
    let mut costs = Vec::new();
    for (index, workload) in workloads.iter().enumerate() {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        progress(index + 1, workloads.len(), &workload.name());
        // Pages that the first run takes from the kernel, later ones find there: it is no measure.
        let _ = measure(arena, None, *workload, options);
        for _ in 0..runs {
            if runner::is_interrupted() {
                break;
            }
            let plain = measure(arena, None, *workload, options);
            let entry = measure(arena, Some(&mut attach()?), *workload, options);
            if let (Some(plain), Some(traced)) = (plain.bytes_per_second, entry.bytes_per_second) {
                without.push(plain);
                with.push(traced);
            }
            let is_over = entry.status == Status::Skipped;
            keep(&mut entries, entry);
            if is_over {
                break;
            }
        }
        let ratios = with
            .iter()
            .zip(&without)
            .map(|(with, without)| with / without);
        if let (Some(ratio), Some(traced), Some(untraced)) = (
            Spread::of(ratios.collect()),
            Spread::of(with),
            Spread::of(without),
        ) {
            costs.push(Cost {
                name: workload.name(),
                runs,
                traced,
                untraced,
                ratio,
            });
        }
    }
    Ok(Series {
        entries,
        result: costs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, medians: &[f64]) -> Line {
        let points = medians.iter().enumerate().map(|(index, median)| Point {
            value: index as f64,
            bytes_per_second: Spread {
                median: *median,
                min: *median,
                max: *median,
            },
            copies_per_carried_byte: None,
        });
        Line {
            name: name.to_owned(),
            points: points.collect(),
        }
    }

    #[test]
    fn a_crossover_lies_where_the_lines_meet() {
        let lines = [line("a", &[4.0, 3.0, 1.0]), line("b", &[2.0, 2.0, 2.0])];
        let found = crossovers(&lines, 3);
        assert_eq!(found.len(), 1);
        assert!(!found[0].uncertain);
        assert!(crossovers(&lines, 1)[0].uncertain, "one run");
        assert_eq!(
            (found[0].below.as_str(), found[0].above.as_str()),
            ("a", "b")
        );
        assert_eq!(found[0].value, 1.5);
        assert!(crossovers(&[line("a", &[4.0, 3.0]), line("b", &[2.0, 2.0])], 3).is_empty());
        // The runs of one point reach from one line to the other.
        let mut lines = [line("a", &[4.0, 1.0, 4.0]), line("b", &[2.0, 2.0, 2.0])];
        lines[0].points[1].bytes_per_second.max = 3.0;
        let found = crossovers(&lines, 3);
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|crossover| crossover.uncertain));
    }

    #[test]
    fn points_are_where_they_should_be() {
        let buffers = Over::Buffer.points();
        assert_eq!(buffers.first(), Some(&1024.0));
        assert_eq!(buffers.last(), Some(&f64::from(16_u32 << 20)));
        let fractions = Over::Fraction.points();
        assert_eq!(
            (fractions.first(), fractions.last()),
            (Some(&0.0), Some(&1.0))
        );
    }

    #[test]
    fn the_worst_run_of_a_workload_is_kept() {
        let entry = |status| Entry {
            status,
            ..Entry::new("x".into())
        };
        let mut entries = Vec::new();
        for status in [Status::Ok, Status::Differs, Status::Ok] {
            keep(&mut entries, entry(status));
        }
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].status, Status::Differs);
    }
}
