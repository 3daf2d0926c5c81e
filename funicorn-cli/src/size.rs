//! How many bytes is `100M`? Sizes as an operator types them.

/// As [`parse`], but `0` is no limit, as in gunicorn, nginx and Apache httpd: `u64::MAX`.
pub(crate) fn parse_limit(text: &str) -> Result<u64, String> {
    let bytes = parse(text)?;
    Ok(if bytes == 0 { u64::MAX } else { bytes })
}

/// Reads a number of bytes with an optional `K`, `M`, `G` or `T` (powers of 1024, in either case, `B` or `iB` may
/// follow).
///
/// # Errors
/// A sentence for whoever typed it.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err("write a number of bytes, or one with K, M, G or T, for example 100M".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "write a number of bytes, for example 100M".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "this is more than can be counted".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1", 1),
            ("512", 512),
            ("1k", 1024),
            ("100M", 100 << 20),
            ("100MB", 100 << 20),
            ("2GiB", 2 << 30),
            ("1T", 1 << 40),
            ("0", u64::MAX),
        ] {
            assert_eq!(parse_limit(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse("0"), Ok(0));
    }

    #[test]
    fn what_is_no_size() {
        for text in
            ["", "M", "-1", "+1", "1.5G", "1X", "1 M", "1MK", "1ib", "99999999999999999999", "99999999T"]
        {
            assert!(parse_limit(text).is_err(), "{text}");
        }
    }
}
