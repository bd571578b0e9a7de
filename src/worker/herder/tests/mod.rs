//! The whole worker over a real embedded broker in a temporary directory, with connectors of the tests' own.

mod fencing;
mod internal_topics;
mod lifecycle;
mod offsets;
mod plugins;
mod rest_answers;
mod rig;
mod shutdown;
mod sinks;
mod sources;
mod transforms;
mod wishes;
