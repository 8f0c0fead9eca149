//! Numbers of bytes on the command line.

/// Parses `4096`, `64K`, `64KiB`, `1M`, `2G`: the units are powers of 1024.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let shift = match unit
        .strip_suffix("ib")
        .or(unit.strip_suffix('b'))
        .unwrap_or(&unit)
    {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return Err("write a number and a unit, as in 4096, 64K or 1M".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "write a number and a unit, as in 4096, 64K or 1M".to_owned())?;
    number
        .checked_mul(1 << shift)
        .filter(|bytes| *bytes <= 1 << 40)
        .ok_or_else(|| "it must not be more than 1024G".to_owned())
}

/// A number of bytes that is not 0.
pub(crate) fn positive(text: &str) -> Result<u64, String> {
    match size(text)? {
        0 => Err("it must be more than zero".to_owned()),
        bytes => Ok(bytes),
    }
}

/// Parses the bytes between two stack samples. Closer samples would cost more than they are worth.
pub(crate) fn at_least_a_page(text: &str) -> Result<u64, String> {
    match size(text)? {
        bytes @ 4096.. => Ok(bytes),
        _ => Err("the minimum is 4KiB".to_owned()),
    }
}

/// Parses the size of a buffer.
pub(crate) fn buffer(text: &str) -> Result<u64, String> {
    match size(text)? {
        0 => Err("it must be more than zero".to_owned()),
        bytes if bytes > 1 << 30 => Err("it must not be more than 1G".to_owned()),
        bytes => Ok(bytes),
    }
}

/// Parses a part of a whole: `0.25` or `25%`.
pub(crate) fn fraction(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let (number, whole) = match text.strip_suffix('%') {
        Some(percent) => (percent, 100.0),
        None => (text, 1.0),
    };
    number
        .trim()
        .parse::<f64>()
        .ok()
        .map(|number| number / whole)
        .filter(|fraction| (0.0..=1.0).contains(fraction))
        .ok_or_else(|| "write a part from 0 to 1, as in 0.25 or 25%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_spellings() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64K", 64 << 10),
            ("64 KiB", 64 << 10),
            ("1m", 1 << 20),
            ("2GB", 2 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        assert_eq!(fraction("0.25"), Ok(0.25));
        assert_eq!(fraction("25%"), Ok(0.25));
        assert_eq!(buffer("1"), Ok(1));
    }

    #[test]
    fn mistakes_are_explained() {
        let refused = |error: &str| Err(error.to_owned());
        let shape = "write a number and a unit, as in 4096, 64K or 1M";
        for text in ["", "K", "1X", "-1", "1.5M"] {
            assert_eq!(size(text), refused(shape), "{text}");
        }
        assert_eq!(
            size("99999999999G"),
            refused("it must not be more than 1024G")
        );
        for of in [positive, buffer] {
            assert_eq!(of("0"), refused("it must be more than zero"));
        }
        assert_eq!(at_least_a_page("4095"), refused("the minimum is 4KiB"));
        assert_eq!(buffer("2G"), refused("it must not be more than 1G"));
        for text in ["", "1.1", "-0.1", "101%", "NaN", "x"] {
            let error = fraction(text).expect_err(text);
            assert_eq!(error, "write a part from 0 to 1, as in 0.25 or 25%");
        }
    }
}
