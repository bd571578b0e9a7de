//! What a request names more than once.

use std::{collections::HashSet, hash::Hash};

/// The items that occur more than once.
pub(crate) fn repeated<T: Eq + Hash + Clone>(items: impl Iterator<Item = T>) -> HashSet<T> {
    let mut seen = HashSet::new();
    items.filter(|item| !seen.insert(item.clone())).collect()
}
