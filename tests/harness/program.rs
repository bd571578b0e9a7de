//! The program under test: where it is, and a standalone worker or a broker running in a directory of its own.
