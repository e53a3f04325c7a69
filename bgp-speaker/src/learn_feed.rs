//! Carries kernel routes of others to the tables, as originations.

use tokio::sync::{mpsc, oneshot};

use crate::desired::{Change, ChangeClass, NotDone, Subject};
use crate::error::SpeakerError;
use crate::kernel::{LearnChange, LearnConfig, Learner, Protocols};
use crate::originations::LEARNED;
use crate::rib_task::RibClient;
use crate::route::Route;

/// What is to be learned from now on, `None` for nothing; whoever asks is told the change.
pub(crate) type Order = (Option<Box<LearnConfig>>, oneshot::Sender<Result<Option<Change>, NotDone>>);

/// The task that learns, if there is something to learn or not.
pub(crate) struct LearnTask {
    rib: RibClient,
    orders: mpsc::Receiver<Order>,
    /// Ends when the speaker does.
    stop: oneshot::Receiver<()>,
    own: Protocols,
    learning: Option<(LearnConfig, Learner)>,
}

/// Why the task has something to do.
enum Wake {
    Stop,
    Order(Order),
    Changes(Option<Vec<LearnChange>>),
}

impl LearnTask {
    /// With what was begun for the start.
    pub(crate) fn new(
        rib: RibClient,
        (orders, stop): (mpsc::Receiver<Order>, oneshot::Receiver<()>),
        own: Protocols,
        learning: Option<(LearnConfig, Learner)>,
    ) -> Self {
        Self { rib, orders, stop, own, learning }
    }

    /// Works until the tables end or the speaker does; the tables take each batch before the next is read.
    pub(crate) async fn run(mut self) {
        loop {
            match self.wait().await {
                Wake::Stop => break,
                Wake::Order((wanted, reply)) => {
                    // Who asked may have gone meanwhile.
                    let _ = reply.send(self.make(wanted.map(|wanted| *wanted)).await);
                }
                Wake::Changes(Some(changes)) => {
                    if pass_on(&self.rib, changes).await.is_err() {
                        break;
                    }
                }
                Wake::Changes(None) => {
                    tracing::error!(
                        "the thread that learns kernel routes ended by a bug: nothing more is learned"
                    );
                    self.learning = None;
                }
            }
        }
        self.end_thread();
    }

    async fn wait(&mut self) -> Wake {
        let learner = self.learning.as_mut().map(|(_, learner)| learner);
        tokio::select! {
            biased;
            _ = &mut self.stop => Wake::Stop,
            Some(order) = self.orders.recv() => Wake::Order(order),
            changes = next(learner) => Wake::Changes(changes),
        }
    }

    /// Learns what is wanted; what has changed for it.
    async fn make(&mut self, wanted: Option<LearnConfig>) -> Result<Option<Change>, NotDone> {
        let why = match (&mut self.learning, wanted) {
            (None, None) => return Ok(None),
            (Some((config, _)), Some(wanted)) if *config == wanted => return Ok(None),
            (Some((config, learner)), Some(wanted)) => {
                learner.reconfigure(wanted.clone());
                *config = wanted;
                "changed: what is learned"
            }
            (None, Some(wanted)) => {
                let learner = Learner::spawn_beside(wanted.clone(), self.own.clone());
                let learner = learner.map_err(|error| NotDone::Learn { why: error.to_string() })?;
                self.learning = Some((wanted, learner));
                "begun"
            }
            (Some(_), None) => {
                self.end_thread();
                // Without tables there is nothing to withdraw.
                let _ = self.rib.withdraw_all(LEARNED).await;
                "ended: what was learned is withdrawn"
            }
        };
        Ok(Some(Change { subject: Subject::Learning, class: ChangeClass::Soft, why: why.to_owned() }))
    }

    /// Its thread ends within a moment; no task is to wait for that.
    fn end_thread(&mut self) {
        if let Some(learning) = self.learning.take() {
            drop(tokio::task::spawn_blocking(move || drop(learning)));
        }
    }
}

async fn next(learner: Option<&mut Learner>) -> Option<Vec<LearnChange>> {
    match learner {
        Some(learner) => learner.next().await,
        None => std::future::pending().await,
    }
}

async fn pass_on(rib: &RibClient, changes: Vec<LearnChange>) -> Result<(), SpeakerError> {
    let (mut set, mut gone) = (Vec::new(), Vec::new());
    for change in changes {
        match change {
            LearnChange::Set(learned) => {
                let route = Route::new(learned.prefix).metric(learned.metric).preference(learned.preference);
                set.push(Route { interface: learned.interface, ..route });
            }
            LearnChange::Gone(prefix) => gone.push(prefix),
        }
    }
    if !gone.is_empty() {
        rib.withdraw(LEARNED, gone).await?;
    }
    if !set.is_empty() {
        rib.announce(LEARNED, set).await?;
    }
    Ok(())
}
