//! The program without the rights of root: what it cannot do it says, and the rest works.
//!
//! Needs root to give its rights up, and `setpriv`; elsewhere the tests say so and do nothing.
#![cfg(target_os = "linux")]
#![allow(clippy::print_stderr, reason = "why a test did nothing")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A start or a session on loopback takes milliseconds; this is for a busy machine.
const LIMIT: Duration = Duration::from_secs(20);
/// `nobody`.
const NOBODY: u32 = 65534;

/// A directory of `nobody`'s with the program in it, where `nobody` may run it.
struct Home(PathBuf);

impl Home {
    /// Nothing where this process cannot become `nobody`.
    fn new(name: &str) -> Option<Self> {
        let path = std::env::temp_dir().join(format!("rr-nobody-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary directory is writable");
        let home = Self(path);
        fs::copy(env!("CARGO_BIN_EXE_route-reflector"), home.0.join("program")).expect("it fits");
        fs::set_permissions(home.0.join("program"), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let able = chown(&home.0, Some(NOBODY), Some(NOBODY)).is_ok()
            && home.command(&["--version"]).output().is_ok_and(|output| output.status.success());
        if !able {
            eprintln!("not tested: this needs root and setpriv");
        }
        able.then_some(home)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"])
            .args(["--inh-caps=-all", "--pdeathsig=KILL"])
            .arg(self.0.join("program"))
            .args(arguments)
            .env_remove("RUST_LOG")
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null());
        command
    }

    fn config(&self, name: &str, rest: &str) -> String {
        let path = self.0.join(format!("{name}.toml"));
        let head = format!(
            "asn = 65000\nrouter-id = \"10.0.0.{}\"\ncontrol-socket = \"{}\"\n",
            name.len(),
            self.0.join(format!("{name}.sock")).display()
        );
        fs::write(&path, head + rest).expect("writable");
        path.display().to_string()
    }

    /// The words of a daemon that does not start.
    fn refused(&self, config: &str) -> String {
        let output = ended(self.command(&["run", "--config", config]));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A daemon, ended on drop.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ended(mut command: Command) -> Output {
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("setpriv is installed");
    let start = Instant::now();
    while child.try_wait().expect("ours to wait for").is_none() && start.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    child.wait_with_output().expect("ours to wait for")
}

#[test]
fn the_port_of_bgp_needs_a_capability_that_the_error_names() {
    let Some(home) = Home::new("port") else { return };
    let first_free = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    if first_free.trim().parse().is_ok_and(|port: u16| port <= 179) {
        eprintln!("not tested: any user may bind port 179 here");
        return;
    }
    for listen in ["127.0.0.1:179", "[::1]:179"] {
        let words = home.refused(&home.config("port", &format!("listen = \"{listen}\"\n")));
        assert!(words.contains("CAP_NET_BIND_SERVICE") && words.contains(listen), "{words}");
    }
}

#[test]
fn kernel_export_needs_a_capability_that_the_error_names() {
    let Some(home) = Home::new("export") else { return };
    let words = home.refused(&home.config("export", "kernel-export = true\nlisten = \"127.0.0.1:1797\"\n"));
    assert!(words.contains("CAP_NET_ADMIN"), "{words}");
}

/// Passwords, hops, interfaces and the TOS of control traffic need no rights on Linux.
#[test]
fn protected_sessions_need_no_rights() {
    let Some(home) = Home::new("sessions") else { return };
    let peer = |address: &str, more: &str| {
        format!(
            "[[neighbor]]\naddress = \"{address}\"\nport = 1798\nasn = 65000\nlocal-address = \"127.42.0.{}\"\n\
             password = \"s3cret\"\nttl-security = 1\ninterface = \"lo\"\n{more}",
            if address.ends_with('1') { 2 } else { 1 }
        )
    };
    let one = home.config("one", &format!("listen = \"127.42.0.1:1798\"\n{}", peer("127.42.0.2", "")));
    let other = home.config(
        "other",
        &format!("listen = \"127.42.0.2:1798\"\n{}", peer("127.42.0.1", "passive = true\n")),
    );
    let start = |config: &str| {
        let mut command = home.command(&["run", "--config", config]);
        Daemon(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("setpriv is installed"))
    };
    let _daemons = [start(&one), start(&other)];
    let socket = home.0.join("one.sock").display().to_string();
    let begin = Instant::now();
    loop {
        let output = home.command(&["status", "--socket", &socket]).output().expect("setpriv is installed");
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        if words.contains("1 of 1") && words.contains("established") {
            return;
        }
        assert!(begin.elapsed() < LIMIT, "{words}{}", String::from_utf8_lossy(&output.stderr));
        std::thread::sleep(Duration::from_millis(50));
    }
}
