//! Points in time, as the log and the API write them.

use std::fmt;
use std::time::Duration;

/// Writes a time since the epoch as the log's lines have it: `2026-11-21 03:27:29.098926+00:00`.
pub fn write_time(writer: &mut dyn fmt::Write, since_epoch: Duration) -> fmt::Result {
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil_date(seconds / 86_400);
    let of_day = seconds % 86_400;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let micros = since_epoch.subsec_micros();
    write!(
        writer,
        "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}+00:00"
    )
}

/// Milliseconds since the epoch as the API writes moments: `2026-11-21T03:00:00.172+00:00`.
pub(crate) fn timestamp(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil_date(days);
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    let (second, ms) = (ms / 1000 % 60, ms % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}+00:00")
}

/// Year, month and day of a day counted from 1970-01-01. Years are counted from March, so that the
/// leap day is the last of its year, in eras of 400 years (146,097 days).
fn civil_date(days_since_epoch: u64) -> (u64, u64, u64) {
    let days = days_since_epoch + 719_468; // from 0000-03-01
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let leap_corrected =
        day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096;
    let year_of_era = leap_corrected / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right() {
        let text = |seconds: u64, micros: u32| {
            let mut out = String::new();
            write_time(&mut out, Duration::new(seconds, micros * 1000)).unwrap();
            out
        };
        assert_eq!(text(0, 0), "1970-01-01 00:00:00.000000+00:00");
        assert_eq!(text(951_782_400, 1), "2000-02-29 00:00:00.000001+00:00");
        assert_eq!(
            text(951_868_799, 999_999),
            "2000-02-29 23:59:59.999999+00:00"
        );
        assert_eq!(
            text(1_795_231_649, 98_926),
            "2026-11-21 03:27:29.098926+00:00"
        );
        assert_eq!(text(4_107_542_400, 0), "2100-03-01 00:00:00.000000+00:00");
    }

    #[test]
    fn moments_are_written_as_rabbitmq_does() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000+00:00"),
            (951_782_400_001, "2000-02-29T00:00:00.001+00:00"),
            (1_795_230_000_172, "2026-11-21T03:00:00.172+00:00"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999+00:00"),
        ] {
            assert_eq!(timestamp(ms), text);
        }
    }
}
