//! Patterns over interface names.

use core::fmt;
use core::str::FromStr;

/// A name with `*` for any run of characters and `?` for any one of them: `vxlan*`, `*.cali`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Glob(Box<str>);

/// Names of interfaces have 15 octets in Linux; four times that leaves room for any sensible pattern.
const MAX_LEN: usize = 64;

/// The pattern is empty or longer than 64 octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAGlob;

impl fmt::Display for NotAGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pattern over interface names has 1 to 64 octets (try `vxlan*`)")
    }
}

impl core::error::Error for NotAGlob {}

impl FromStr for Glob {
    type Err = NotAGlob;

    fn from_str(pattern: &str) -> Result<Self, NotAGlob> {
        if pattern.is_empty() || pattern.len() > MAX_LEN { Err(NotAGlob) } else { Ok(Self(pattern.into())) }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Glob {
    /// Whether a name fits as a whole. Goes back to the last `*` alone, so the time is at most pattern times name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut p, mut n) = (0, 0);
        let mut star = None;
        while n < name.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(&octet) if octet == b'?' || Some(&octet) == name.get(n) => {
                    p += 1;
                    n += 1;
                }
                _ => {
                    let Some((at, from)) = star else { return false };
                    star = Some((at, from + 1));
                    (p, n) = (at + 1, from + 1);
                }
            }
        }
        pattern.get(p..).is_some_and(|rest| rest.iter().all(|&octet| octet == b'*'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        #[rustfmt::skip]
        let rows = [
            ("*.cali", "vxlan.cali", true),     ("*.cali", "vxlan.calico", false),
            ("bpf*.cali", "bpfin.cali", true),  ("bpf*.cali", "xbpfin.cali", false),
            ("eth?", "eth0", true),             ("eth?", "eth", false),
            ("*a*b", "aaab", true),             ("*a*b", "aaba", false),
            ("*", "", true),                    ("tunl0", "tunl0", true),
        ];
        for (pattern, name, fits) in rows {
            assert_eq!(pattern.parse::<Glob>().unwrap().matches(name), fits, "{pattern} {name}");
        }
        assert_eq!("".parse::<Glob>(), Err(NotAGlob));
    }
}
