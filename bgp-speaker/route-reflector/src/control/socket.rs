//! Where the control socket is, and how one daemon has it for itself.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FlockOperation, flock};
use tokio::net::UnixListener;

use crate::config::in_words;

const FILE_NAME: &str = "route-reflector.sock";
/// Owner and group may ask, others may not.
const MODE: u32 = 0o660;

/// Where the socket is when nobody says so: the system's place first, then the user's.
pub(crate) fn usual_places() -> Vec<PathBuf> {
    let user = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    std::iter::once(PathBuf::from("/run"))
        .chain(user.map(PathBuf::from))
        .map(|dir| dir.join(FILE_NAME))
        .collect()
}

/// Why a control socket cannot be had.
#[derive(Debug)]
pub(crate) enum SocketError {
    /// Another daemon has it.
    InUse(PathBuf),
    /// There is something else of this name.
    NotASocket(PathBuf),
    /// The system refuses.
    Io(PathBuf, io::Error),
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketError::InUse(path) => write!(
                f,
                "another route-reflector has the control socket {}: stop it, or set control-socket to a path of its own",
                path.display()
            ),
            SocketError::NotASocket(path) => write!(
                f,
                "{} exists and is not a socket: set control-socket to another path, or remove it",
                path.display()
            ),
            SocketError::Io(path, error) => {
                let mend = match error.kind() {
                    io::ErrorKind::NotFound => "create its directory, or set control-socket to another path",
                    io::ErrorKind::PermissionDenied => {
                        "set control-socket to a path in a directory that this user may write to"
                    }
                    _ => "set control-socket to another path",
                };
                write!(f, "cannot open the control socket {}: {}; {mend}", path.display(), in_words(error))
            }
        }
    }
}

/// A bound control socket. It is removed on drop, unless it is to stay: one that is found is the mark of a daemon that did not
/// say goodbye to its peers, so that the next one takes over from it.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    takes_over: bool,
    stays: Arc<AtomicBool>,
    /// Held as long as the socket is ours; the system lets go of it however the process ends.
    _lock: File,
}

impl ControlSocket {
    /// Binds `path`. What a daemon that was killed left there is replaced; a live one keeps its socket.
    pub(crate) fn bind(path: &Path) -> Result<Self, SocketError> {
        let failed = |error| SocketError::Io(path.to_owned(), error);
        let lock = lock_beside(path)?;
        let mut takes_over = false;
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(SocketError::NotASocket(path.to_owned()));
            }
            // The lock says that no daemon of ours is there; some other program may be.
            Ok(_) if StdUnixStream::connect(path).is_ok() => return Err(SocketError::InUse(path.to_owned())),
            Ok(_) => {
                fs::remove_file(path).map_err(failed)?;
                takes_over = true;
            }
            Err(_) => {}
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(failed)?;
        // Until this daemon has begun, the mark of the one before counts for the next.
        let stays = Arc::new(AtomicBool::new(takes_over));
        Ok(ControlSocket { listener, path: path.to_owned(), takes_over, stays, _lock: lock })
    }

    /// Whether a former daemon left its socket: its peers may still keep its routes.
    pub(crate) fn takes_over(&self) -> bool {
        self.takes_over
    }

    /// Whether the socket stays as a file: at first where this daemon takes over, so that a start that fails leaves the mark to
    /// the next one.
    pub(crate) fn stays(&self) -> Arc<AtomicBool> {
        self.stays.clone()
    }

    /// The socket to accept on.
    pub(crate) fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if !self.stays.load(Ordering::Relaxed) {
            // Gone already is as good as removed.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The lock file beside the socket: it stays, because removing it would let two daemons lock two files of one name.
fn lock_beside(path: &Path) -> Result<File, SocketError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .open(name)
        .map_err(|error| SocketError::Io(path.to_owned(), error))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(SocketError::InUse(path.to_owned())),
        Err(error) => Err(SocketError::Io(path.to_owned(), error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of this test's own.
    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("rr-socket-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary directory is writable");
        path
    }

    #[tokio::test]
    async fn a_second_daemon_does_not_take_the_socket_of_the_first() {
        let directory = directory("second");
        let path = directory.join("s");
        let first = ControlSocket::bind(&path).expect("free");
        let mode = fs::metadata(&path).expect("bound").permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        let error = ControlSocket::bind(&path).expect_err("taken");
        assert!(matches!(error, SocketError::InUse(_)), "{error}");
        drop(first);
        assert!(!path.exists());
        fs::remove_dir_all(directory).expect("ours");
    }

    #[tokio::test]
    async fn a_daemon_knows_whether_it_takes_over_from_another() {
        let directory = directory("takes-over");
        let path = directory.join("s");
        let first = ControlSocket::bind(&path).expect("free");
        assert!(!first.takes_over(), "nobody was here before");
        drop(first);
        let second = ControlSocket::bind(&path).expect("free");
        assert!(!second.takes_over(), "the first one has said goodbye");
        second.stays().store(true, Ordering::Relaxed);
        drop(second);
        let third = ControlSocket::bind(&path).expect("stale");
        assert!(third.takes_over(), "the second one went as for a restart, or was killed");
        drop(third);
        let fourth = ControlSocket::bind(&path).expect("stale");
        assert!(fourth.takes_over(), "the third one never began");
        fourth.stays().store(false, Ordering::Relaxed);
        drop(fourth);
        assert!(!path.exists());
        fs::remove_dir_all(directory).expect("ours");
    }

    #[tokio::test]
    async fn what_a_killed_daemon_left_is_replaced_and_other_files_are_not() {
        let directory = directory("stale");
        let path = directory.join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("free"));
        assert!(path.exists(), "a closed socket stays as a file");
        let socket = ControlSocket::bind(&path).expect("stale sockets are replaced");
        socket.stays().store(false, Ordering::Relaxed);
        drop(socket);
        fs::write(&path, "a file").expect("writable");
        let error = ControlSocket::bind(&path).expect_err("a file");
        assert!(matches!(error, SocketError::NotASocket(_)), "{error}");
        assert_eq!(fs::read(&path).expect("untouched"), b"a file");
        fs::remove_dir_all(directory).expect("ours");
    }

    #[tokio::test]
    async fn a_missing_directory_is_named_with_its_mend() {
        let error = ControlSocket::bind(Path::new("/nonexistent/s")).expect_err("no directory").to_string();
        assert!(error.contains("/nonexistent/s: No such file or directory; create its directory"), "{error}");
    }
}
