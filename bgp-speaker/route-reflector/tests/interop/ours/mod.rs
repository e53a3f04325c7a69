//! Our own two programs: the `route-reflector` binary and the example node agent.

mod agent;
mod reflector;

pub(crate) use agent::{Agent, Member, kernel_has, kernel_spreads};
pub(crate) use reflector::{PeerEntry, Reflector, kernel_keys};

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Protocol number of the routes that our programs write in these tests.
pub(crate) const PROTOCOL: u8 = 188;

/// Their table.
pub(crate) const MAIN_TABLE: u32 = 254;

/// The reflector as Cargo built it for this test.
fn reflector_program() -> &'static str {
    env!("CARGO_BIN_EXE_route-reflector")
}

/// The node agent. Cargo gives a test no path to an example of another package, so it is asked to bring that up
/// to date, once; `INTEROP_NODE_AGENT` names a ready one.
fn agent_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(ready) = env::var_os("INTEROP_NODE_AGENT") {
            return ready.into();
        }
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let profile = Path::new(reflector_program()).parent().expect("a program lies in a directory");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(workspace).args(["build", "--quiet", "--workspace", "--example", "node_agent"]);
        cargo.arg("--target-dir").arg(profile.parent().expect("a profile lies in the target directory"));
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let status = cargo.status().expect("cargo runs: it started this test");
        assert!(status.success(), "the node agent does not build: {status}");
        profile.join("examples/node_agent")
    })
}
