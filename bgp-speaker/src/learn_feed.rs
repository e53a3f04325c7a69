//! Carries kernel routes of others to the tables, as originations.

use tokio::sync::oneshot;

use crate::error::SpeakerError;
use crate::kernel::{LearnChange, Learner};
use crate::originations::LEARNED;
use crate::rib_task::RibClient;
use crate::route::Route;

/// Works until the tables end or `stop` does; the tables take each batch before the next is read.
pub(crate) async fn run(mut learner: Learner, rib: RibClient, mut stop: oneshot::Receiver<()>) {
    loop {
        let changes = tokio::select! {
            biased;
            _ = &mut stop => break,
            changes = learner.next() => changes,
        };
        let Some(changes) = changes else { break };
        if pass_on(&rib, changes).await.is_err() {
            break;
        }
    }
    // Its thread ends within a moment; no task is to wait for that.
    drop(tokio::task::spawn_blocking(move || drop(learner)));
}

async fn pass_on(rib: &RibClient, changes: Vec<LearnChange>) -> Result<(), SpeakerError> {
    let (mut set, mut gone) = (Vec::new(), Vec::new());
    for change in changes {
        match change {
            LearnChange::Set(learned) => {
                let route = Route::new(learned.prefix).metric(learned.metric);
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
