//! Where a replay is, and where the user wants it.

use std::time::Duration;

/// What the user wants of the replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Pause, or go on.
    Pause,
    /// So many intervals on, or back; it pauses there.
    Step(i64),
    /// Somewhere.
    Seek(When),
    /// Half as fast.
    Slower,
    /// Twice as fast.
    Faster,
    /// Count from zero.
    Rebase,
}

/// A place in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The interval in which this much time has passed.
    Time(Duration),
    /// This part of the whole time, in percent.
    Percent(u8),
    /// The interval with this number, from 1.
    Number(usize),
}

impl When {
    /// Reads `90s`, `1m30s`, `50%` or `#12`.
    ///
    /// # Errors
    ///
    /// Says how to write it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = || format!("{text}: write 90s, 1m30s, 50% or #12");
        if let Some(number) = text.strip_prefix('#') {
            let number = number.parse().map_err(|_| wrong())?;
            return if number == 0 {
                Err(wrong())
            } else {
                Ok(Self::Number(number))
            };
        }
        if let Some(part) = text.strip_suffix('%') {
            let part: u8 = part.trim().parse().map_err(|_| wrong())?;
            return if part > 100 {
                Err(wrong())
            } else {
                Ok(Self::Percent(part))
            };
        }
        let seconds = text.parse().ok().map(Duration::from_secs);
        let time = seconds.or_else(|| {
            let time: jiff::SignedDuration = text.parse().ok()?;
            Duration::try_from(time).ok()
        });
        time.map(Self::Time).ok_or_else(wrong)
    }
}

/// Where the replay is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// The interval on screen, from 0.
    pub position: usize,
    /// How many there are.
    pub intervals: usize,
    /// The recorded time until the end of the interval on screen.
    pub at: Duration,
    /// All recorded time.
    pub length: Duration,
    /// When the interval began, as it was recorded.
    pub started_at: String,
    /// It stands still.
    pub paused: bool,
    /// Power of two of the speed.
    pub speed: i8,
    /// Where the recording stops being readable.
    pub damage: Option<String>,
}

impl Status {
    /// The speed for people.
    #[must_use]
    pub fn speed(&self) -> String {
        match self.speed {
            0.. => format!("{}x", 1_u32 << self.speed),
            slower => format!("1/{}x", 1_u32 << -slower),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_a_recording() {
        let seconds = |seconds| Ok(When::Time(Duration::from_secs(seconds)));
        assert_eq!(When::parse("90"), seconds(90));
        assert_eq!(When::parse(" 1m30s "), seconds(90));
        assert_eq!(When::parse("50%"), Ok(When::Percent(50)));
        assert_eq!(When::parse("#12"), Ok(When::Number(12)));
        for wrong in ["", "#0", "#x", "101%", "-5", "soon"] {
            let error = format!("{wrong}: write 90s, 1m30s, 50% or #12");
            assert_eq!(When::parse(wrong), Err(error));
        }
    }
}
