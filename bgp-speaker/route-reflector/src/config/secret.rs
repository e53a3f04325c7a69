//! Passwords in a configuration text: messages about the text do not repeat them.

use std::ops::Range;

use super::diagnostic::Diagnostic;

/// The text with every password's octets replaced, so that places in it stay what they are.
pub(super) fn hidden(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    for line in source.split_inclusive('\n') {
        let (open, secret) = line.split_at(password(line).map_or(line.len(), |at| at.start));
        text.push_str(open);
        for character in secret.chars() {
            match character.is_whitespace() {
                true => text.push(character),
                false => text.extend(std::iter::repeat_n('*', character.len_utf8())),
            }
        }
    }
    text
}

/// What to say in place of a message that may repeat a password: the fault at `at` is in the value of one.
pub(super) fn unreadable(source: &str, at: &Range<usize>) -> Option<Diagnostic> {
    let before = source.get(..at.start)?;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = source.get(start..)?.split_inclusive('\n').next()?;
    let value = password(line)?;
    (at.start - start >= value.start).then(|| {
        Diagnostic::new(start + value.start..start + value.end, "the password cannot be read")
            .mend("write it in single quotes, which keep every character: password = '…'")
    })
}

/// Where in a line the value of a password is, with all that follows it. Keys that are almost right count as well.
fn password(line: &str) -> Option<Range<usize>> {
    line.match_indices("pas").find_map(|(at, _)| {
        let rest = line.get(at..)?;
        let is_of_key = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let key = rest.split(|c| !is_of_key(c)).next()?;
        let value =
            rest.get(key.len()..)?.trim_start_matches(['"', '\'', ' ', '\t']).strip_prefix('=')?.trim_start();
        // `passive` and `password-file` are no secrets.
        let secret = key.contains('w') && !key.contains("file") && !value.is_empty();
        secret.then(|| line.len() - value.len()..line.trim_end().len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden_and_places_stay() {
        for (text, shown) in [
            ("password = \"s3cret\"\nttl = 1\n", "password = ********\nttl = 1\n"),
            ("pasword='ü'", "pasword=****"),
            ("peer = { password = \"a b\", ttl = 1 }", "peer = { password = ** *** *** * * *"),
            ("passive = true\npassword-file = \"/x\"\n", "passive = true\npassword-file = \"/x\"\n"),
        ] {
            assert_eq!(hidden(text), shown);
            assert_eq!(hidden(text).len(), text.len());
        }
    }
}
