//! A technique that the user had measured.

use crate::bench::Entry;

/// What the user can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Bytes to carry.
    pub bytes: u64,
    /// Bytes in a call.
    pub buffer: u64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            bytes: 64 << 20,
            buffer: 64 << 10,
        }
    }
}

impl Parameters {
    /// As [`Parameters::parse`] reads it.
    #[must_use]
    pub fn shown(&self) -> String {
        let short = |bytes: u64| match bytes {
            bytes if bytes.is_multiple_of(1 << 20) => format!("{}M", bytes >> 20),
            bytes if bytes.is_multiple_of(1 << 10) => format!("{}K", bytes >> 10),
            bytes => bytes.to_string(),
        };
        format!("bytes {} buffer {}", short(self.bytes), short(self.buffer))
    }

    /// Reads `bytes 64M buffer 64K`; what is not named stays as it is.
    ///
    /// # Errors
    ///
    /// Says what is wrong.
    pub fn parse(self, text: &str) -> Result<Self, String> {
        const MOST_BYTES: u64 = 1 << 36;
        const MOST_BUFFER: u64 = 1 << 24;
        let mut parameters = self;
        let mut words = text.split([' ', '=', ',']).filter(|word| !word.is_empty());
        while let Some(name) = words.next() {
            let value = words
                .next()
                .ok_or_else(|| format!("{name}: a number is missing"))?;
            let wrong = |_| format!("{value} is not a number: write 100, 64K or 8M");
            let (digits, shift) = match value.to_ascii_lowercase() {
                text if text.ends_with('k') => (text[..text.len() - 1].to_owned(), 10),
                text if text.ends_with('m') => (text[..text.len() - 1].to_owned(), 20),
                text if text.ends_with('g') => (text[..text.len() - 1].to_owned(), 30),
                text => (text, 0),
            };
            let number: u64 = digits.parse().map_err(wrong)?;
            let number = number.saturating_mul(1 << shift);
            let (into, most) = match name {
                "bytes" => (&mut parameters.bytes, MOST_BYTES),
                "buffer" => (&mut parameters.buffer, MOST_BUFFER),
                _ => {
                    return Err(format!(
                        "no parameter {name}: the parameters are bytes and buffer"
                    ));
                }
            };
            if number == 0 || number > most {
                return Err(format!("{name} must be from 1 to {most}"));
            }
            *into = number;
        }
        Ok(parameters)
    }
}

/// The measurement that runs, or the last one.
#[derive(Clone, Debug)]
pub struct Run {
    /// The technique.
    pub name: String,
    /// How it was started.
    pub parameters: Parameters,
    /// What came of it, once it is over: numbers, or why there are none.
    pub result: Option<Result<Box<Entry>, String>>,
}

impl Run {
    /// One that has just been started.
    #[must_use]
    pub const fn new(name: String, parameters: Parameters) -> Self {
        Self {
            name,
            parameters,
            result: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_they_are_shown() {
        let usual = Parameters::default();
        assert_eq!(usual.parse(&usual.shown()), Ok(usual));
        let chosen = usual.parse("buffer 4K, bytes=64K").unwrap();
        assert_eq!((chosen.bytes, chosen.buffer), (64 << 10, 4 << 10));
        assert_eq!(usual.parse("buffer 5").unwrap().bytes, usual.bytes);
        assert!(usual.parse("buffer").unwrap_err().contains("missing"));
        assert!(usual.parse("buffer 0").unwrap_err().contains("from 1"));
        let error = usual.parse("bytes much").unwrap_err();
        assert!(error.contains("not a number"), "{error}");
        assert!(
            usual
                .parse("rounds 3")
                .unwrap_err()
                .contains("no parameter")
        );
    }
}
