//! Packets that flow while something else happens.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use super::{Lab, Node, Process, Spawn};

/// A hundred packets a second or more, whatever the machine makes of so short a pause, and their answers.
pub(crate) struct Flow {
    name: String,
    process: Arc<Process>,
}

impl Flow {
    /// Begins at `from`, towards `address`.
    pub(crate) fn start(lab: &Lab, from: &Node, address: &str) -> Self {
        let line = ["ping", "-n", "-q", "-i", "0.005", "-W", "2", address];
        Self { name: format!("{} to {address}", from.name), process: lab.spawn(from, &Spawn::new(&line)) }
    }

    /// Ends it and insists that every packet of at least this many was answered.
    pub(crate) fn stop_without_loss(self, least: u32) -> u32 {
        self.process.signal(Signal::INT);
        self.process.wait(Duration::from_secs(5)).expect("ping ends on SIGINT");
        let log = self.process.log();
        // The log is the node's and may hold other flows: this one's balance is the one that names its target.
        let words = log.rsplit_once(&format!("--- {} ping", self.target())).map_or("", |(_, tail)| tail);
        let number = |before: &str| -> Option<u32> {
            let head = words.split_once(before)?.0;
            head.rsplit([' ', '\n']).next()?.parse().ok()
        };
        let (sent, back) = (number(" packets transmitted"), number(" received"));
        assert!(sent >= Some(least), "{}: packets flowed all the time: {log}", self.name);
        assert_eq!(sent, back, "{}: no packet is lost: {log}", self.name);
        sent.unwrap_or_default()
    }

    fn target(&self) -> &str {
        self.name.rsplit(' ').next().unwrap_or_default()
    }
}
