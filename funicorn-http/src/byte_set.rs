//! Which bytes may stand here? A set of bytes as a table: looked up, not compared, for it is asked of every byte of many texts.

/// A set of bytes.
pub(crate) struct ByteSet([bool; 256]);

impl ByteSet {
    /// ASCII letters, digits, and `others`.
    pub(crate) const fn alphanumeric_and(others: &[u8]) -> Self {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 128 {
            table[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let mut at = 0;
        while at < others.len() {
            table[others[at] as usize] = true;
            at += 1;
        }
        Self(table)
    }

    pub(crate) const fn contains(&self, byte: u8) -> bool {
        self.0[byte as usize]
    }

    /// Whether every byte of `text` is in the set. Without an early end: most texts are short and good.
    pub(crate) fn contains_all(&self, text: &[u8]) -> bool {
        text.iter().fold(true, |good, &byte| good & self.contains(byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_it_was_given_and_nothing_else() {
        static SET: ByteSet = ByteSet::alphanumeric_and(b"-.");
        for byte in 0..=u8::MAX {
            assert_eq!(SET.contains(byte), byte.is_ascii_alphanumeric() || b"-.".contains(&byte), "{byte}");
        }
        assert!(SET.contains_all(b"") && SET.contains_all(b"a-0.Z") && !SET.contains_all(b"a/"));
    }
}
