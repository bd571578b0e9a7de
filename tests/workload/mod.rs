//! What goes on while a process is killed or the power is cut, and the judgement of what is left: producers, topics that
//! come and go, offsets that groups commit, and a file pipeline.

pub(crate) mod commits;
pub(crate) mod lines;
pub(crate) mod load;
pub(crate) mod pipeline;
pub(crate) mod producers;
pub(crate) mod topics;
