//! Topics a member wants: by name, or all that match a pattern.

use jackfield_broker::Topics;
use regex::Regex;

use crate::{ClusterError, TopicSelection};

/// A checked [`TopicSelection`].
#[derive(Debug, Clone)]
pub(crate) enum Selection {
    Names(Vec<String>),
    Pattern(Regex),
}

impl Selection {
    pub(crate) fn parse(topics: &TopicSelection) -> Result<Self, ClusterError> {
        match topics {
            TopicSelection::Names(names) => {
                let mut names = names.clone();
                names.sort_unstable();
                names.dedup();
                Ok(Self::Names(names))
            }
            TopicSelection::Pattern(pattern) => {
                let regex = Regex::new(&format!("^(?:{pattern})$")).map_err(|error| ClusterError {
                    code: 0,
                    message: format!("topic pattern '{pattern}': {error}"),
                    retriable: false,
                })?;
                Ok(Self::Pattern(regex))
            }
        }
    }

    /// Names as of now. As in Java, a pattern does not see internal topics.
    pub(crate) fn topics(&self, topics: &Topics) -> Vec<String> {
        match self {
            Self::Names(names) => names.clone(),
            Self::Pattern(regex) => {
                let all = topics.list();
                let matching = all
                    .iter()
                    .filter(|topic| !topic.internal && regex.is_match(&topic.name));
                matching.map(|topic| topic.name.to_string()).collect()
            }
        }
    }
}
