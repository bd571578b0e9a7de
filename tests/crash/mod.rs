//! kill -9 of the whole process at random moments, under idempotent producers and a running pipeline: nothing acknowledged
//! is lost, no offset has two values, the sink file is complete. Planted bugs prove that the checker would see it.

mod outcome;
mod planted;
mod producers;
mod run;
