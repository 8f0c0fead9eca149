//! Numbers for people. The only formatter of bytes in the program.

use std::time::Duration;

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Bytes with three significant digits and a binary unit: `999 B`, `1.50 KiB`, `16.0 MiB`. At most
/// nine characters.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // The greatest unit of which there is at least one, counted in integers: a float could round
    // up into the next unit without its name changing.
    let mut unit = bytes.ilog2() / 10;
    let mut text = digits(bytes, unit);
    if text == "1024" && unit < 6 {
        unit += 1;
        text = digits(bytes, unit);
    }
    format!("{text} {}", UNITS[unit as usize])
}

#[expect(
    clippy::cast_precision_loss,
    reason = "three digits are shown of the fifteen that a float keeps"
)]
fn digits(bytes: u64, unit: u32) -> String {
    let value = bytes as f64 / (1u64 << (10 * unit)) as f64;
    if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// A count: exact up to five digits, then with three significant digits: `99999`, `123k`, `1.23M`.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "three digits are shown of the fifteen that a float keeps"
)]
pub fn count(count: u64) -> String {
    if count < 100_000 {
        return count.to_string();
    }
    let mut value = count as f64;
    let mut unit = "";
    for next in ["k", "M", "G", "T", "P", "E"] {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    let decimals = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.decimals$}{unit}")
}

/// Copies per byte: `0.00`, `<0.01`, `2.00`, `150`, or `-` when nothing moved. Only an exact zero
/// is shown as zero: it is the claim that matters.
#[must_use]
pub fn copies_per_byte(ratio: Option<f64>) -> String {
    match ratio {
        None => "-".into(),
        Some(ratio) if ratio > 0.0 && ratio < 0.005 => "<0.01".into(),
        Some(ratio) if ratio < 9.995 => format!("{ratio:.2}"),
        Some(ratio) if ratio < 99.95 => format!("{ratio:.1}"),
        Some(ratio) if ratio < 9999.5 => format!("{ratio:.0}"),
        Some(_) => ">9999".into(),
    }
}

/// A length of time with three significant digits: `1.50 s`, `250 ms`, `2 min 5 s`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let (value, unit) = if seconds < 999.5e-9 {
        (seconds * 1e9, "ns")
    } else if seconds < 999.5e-6 {
        (seconds * 1e6, "us")
    } else if seconds < 0.9995 {
        (seconds * 1e3, "ms")
    } else if seconds < 119.95 {
        (seconds, "s")
    } else {
        let seconds = duration.as_secs();
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        return if hours > 0 {
            format!("{hours} h {minutes} min")
        } else {
            format!("{minutes} min {seconds} s")
        };
    };
    if value < 9.995 {
        format!("{value:.2} {unit}")
    } else if value < 99.95 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// A part of a whole in percent: `60%`; `<1%` and `>99%` where rounding would hide something.
#[must_use]
pub fn percent(part: u64, whole: u64) -> String {
    // In 128 bits, so that the largest counters cannot overflow.
    let rounded = (u128::from(part) * 200 + u128::from(whole)) / (u128::from(whole) * 2).max(1);
    match rounded {
        0 if part > 0 => "<1%".into(),
        100 if part < whole => ">99%".into(),
        rounded => format!("{rounded}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits_and_a_unit() {
        for (value, text) in [
            (0, "0 B"),
            (1, "1 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1536, "1.50 KiB"),
            (10 * 1024, "10.0 KiB"),
            (16 << 20, "16.0 MiB"),
            (100 << 20, "100 MiB"),
            ((1 << 20) - 1, "1.00 MiB"),
            (1023 << 10, "1023 KiB"),
            ((1 << 30) - 1, "1.00 GiB"),
            (1 << 60, "1.00 EiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(value), text, "{value}");
            assert!(bytes(value).len() <= 9);
        }
    }

    #[test]
    fn counts_stay_short() {
        for (value, text) in [
            (0, "0"),
            (99_999, "99999"),
            (100_000, "100k"),
            (999_499, "999k"),
            (999_500, "1.00M"),
            (1_234_567, "1.23M"),
            (u64::MAX, "18.4E"),
        ] {
            assert_eq!(count(value), text, "{value}");
        }
    }

    #[test]
    fn only_no_copy_is_shown_as_zero() {
        for (value, text) in [
            (None, "-"),
            (Some(0.0), "0.00"),
            (Some(0.000_001), "<0.01"),
            (Some(0.005), "0.01"),
            (Some(1.0), "1.00"),
            (Some(2.345), "2.35"),
            (Some(45.67), "45.7"),
            (Some(1e9), ">9999"),
        ] {
            assert_eq!(copies_per_byte(value), text, "{value:?}");
        }
    }

    #[test]
    fn durations_are_short() {
        for (nanos, text) in [
            (0, "0.00 ns"),
            (1_500, "1.50 us"),
            (250_000_000, "250 ms"),
            (1_000_000_000, "1.00 s"),
            (59_960_000_000, "60.0 s"),
            (125_000_000_000, "2 min 5 s"),
            (7_260_000_000_000, "2 h 1 min"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn percentages_hide_nothing() {
        assert_eq!(percent(60, 100), "60%");
        assert_eq!(percent(0, 100), "0%");
        assert_eq!(percent(1, 1_000_000), "<1%");
        assert_eq!(percent(999_999, 1_000_000), ">99%");
        assert_eq!(percent(u64::MAX, u64::MAX), "100%");
        assert_eq!(percent(0, 0), "0%");
    }
}
