//! Tools nobody here wrote, run against the program as they are.

mod clients;
mod kafka_tools;
mod kcat;
mod librdkafka;
mod side_by_side;
