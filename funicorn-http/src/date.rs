//! What does the `Date` header say? The caller's clock in IMF-fixdate form (RFC 9110 §5.6.7).

use std::time::SystemTime;

/// The value of a `Date` header: 29 bytes such as `Sun, 22 Nov 2026 08:49:37 GMT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpDate([u8; 29]);

impl HttpDate {
    /// Formats `time`, which the caller reads from its clock, at most once a second.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    ///
    /// let date = funicorn_http::HttpDate::new(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
    /// assert_eq!(date.as_bytes(), b"Sun, 06 Nov 1994 08:49:37 GMT");
    /// ```
    ///
    /// # Panics
    /// For a time before 1970 or after the year 9999, which no date of HTTP can say.
    #[must_use]
    pub fn new(time: SystemTime) -> Self {
        let mut text = [b' '; 29];
        let formatted = httpdate::fmt_http_date(time);
        text.copy_from_slice(&formatted.as_bytes()[..29]);
        Self(text)
    }

    /// The text of the header's value.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn rfc_9110_example() {
        let date = HttpDate::new(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
        assert_eq!(date.as_bytes(), b"Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
