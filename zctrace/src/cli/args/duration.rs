//! Lengths of time on the command line.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// Ten years: more is a mistake, and timers have limits.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 3600);
/// A shorter interval would be spent on reading all rows.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// Parses `10s`, `500ms`, `1m30s`, `2h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    const ZERO: &str = "it must be more than zero";
    let text = text.trim();
    // True whatever the unit.
    if text.parse() == Ok(0.0) {
        return Err(ZERO.into());
    }
    if !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return Err(format!("a unit is missing: write {text}s for seconds"));
    }
    let span: Span = text
        .parse()
        .map_err(|_| String::from("write a number and a unit, as in 10s, 500ms or 1m30s"))?;
    if span.is_negative() {
        return Err("it must be positive".into());
    }
    let duration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| {
            String::from("use units from ms to days: months and years differ in length")
        })?;
    let duration = Duration::try_from(duration).map_err(|_| "it must be positive".to_owned())?;
    if duration.is_zero() {
        return Err(ZERO.into());
    }
    if duration > LONGEST {
        return Err("it must not be more than ten years".into());
    }
    Ok(duration)
}

/// Parses the length of an interval.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if interval < SHORTEST_INTERVAL {
        return Err("the shortest interval is 10ms".into());
    }
    Ok(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_spellings() {
        for (text, millis) in [
            ("10s", 10_000),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("1m 30s", 90_000),
            ("1.5s", 1500),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            (" 3s ", 3000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn mistakes_are_explained() {
        for (text, part) in [
            ("10", "10s"),
            ("0", "zero"),
            ("0s", "zero"),
            ("0ms", "zero"),
            ("-5s", "positive"),
            ("", "unit"),
            ("soon", "unit"),
            ("99999999h", "ten years"),
            ("11y", "years"),
            ("1mo", "months"),
            ("99999999999999999999s", "unit"),
        ] {
            let error = duration(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        assert_eq!(
            interval("9ms"),
            Err("the shortest interval is 10ms".to_owned())
        );
        assert_eq!(interval("10ms"), Ok(SHORTEST_INTERVAL));
    }
}
