//! Parts of a whole on the command line.

/// Parses a part such as `5%`; the result is 0.05.
pub(crate) fn percent(text: &str) -> Result<f64, String> {
    let Some(number) = text.trim().strip_suffix('%') else {
        return Err(format!("a percent sign is missing: write {}%", text.trim()));
    };
    let number: f64 = number
        .trim()
        .parse()
        .map_err(|_| String::from("write a number and a percent sign: 5%"))?;
    if !number.is_finite() || number.is_sign_negative() {
        return Err("it must be a finite number of at least 0%".into());
    }
    Ok(number / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_percentages_are_taken() {
        for (text, part) in [
            ("5%", 0.05),
            (" 12.5 % ", 0.125),
            ("0%", 0.0),
            ("200%", 2.0),
        ] {
            assert_eq!(percent(text), Ok(part), "{text}");
        }
        let refused = |text| percent(text).unwrap_err();
        assert_eq!(refused("5"), "a percent sign is missing: write 5%");
        for text in ["%", "five%"] {
            assert_eq!(
                refused(text),
                "write a number and a percent sign: 5%",
                "{text}"
            );
        }
        for text in ["-1%", "inf%", "NaN%", "-0%"] {
            assert_eq!(
                refused(text),
                "it must be a finite number of at least 0%",
                "{text}"
            );
        }
    }
}
