//! One peer: its task, its connections, and the two places where others meet it: a mailbox and a status cell.

mod cell;
mod connection;
mod lingering;
mod mailbox;
mod task;

pub(crate) use cell::{Drain, Live, PeerCell};
pub(crate) use mailbox::{Deposit, Depth, Mailbox, Order, Unaccepted, Visit};
pub(crate) use task::PeerTask;
