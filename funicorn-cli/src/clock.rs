//! What time is it, in the words of a log? Always UTC: it needs no time zone files and no hour is written twice a year.

use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment taken apart, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    year: i64,
    /// From 1.
    month: u8,
    /// From 1.
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self::of(SystemTime::now())
    }

    /// `time`, or 1970 for a clock that stands before it.
    pub(crate) fn of(time: SystemTime) -> Self {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        let [hour, minute, second] =
            [second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60].map(|part| part as u8);
        Self { year, month, day, hour, minute, second }
    }

    /// `2026-11-22 22:05:44 +0000`, as gunicorn's error log has it.
    pub(crate) fn iso(&self) -> String {
        let Self { year, month, day, hour, minute, second } = self;
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} +0000")
    }

    /// `22/Nov/2026:22:05:44 +0000`, as Apache's Common Log Format has it.
    pub(crate) fn common_log(&self) -> String {
        let Self { year, month, day, hour, minute, second } = self;
        let month = MONTHS[usize::from(month - 1)];
        format!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
    }
}

/// Year, month and day of a number of days since 1970-01-01 in the Gregorian calendar.
///
/// Years are counted from March, so that the leap day is the last of a year, in eras of 400 years, which have 146,097 days each.
fn civil(days: u64) -> (i64, u8, u8) {
    // Days from 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // March to January have 153 days in every five months.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year as i64, month as u8, day as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn moments() {
        for (seconds, iso) in [
            (0, "1970-01-01 00:00:00 +0000"),
            (951_782_399, "2000-02-28 23:59:59 +0000"),
            (951_782_400, "2000-02-29 00:00:00 +0000"),
            (951_868_800, "2000-03-01 00:00:00 +0000"),
            (1_704_067_199, "2023-12-31 23:59:59 +0000"),
            (1_795_385_144, "2026-11-22 22:05:44 +0000"),
            (4_107_542_400, "2100-03-01 00:00:00 +0000"),
        ] {
            assert_eq!(Moment::of(UNIX_EPOCH + Duration::from_secs(seconds)).iso(), iso);
        }
    }

    #[test]
    fn the_common_log_format() {
        let moment = Moment::of(UNIX_EPOCH + Duration::from_secs(1_795_385_144));
        assert_eq!(moment.common_log(), "22/Nov/2026:22:05:44 +0000");
    }

    #[test]
    fn a_clock_before_1970() {
        assert_eq!(Moment::of(UNIX_EPOCH - Duration::from_secs(1)).iso(), "1970-01-01 00:00:00 +0000");
    }
}
