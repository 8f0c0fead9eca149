//! Limits on the command line: of copies per byte, and of a time.

/// Parses a limit of copies per byte.
pub(crate) fn limit(text: &str) -> Result<f64, String> {
    number(
        text,
        "write a number: 0.02 means zero-copy, 1 means one copy",
        "it must not be negative: 0 means no copy at all",
    )
}

/// Parses a limit in milliseconds.
pub(crate) fn milliseconds(text: &str) -> Result<f64, String> {
    number(
        text,
        "write a number of milliseconds, such as 10 or 0.5",
        "it must not be negative",
    )
}

fn number(text: &str, unreadable: &str, negative: &str) -> Result<f64, String> {
    let limit: f64 = text.trim().parse().map_err(|_| unreadable.to_owned())?;
    if limit.is_nan() || limit.is_infinite() {
        return Err("it must be a finite number".into());
    }
    if limit.is_sign_negative() {
        return Err(negative.into());
    }
    Ok(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_spellings() {
        for (text, wanted) in [("0", 0.0), ("0.02", 0.02), ("2", 2.0), ("1e-3", 0.001)] {
            assert_eq!(limit(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn mistakes_are_explained() {
        for (texts, part) in [
            (&["", "two", "0,02"][..], "write a number"),
            (&["nan", "NaN", "inf", "-inf"], "a finite number"),
            (&["-0.1", "-0"], "must not be negative"),
        ] {
            for text in texts {
                let error = limit(text).expect_err(text);
                assert!(error.contains(part), "{text}: {error}");
            }
        }
        assert_eq!(milliseconds("0.5"), Ok(0.5));
        let error = milliseconds("10ms").expect_err("a unit");
        assert!(error.contains("of milliseconds"), "{error}");
    }
}
