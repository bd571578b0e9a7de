//! Tests of the log as a whole: through its public functions, on real files, with a manual clock and faults on demand.

mod appending;
mod bounded;
mod commits;
mod copies;
mod damage;
mod describe;
mod faults;
mod golden;
mod hostile;
mod marks;
mod model;
mod reading;
mod recovery;
mod retention;
mod rig;
mod sample;
mod torn;
mod waiting;
