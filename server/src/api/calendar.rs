//! Calendar rules: five fields as in crontab, in a time zone.

use super::shared::invalid;
use crate::error::Result;
use cronexpr::{Crontab, MakeTimestamp};

/// A rule that was understood.
#[derive(Debug)]
pub(super) struct Calendar(Crontab);

impl Calendar {
    /// Understands `rule` (minute, hour, day of month, month, day of week) in `time_zone`, a name of
    /// the IANA database.
    pub(super) fn parse(rule: &str, time_zone: &str) -> Result<Self> {
        let fields: Vec<&str> = rule.split_ascii_whitespace().collect();
        if fields.len() != 5 {
            return Err(invalid("rule: it has not five fields: minute, hour, day of month, month, day of week"));
        }
        if jiff::tz::TimeZone::get(time_zone).is_err() {
            return Err(invalid("time_zone: there is none of that name; give one as Europe/Berlin or UTC"));
        }
        let crontab = cronexpr::parse_crontab(&format!("{} {time_zone}", fields.join(" ")));
        let crontab = crontab.map_err(|_| invalid("rule: it is no calendar rule; give one as `30 2 * * MON-FRI`"))?;
        Ok(Self(crontab))
    }

    /// The next time after `after_ms`, or none within four years.
    pub(super) fn next_ms(&self, after_ms: i64) -> Option<i64> {
        let after = MakeTimestamp::from_millisecond(after_ms).ok()?;
        self.0.find_next(after).ok().map(|next| next.timestamp().as_millisecond())
    }
}

/// Milliseconds since 1970 of a time as RFC 3339 writes it.
pub(super) fn time_ms(text: &str) -> Result<i64> {
    let time: jiff::Timestamp =
        text.parse().map_err(|_| invalid("at: it is no time; give one as 2026-12-31T23:59:00+01:00"))?;
    match time.as_millisecond() {
        ms @ 0.. => Ok(ms),
        _ => Err(invalid("at: it is before 1970")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(rule: &str, zone: &str, time: &str) -> Option<String> {
        let next = Calendar::parse(rule, zone).unwrap().next_ms(time_ms(time).unwrap())?;
        Some(jiff::Timestamp::from_millisecond(next).unwrap().to_string())
    }

    #[test]
    fn rules_follow_their_time_zone() {
        let next = after("30 2 * * *", "Europe/Berlin", "2026-01-10T12:00:00Z");
        assert_eq!(next.as_deref(), Some("2026-01-11T01:30:00Z"));
        let next = after("30 2 * * *", "Europe/Berlin", "2026-07-10T12:00:00Z");
        assert_eq!(next.as_deref(), Some("2026-07-11T00:30:00Z"));
        // Strictly after: a rule does not fire twice in its minute.
        let next = after("0 0 * * *", "UTC", "2026-01-10T00:00:00Z");
        assert_eq!(next.as_deref(), Some("2026-01-11T00:00:00Z"));
        assert_eq!(after("0 0 30 2 *", "UTC", "2026-01-10T00:00:00Z"), None);
    }

    #[test]
    fn nonsense_is_refused() {
        for (rule, zone) in [
            ("", "UTC"),
            ("* * * *", "UTC"),
            ("* * * * * UTC", "UTC"),
            ("60 * * * *", "UTC"),
            ("* * * * *", ""),
            ("* * * * *", "Europe/Nowhere"),
            ("* * * * *", "../../etc/passwd"),
        ] {
            assert!(Calendar::parse(rule, zone).is_err(), "{rule} in {zone}");
        }
        assert!(time_ms("tomorrow").is_err() && time_ms("1960-01-01T00:00:00Z").is_err());
    }
}
