//! Bytes, times and shares as a person reads them.

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const DAY: u64 = 86_400;

/// Bytes with one decimal: MiB, from 1 GiB on GiB, and KiB and bytes where MiB would read as none.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..KIB => return format!("{bytes} B"),
        _ if tenths(bytes, MIB) == 0 => (KIB, "KiB"),
        _ if tenths(bytes, MIB) < 10 * 1024 => (MIB, "MiB"),
        _ => (GIB, "GiB"),
    };
    let tenths = tenths(bytes, unit);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// The same with KiB up to 1 MiB, for what is small and adds up: a rate.
#[must_use]
pub fn fine_bytes(amount: u64) -> String {
    match amount {
        KIB..MIB => format!("{} KiB", (amount + KIB / 2) / KIB),
        _ => bytes(amount),
    }
}

fn tenths(bytes: u64, unit: u64) -> u64 {
    ((u128::from(bytes) * 10 + u128::from(unit / 2)) / u128::from(unit)) as u64
}

/// Bytes, or a dash where nobody knows.
#[must_use]
pub fn known(amount: Option<u64>) -> String {
    amount.map_or_else(|| "–".to_owned(), bytes)
}

/// `part` of `whole` in whole percent; 0 of nothing.
#[must_use]
pub fn percent(part: u64, whole: u64) -> u64 {
    (u128::from(part) * 100 + u128::from(whole) / 2).checked_div(whole.into()).unwrap_or(0) as u64
}

/// A count and its noun: "1 block", "2 blocks".
#[must_use]
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A length of time in its largest unit: seconds, minutes, or hours with one decimal.
#[must_use]
pub fn duration(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        _ => format!("{}.{} h", seconds / 3600, seconds % 3600 / 360),
    }
}

/// Time of day, UTC, of `CLOCK_REALTIME` ns.
#[must_use]
pub fn clock(time_ns: u64) -> String {
    let second = time_ns / 1_000_000_000 % DAY;
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// Day and time of day, UTC, of `CLOCK_REALTIME` ns.
#[must_use]
pub fn moment(time_ns: u64) -> String {
    let (year, month, day) = date(time_ns / 1_000_000_000 / DAY);
    format!("{year:04}-{month:02}-{day:02} {} UTC", clock(time_ns))
}

/// The same fit for a file's name: `20260102-030405`.
#[must_use]
pub fn stamp(time_ns: u64) -> String {
    let (year, month, day) = date(time_ns / 1_000_000_000 / DAY);
    format!("{year:04}{month:02}{day:02}-{}", clock(time_ns).replace(':', ""))
}

/// Year, month and day, `days` after 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that the leap day is a year's last.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_change_unit_at_one_gib_never_show_1024_mib_and_show_none_only_where_there_is_none() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1 << 10, "1.0 KiB"),
            ((1 << 20) / 20 - 1, "51.2 KiB"),
            ((1 << 20) / 20 + 1, "0.1 MiB"),
            (1 << 20, "1.0 MiB"),
            (1 << 29, "512.0 MiB"),
            ((1 << 30) - (1 << 20), "1023.0 MiB"),
            ((1 << 30) - 1, "1.0 GiB"),
            (1 << 30, "1.0 GiB"),
            (80 << 30, "80.0 GiB"),
            (u64::MAX, "17179869184.0 GiB"),
        ];
        for (amount, text) in cases {
            assert_eq!(bytes(amount), text);
        }
    }

    #[test]
    fn a_rate_below_a_mebibyte_is_told_in_kibibytes() {
        let cases =
            [(1023, "1023 B"), (64 << 10, "64 KiB"), (196_700, "192 KiB"), (3 << 20, "3.0 MiB")];
        for (amount, text) in cases {
            assert_eq!(fine_bytes(amount), text);
        }
    }

    #[test]
    fn shares_are_rounded_and_nothing_of_nothing_is_nothing() {
        assert_eq!([percent(1, 3), percent(2, 3), percent(5, 5), percent(0, 0)], [33, 67, 100, 0]);
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
    }

    #[test]
    fn lengths_of_time_are_rounded_down_to_a_unit_a_person_uses() {
        let second = 1_000_000_000;
        let cases =
            [(59, "59 s"), (60, "1 min"), (3599, "59 min"), (5399, "1.4 h"), (360_000, "100.0 h")];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds * second), text);
        }
        assert_eq!(duration(0), "0 s");
    }

    #[test]
    fn dates_are_the_calendar_s() {
        assert_eq!(moment(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(stamp(951_782_400_000_000_000), "20000229-000000");
        assert_eq!(moment(951_782_400_000_000_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(moment(1_763_677_811_000_000_000), "2025-11-20 22:30:11 UTC");
        assert_eq!(moment(4_107_542_399_000_000_000), "2100-02-28 23:59:59 UTC");
    }
}
