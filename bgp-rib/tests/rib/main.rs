//! Protocol stories, told through the public door, and the model that every step is compared with.

mod support;

mod groups;
mod model;
mod next_hops;
mod originate;
mod readers;
mod reflection;
mod restart;
mod rules;
mod traps;
