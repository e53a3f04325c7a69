//! Processes of a laboratory, each with a log file, ended by id.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A command to start in a namespace.
pub(crate) struct Spawn {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    as_nobody: bool,
}

impl Spawn {
    /// Runs this command line as root.
    pub(crate) fn new<S: AsRef<str>>(arguments: &[S]) -> Self {
        Self {
            arguments: arguments.iter().map(|part| part.as_ref().to_owned()).collect(),
            environment: Vec::new(),
            as_nobody: false,
        }
    }

    /// Gives up root first.
    pub(crate) fn without_root(mut self) -> Self {
        self.as_nobody = true;
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }
}

/// A running (or ended) process. It cannot outlive the thread that started it.
pub(crate) struct Process {
    name: String,
    log: PathBuf,
    child: Mutex<Child>,
}

impl Process {
    /// Starts `spawn` in namespace `ns`; output of both kinds is appended to a log named after the node.
    pub(super) fn start(ns: &str, node: &str, dir: &Path, spawn: &Spawn) -> Self {
        let program = Path::new(&spawn.arguments[0]).file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{node}/{program}");
        let log = dir.join(format!("{node}.{program}.log"));
        let open = || -> File {
            OpenOptions::new().create(true).append(true).open(&log).expect("the work directory is writable")
        };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", ns, "setpriv", "--pdeathsig", "KILL"]);
        if spawn.as_nobody {
            command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
        }
        command.args(&spawn.arguments).envs(spawn.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(open()).stderr(open());
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { name, log, child: Mutex::new(child) }
    }

    /// Sends a signal to this process, and to no other.
    pub(crate) fn signal(&self, signal: Signal) {
        let mut child = self.child();
        // A process that was waited for has no id any more that would be ours.
        if let Ok(None) = child.try_wait() {
            kill_process(Pid::from_child(&child), signal).ok();
        }
    }

    /// Ends it at once (as `kill -9`) and reaps it.
    pub(crate) fn kill(&self) {
        let mut child = self.child();
        child.kill().ok();
        child.wait().ok();
    }

    /// Ends it politely; a process that does not go within the limit is a failure.
    pub(crate) fn terminate(&self, limit: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait(limit).unwrap_or_else(|| panic!("{} ignores SIGTERM for {limit:?}", self.name))
    }

    /// Waits for the end.
    pub(crate) fn wait(&self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Ok(Some(status)) = self.child().try_wait() {
                return Some(status);
            }
            if Instant::now() > deadline {
                return None;
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Its id, under which the kernel keeps its accounts: what starts it becomes it.
    pub(crate) fn id(&self) -> u32 {
        self.child().id()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.child().try_wait(), Ok(None))
    }

    /// Everything it has printed.
    pub(crate) fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The end of its log, for the report of a failed scenario.
    pub(super) fn last_words(&self) -> String {
        const LINES: usize = 60;
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(LINES)..].join("\n    ");
        let state = if self.is_running() { "running" } else { "ended" };
        format!("\n  --- {} ({state}) ---\n    {tail}\n", self.name)
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether these programs of a Debian package are there; the first one that is missing otherwise.
pub(crate) fn is_installed(package: &str, programs: &[&str]) -> Result<(), String> {
    let dirs = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"];
    let is_there = |program: &str| dirs.iter().any(|dir| Path::new(dir).join(program).exists());
    let missing = programs.iter().find(|program| !is_there(program));
    missing.map_or(Ok(()), |program| Err(format!("{program} is missing (Debian package {package})")))
}

/// Runs a command to its end within ten seconds; its standard output, or what went wrong in words.
pub(crate) fn output(line: &[&str]) -> Result<String, String> {
    let result = Command::new("timeout").arg("10").args(line).stdin(Stdio::null()).output();
    let result = result.map_err(|error| format!("cannot run `{}`: {error}", line.join(" ")))?;
    if result.status.success() {
        return Ok(String::from_utf8_lossy(&result.stdout).into_owned());
    }
    let (out, err) = (String::from_utf8_lossy(&result.stdout), String::from_utf8_lossy(&result.stderr));
    Err(format!("`{}` failed ({}): {}{}", line.join(" "), result.status, out.trim(), err.trim()))
}
