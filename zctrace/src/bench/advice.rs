//! A sentence of advice, drawn from the numbers and their spread.

use super::{Options, document::Contestant};
use crate::text::bytes;

/// Which of `contestants`, the fastest first, is the right tool, as far as the runs show.
/// `modifies`: one of them changes a part of the data.
#[must_use]
pub fn sentence(contestants: &[Contestant], options: &Options, modifies: bool) -> String {
    let [best, others @ ..] = contestants else {
        return "Nothing could be compared.".to_owned();
    };
    let Some(second) = others.first() else {
        return format!("Only {} could be measured.", best.name);
    };
    let parameters = options.parameters;
    let mut place = format!(
        "On this machine, with {} in a call",
        bytes::bytes(parameters.buffer as u64)
    );
    if modifies {
        let percent = (parameters.fraction * 100.0).round();
        place += &format!(" and {percent}% modified");
    }
    // Run by run: what slows the machine down for a while hits both.
    let is_clear = second.of_fastest.max < 1.0;
    if is_clear {
        let factor = |part: f64| format!("{:.2}", 1.0 / part);
        return format!(
            "{place}, use {}: {} times the throughput of {} ({} to {}){}.",
            best.name,
            factor(second.of_fastest.median),
            second.name,
            factor(second.of_fastest.max),
            factor(second.of_fastest.min),
            copies(best, second),
        );
    }
    let unclear: Vec<_> = contestants
        .iter()
        .filter(|contestant| contestant.of_fastest.max >= 1.0)
        .collect();
    let names: Vec<_> = unclear.iter().map(|c| c.name.as_str()).collect();
    let thrifty = unclear.iter().min_by(|a, b| {
        a.cpu_seconds_per_gib
            .median
            .total_cmp(&b.cpu_seconds_per_gib.median)
    });
    format!(
        "{place}, the throughputs of {} cannot be told apart by these runs; {} takes the least \
         processor time ({:.2} s for a GiB).",
        listed(&names),
        thrifty.map_or("none", |c| c.name.as_str()),
        thrifty.map_or(0.0, |c| c.cpu_seconds_per_gib.median),
    )
}

/// Of two techniques, if the tracer has seen them.
fn copies(best: &Contestant, second: &Contestant) -> String {
    let of = |contestant: &Contestant| contestant.copies_per_carried_byte;
    match (of(best), of(second)) {
        (None, _) | (_, None) => String::new(),
        (best, second) => format!(
            ", {} copies per byte against {}",
            bytes::copies_per_byte(best),
            bytes::copies_per_byte(second)
        ),
    }
}

/// `a, b and c`.
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bench::Spread, workload::technique::Parameters};

    fn contestant(name: &str, part: (f64, f64, f64), cpu: f64) -> Contestant {
        let spread = |(min, median, max)| Spread { median, min, max };
        Contestant {
            name: name.to_owned(),
            bytes_per_second: spread(part),
            of_fastest: spread(part),
            cpu_seconds_per_gib: spread((cpu, cpu, cpu)),
            copies_per_carried_byte: Some(1.0),
        }
    }

    fn advice(contestants: &[Contestant]) -> String {
        let options = Options {
            parameters: Parameters::default(),
            threads: 1,
            duration: None,
        };
        sentence(contestants, &options, false)
    }

    #[test]
    fn a_clear_difference_is_advice() {
        let text = advice(&[
            contestant("fast", (1.0, 1.0, 1.0), 1.0),
            contestant("slow", (0.4, 0.5, 0.8), 2.0),
        ]);
        assert_eq!(
            text,
            "On this machine, with 64.0 KiB in a call, use fast: 2.00 times the throughput of slow \
             (1.25 to 2.50), 1.00 copies per byte against 1.00."
        );
    }

    #[test]
    fn an_unclear_one_is_not() {
        let text = advice(&[
            contestant("one", (1.0, 1.0, 1.0), 2.0),
            contestant("two", (0.9, 0.95, 1.05), 1.0),
            contestant("three", (0.8, 0.9, 1.01), 1.5),
        ]);
        assert!(
            text.contains("one, two and three cannot be told apart"),
            "{text}"
        );
        assert!(text.contains("two takes the least"), "{text}");
        assert!(advice(&[]).contains("Nothing"));
    }
}
