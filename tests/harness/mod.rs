//! What the tests share: processes and their directories, waiting, a raw client, Apache Kafka's jars.

pub(crate) mod batches;
pub(crate) mod history;
pub(crate) mod kafka;
pub(crate) mod planted;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod python;
pub(crate) mod random;
pub(crate) mod rest;
pub(crate) mod rounds;
pub(crate) mod scratch;
pub(crate) mod shown;
pub(crate) mod tools;
pub(crate) mod wait;
pub(crate) mod wire;
