//! Our programs against the real BIRD, FRR, GoBGP, OpenBGPD and ExaBGP, and against each other, in network
//! namespaces that the tests make.
//!
//! Needs root (for the namespaces) and the daemons of the distribution. A scenario whose needs are not met is
//! reported as ignored, with the reason. Set `INTEROP_KEEP=1` to keep the work directories for a look.

mod lab;
mod ours;
mod peer;
mod scenario;
mod scripted;

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{OnceLock, PoisonError, RwLock};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use lab::Lab;
use peer::Kind;

/// Scenarios at once. They wait for timers of daemons more than they compute, so more than there are cores.
const AT_ONCE: usize = 4;

/// How often a scenario is played that the machine spoils.
const PLAYS: usize = 3;

/// A scenario that measures under load holds this alone; all others share it.
static MACHINE: RwLock<()> = RwLock::new(());

thread_local! {
    /// Where this thread panicked last, as the panic message alone does not tell.
    static PANICKED_AT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What a scenario panics with when packets were lost that cross nothing of ours: then those that do prove nothing, and it
/// is played again.
pub(crate) struct Spoilt(pub(crate) String);

/// One test: a story played in a laboratory of its own.
pub(crate) struct Scenario {
    name: String,
    needs: Vec<Kind>,
    alone: bool,
    play: Box<dyn Fn(&Lab) + Send>,
}

impl Scenario {
    /// A scenario of our own programs.
    pub(crate) fn new(name: impl Into<String>, play: impl Fn(&Lab) + Send + 'static) -> Self {
        Self { name: name.into(), needs: Vec::new(), alone: false, play: Box::new(play) }
    }

    /// The same scenario with another implementation taking part.
    pub(crate) fn with(mut self, kind: Kind) -> Self {
        self.needs.push(kind);
        self
    }

    /// The same scenario with no other beside it.
    pub(crate) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    fn into_trial(self) -> Trial {
        let Self { name, needs, alone, play } = self;
        Trial::ignorable_test(name, move || {
            let unmet = ground().err().or_else(|| needs.iter().find_map(|kind| kind.is_installed().err()));
            if let Some(reason) = unmet {
                return Ok(Completion::ignored_with(reason));
            }
            let (mut shared, mut own) = (None, None);
            if alone {
                own.replace(MACHINE.write().unwrap_or_else(PoisonError::into_inner));
            } else {
                shared.replace(MACHINE.read().unwrap_or_else(PoisonError::into_inner));
            }
            let mut failures = String::new();
            for _ in 0..PLAYS {
                let lab = Lab::new();
                let Err(panic) = catch_unwind(AssertUnwindSafe(|| play(&lab))) else {
                    return Ok(Completion::Completed);
                };
                failures.push_str(&format!("{}\n{}", words(panic.as_ref()), lab.report()));
                if !panic.is::<Spoilt>() {
                    break;
                }
            }
            Err(Failed::from(failures))
        })
    }
}

/// Whether this machine lets us build laboratories, asked once.
fn ground() -> Result<(), String> {
    static GROUND: OnceLock<Result<(), String>> = OnceLock::new();
    let ask = || {
        if !rustix::process::geteuid().is_root() {
            return Err("needs root for network namespaces".to_owned());
        }
        lab::is_installed("iproute2", &["ip", "ss"])?;
        lab::is_installed("iputils-ping", &["ping"])?;
        lab::sweep();
        lab::can_make_namespaces().map_err(|error| format!("cannot make network namespaces: {error}"))
    };
    GROUND.get_or_init(ask).clone()
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    let text = text.or_else(|| panic.downcast_ref::<Spoilt>().map(|Spoilt(text)| text.as_str()));
    let text = text.unwrap_or("panicked");
    PANICKED_AT.with_borrow(|place| format!("{place}: {text}"))
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        PANICKED_AT.set(place);
    }));
    let trials = scenario::all().into_iter().map(Scenario::into_trial).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
