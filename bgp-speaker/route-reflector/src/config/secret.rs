//! Passwords in a configuration text: messages about the text do not repeat them.

use std::ops::Range;

use super::diagnostic::Diagnostic;

/// The text with every password's octets replaced, so that places in it stay what they are.
pub(super) fn hidden(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut shown = 0;
    for Secret { whole, .. } in secrets(source) {
        text.push_str(source.get(shown..whole.start).unwrap_or_default());
        for character in source.get(whole.clone()).unwrap_or_default().chars() {
            match character.is_whitespace() {
                true => text.push(character),
                false => text.extend(std::iter::repeat_n('*', character.len_utf8())),
            }
        }
        shown = whole.end;
    }
    text.push_str(source.get(shown..).unwrap_or_default());
    text
}

/// What to say in place of a message that may repeat a password: the fault at `at` is in the value of one.
pub(super) fn unreadable(source: &str, at: &Range<usize>) -> Option<Diagnostic> {
    let inside = |secret: &Secret| secret.whole.start <= at.start && at.start <= secret.whole.end;
    let secret = secrets(source).into_iter().find(inside)?;
    Some(
        Diagnostic::new(secret.first_line, "the password cannot be read")
            .mend("write it in single quotes, which keep every character: password = '…'"),
    )
}

/// Where a password is, with all that follows it in its last line.
struct Secret {
    whole: Range<usize>,
    first_line: Range<usize>,
}

fn secrets(source: &str) -> Vec<Secret> {
    let mut secrets: Vec<Secret> = Vec::new();
    let mut start = 0;
    // What ends a string that goes over several lines.
    let mut quotes: Option<&str> = None;
    for line in source.split_inclusive('\n') {
        let end = start + line.trim_end().len();
        if let (Some(open), Some(secret)) = (quotes, secrets.last_mut()) {
            secret.whole.end = end.max(secret.whole.end);
            quotes = Some(open).filter(|open| !line.contains(open));
        } else if let Some(value) = password(line) {
            let text = line.get(value.clone()).unwrap_or_default();
            let open = ["\"\"\"", "'''"].into_iter().find(|quotes| text.starts_with(quotes));
            quotes = open.filter(|open| !text.get(open.len()..).unwrap_or_default().contains(open));
            secrets.push(Secret { whole: start + value.start..end, first_line: start + value.start..end });
        }
        start += line.len();
    }
    secrets
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
            ("password = \"\"\"\nab c\n\"\"\" # x\nttl = 1\n", "password = ***\n** *\n*** * *\nttl = 1\n"),
            ("password = '''a'''\nttl = 1\n", "password = *******\nttl = 1\n"),
            ("password = '''\na\nb", "password = ***\n*\n*"),
            ("passive = true\npassword-file = \"/x\"\n", "passive = true\npassword-file = \"/x\"\n"),
        ] {
            assert_eq!(hidden(text), shown);
            assert_eq!(hidden(text).len(), text.len());
        }
    }

    #[test]
    fn a_fault_within_a_password_of_several_lines_does_not_repeat_it() {
        let source = "a = 1\npassword = \"\"\"\nsecret \\q\n\"\"\"\nttl = 1\n";
        let at = source.find("\\q").expect("it is there");
        assert!(unreadable(source, &(at..at + 2)).is_some());
        let ttl = source.find("ttl").expect("it is there");
        assert!(unreadable(source, &(ttl..ttl + 3)).is_none());
    }
}
