//! Tools nobody here wrote, run against the program as they are.

mod configs_side_by_side;
mod kafka_tools;
mod kcat;
mod side_by_side;
