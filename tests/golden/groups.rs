//! `__consumer_offsets`: the same group requests leave the same records.
