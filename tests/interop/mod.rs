//! Tools nobody here wrote, run against the program as they are.

mod connect_client;
mod connect_rest;
mod connect_worker;
mod kafka_tools;
mod kcat;
mod side_by_side;
