//! `connect-configs`, `connect-offsets`, `connect-status` and the data topic: the same REST calls and lines leave the same records.
