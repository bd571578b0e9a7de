//! kill -9 of the whole process at random moments, under all kinds of clients and a running pipeline: nothing acknowledged is
//! lost, no offset has two values, the sink file is complete. Planted bugs prove that the checkers would see it.

mod planted;
mod run;
