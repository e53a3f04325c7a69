//! Protocol stories, told through the public door, and the model that every step is compared with.

mod support;

mod model;
