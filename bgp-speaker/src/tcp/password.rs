//! Passwords of sessions: values that do not show themselves, and where they come from.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `TCP_MD5SIG_MAXKEYLEN` of Linux.
pub(super) const MAX_PASSWORD_LEN: usize = 80;
/// What is read of a file at most: a password that is too long is still told from one that fits.
const MAX_FILE_LEN: u64 = 4096;

/// The shared password of a session (TCP-MD5, RFC 2385). It shows itself nowhere, and its memory is wiped when the last
/// copy goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Arc<Octets>);

#[derive(PartialEq, Eq)]
struct Octets(Box<[u8]>);

impl Drop for Octets {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Overwrites a secret; the compiler may not leave it out.
pub(super) fn wipe(octets: &mut [u8]) {
    octets.fill(0);
    std::hint::black_box(octets);
}

impl Password {
    /// The longest password that Linux takes.
    pub const MAX_LEN: usize = MAX_PASSWORD_LEN;

    /// A password of 1 to [`Password::MAX_LEN`] octets.
    ///
    /// # Errors
    /// It is empty or too long.
    pub fn new(octets: impl AsRef<[u8]>) -> Result<Self, PasswordError> {
        let octets = octets.as_ref();
        match octets.len() {
            0 => Err(PasswordError::Empty),
            n if n > Self::MAX_LEN => Err(PasswordError::TooLong(n)),
            _ => Ok(Self(Arc::new(Octets(octets.into())))),
        }
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.0.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl std::str::FromStr for Password {
    type Err = PasswordError;

    fn from_str(text: &str) -> Result<Self, PasswordError> {
        Self::new(text)
    }
}

/// Why something is no password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PasswordError {
    /// It has no octets.
    Empty,
    /// It has more octets than the kernel takes.
    TooLong(usize),
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the password is empty: leave it out for a session without one"),
            Self::TooLong(n) => {
                write!(f, "the password has {n} octets: the kernel takes at most {}", Password::MAX_LEN)
            }
        }
    }
}

impl std::error::Error for PasswordError {}

/// Where the password of a session comes from. As long as there is none, that session is held down and says why; no other
/// is affected.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Secret {
    /// The password itself.
    Value(Password),
    /// A file with the password and nothing else; one line end after it does not count. It is read again every few
    /// seconds, and a changed password is put in use without a restart.
    File(PathBuf),
    /// The session has a password, but the caller could not get it, for this reason.
    Unavailable(String),
}

impl From<Password> for Secret {
    fn from(password: Password) -> Self {
        Self::Value(password)
    }
}

impl Secret {
    /// The password, or in words why there is none.
    pub(crate) fn read(&self) -> Result<Password, String> {
        match self {
            Self::Value(password) => Ok(password.clone()),
            Self::File(path) => read_file(path),
            Self::Unavailable(reason) => Err(format!("the password is not available: {reason}")),
        }
    }
}

fn read_file(path: &Path) -> Result<Password, String> {
    let name = path.display();
    let mut octets = Vec::new();
    let read = open(path).and_then(|file| file.take(MAX_FILE_LEN).read_to_end(&mut octets));
    let end = octets
        .strip_suffix(b"\n")
        .map_or(octets.len(), |line| line.strip_suffix(b"\r").unwrap_or(line).len());
    let password = match read {
        Ok(_) => Password::new(octets.get(..end).unwrap_or_default())
            .map_err(|error| format!("password file {name}: {error}")),
        Err(error) => Err(format!("password file {name} cannot be read: {error}")),
    };
    wipe(&mut octets);
    password
}

/// Opens a regular file; a pipe or a device could keep the reader waiting for ever.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, content: &[u8]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("bgp-password-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn a_password_never_shows_itself() {
        let password = Password::new("hunter2").unwrap();
        assert_eq!(format!("{password:?}"), "***");
        assert_eq!(format!("{:?}", Secret::Value(password)), "Value(***)");
    }

    #[test]
    fn a_password_has_one_to_eighty_octets() {
        assert_eq!(Password::new(""), Err(PasswordError::Empty));
        assert_eq!(Password::new([b'x'; 81]), Err(PasswordError::TooLong(81)));
        assert!(Password::new([b'x'; 80]).is_ok());
    }

    #[test]
    fn the_line_end_of_a_file_does_not_count() {
        for (name, content) in [("plain", "secret"), ("unix", "secret\n"), ("dos", "secret\r\n")] {
            let path = file(name, content.as_bytes());
            assert_eq!(Secret::File(path.clone()).read(), Ok(Password::new("secret").unwrap()));
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_read_says_why_and_not_what() {
        let gone = Secret::File("/nonexistent/password".into()).read().unwrap_err();
        assert!(gone.contains("/nonexistent/password") && gone.contains("cannot be read"), "{gone}");
        let directory = Secret::File(std::env::temp_dir()).read().unwrap_err();
        assert!(directory.contains("not a regular file"), "{directory}");
        let path = file("long", &[b'q'; 81]);
        let long = Secret::File(path.clone()).read().unwrap_err();
        assert!(long.contains("81 octets") && !long.contains("qq"), "{long}");
        std::fs::remove_file(path).unwrap();
        let missing = Secret::Unavailable("secret bgp/peers not found".into()).read().unwrap_err();
        assert!(missing.contains("secret bgp/peers not found"));
    }
}
