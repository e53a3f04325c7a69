//! How the program ends when it does not end well.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::control::client::ClientError;

/// One message on standard error, and an exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    status: u8,
    /// The reader of our output has gone: nothing is to be said, as `routes | head` expects.
    silent: bool,
}

/// Something went wrong while running.
const FAILED: u8 = 1;
/// What we were given is wrong: the configuration, as the command line.
const BAD_INPUT: u8 = 2;

impl Failure {
    /// A failure with this message.
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Failure { message: format!("error: {message}"), status: FAILED, silent: false }
    }

    /// Says what happened, and how the process ends.
    pub(crate) fn report(self) -> ExitCode {
        if self.silent {
            return ExitCode::SUCCESS;
        }
        // Without a standard error there is nobody left to tell.
        let _ = io::Write::write_all(&mut io::stderr(), format!("{}\n", self.message).as_bytes());
        ExitCode::from(self.status)
    }
}

/// A configuration that cannot be used.
impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let colour = io::IsTerminal::is_terminal(&io::stderr()) && std::env::var_os("NO_COLOR").is_none();
        Failure { message: error.render(colour), status: BAD_INPUT, silent: false }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Failure::new(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let silent = error.kind() == io::ErrorKind::BrokenPipe;
        Failure { silent, ..Failure::new(format_args!("cannot write the output: {error}")) }
    }
}
