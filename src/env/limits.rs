//! Limits the operating system sets to the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the number of files the process may have open to what its user may ask for, as a Java VM does at its start: a
/// broker has a file open for every segment and every connection. Failure is logged; the process then has fewer.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, files = limit.current, "limit of open files cannot be raised; set it with ulimit -n or LimitNOFILE");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_becomes_what_it_may_be() {
        let before = getrlimit(Resource::Nofile);
        let low = before.maximum.map_or(65_536, |maximum| maximum - 1);
        let lowered = Rlimit {
            current: Some(low),
            ..before
        };
        setrlimit(Resource::Nofile, lowered).unwrap();
        raise_open_files();
        assert_eq!(
            getrlimit(Resource::Nofile),
            Rlimit {
                current: before.maximum,
                ..before
            }
        );
    }
}
