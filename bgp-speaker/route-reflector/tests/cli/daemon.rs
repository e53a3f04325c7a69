//! The program as its tests run it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Start-up, a session on loopback and a shutdown each take milliseconds; this is for a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_route-reflector"));
    command.env_remove("RUST_LOG").env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().expect("the program starts")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A directory of one test's own, removed with it.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rr-cli-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary directory is writable");
        Directory(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> String {
        fs::write(self.0.join(name), content).expect("writable");
        self.path(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running daemon; ends with the test.
pub(crate) struct Daemon {
    pub(crate) child: Child,
    pub(crate) socket: String,
}

impl Daemon {
    pub(crate) fn start(config: &str, socket: &str) -> Self {
        let child = program()
            .args(["run", "--config", config])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let daemon = Daemon { child, socket: socket.to_owned() };
        daemon.eventually("answers", |status| status["version"].is_string());
        daemon
    }

    pub(crate) fn ask(&self, arguments: &[&str]) -> Output {
        let mut all = arguments.to_vec();
        all.extend(["--socket", &self.socket]);
        run(&all)
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_slice(&self.ask(&["status", "--json"]).stdout).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn eventually(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + LIMIT;
        loop {
            let status = self.status();
            if holds(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "the daemon never {what}: {status:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the daemon runs");
    }

    /// Waits for the end: exit status and what was logged.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + LIMIT;
        while self.child.try_wait().expect("ours to wait for").is_none() {
            assert!(Instant::now() < deadline, "the daemon does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut log = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut log).expect("the log is text");
        }
        (self.child.wait().expect("ours to wait for").code(), log)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on just now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("it is bound").port()
}

pub(crate) fn config(listen: &str, socket: &str, rest: &str) -> String {
    format!(
        "asn = 65000\nrouter-id = \"10.0.0.1\"\nlisten = \"{listen}\"\ncontrol-socket = \"{socket}\"\n{rest}"
    )
}

/// Sends one request as `curl --unix-socket` does, and gives back the whole answer.
pub(crate) fn http(socket: &str, request: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("the daemon listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    text(&answer)
}
