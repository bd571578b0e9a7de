//! Exit codes, and the last words on stderr.

/// Everything went well.
pub(crate) const OK: u8 = 0;
/// Anything that went wrong and has no code of its own.
pub(crate) const FAILED: u8 = 1;
/// The command line is wrong, or names what cannot be read.
pub(crate) const USAGE: u8 = 2;
/// A connector given on the command line could not be started; Kafka's code for it.
pub(crate) const CONNECTOR: u8 = 3;
/// A second signal during the shutdown.
pub(crate) const IMPATIENT: i32 = 130;

/// A connector given on the command line could not be started.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConnectorFailed(pub(crate) String);

/// The command line is wrong in a way that its parser does not see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// A file or directory given on the command line cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CannotRead(pub(crate) String);

impl CannotRead {
    /// Of what has this name.
    pub(crate) fn named(name: impl std::fmt::Display, error: &std::io::Error) -> Self {
        Self(format!("cannot read {name}: {error}"))
    }
}

/// The reader of stdout went away (`… | head`), which is its right.
fn reader_left(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<std::io::Error>();
    cause.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The exit code of a result.
pub(crate) fn code(result: &anyhow::Result<()>) -> u8 {
    match result {
        Ok(()) => OK,
        Err(error) if reader_left(error) => OK,
        Err(error) if error.is::<ConnectorFailed>() => CONNECTOR,
        Err(error) if error.is::<CannotRead>() || error.is::<Usage>() => USAGE,
        Err(_) => FAILED,
    }
}

/// Tells the user what went wrong, with every cause that adds something.
pub(crate) fn report(error: &anyhow::Error) {
    if !reader_left(error) {
        eprintln!("jackfield: {}", sentence(error));
    }
}

fn sentence(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn codes() {
        assert_eq!(code(&Ok(())), OK);
        assert_eq!(code(&Err(anyhow!("x"))), FAILED);
        assert_eq!(code(&Err(ConnectorFailed("x".into()).into())), CONNECTOR);
        let unread: anyhow::Error = CannotRead("x".into()).into();
        assert_eq!(code(&Err(unread.context("a").context("b"))), USAGE);
        assert_eq!(code(&Err(Usage("x".into()).into())), USAGE);
        assert_eq!(code(&Err(io::Error::from(io::ErrorKind::BrokenPipe).into())), OK);
    }

    #[test]
    fn causes_are_told_once() {
        let error = Err::<(), _>(anyhow!("no such file"))
            .context("cannot read x: no such file")
            .unwrap_err();
        assert_eq!(sentence(&error), "cannot read x: no such file");
        let error = Err::<(), _>(anyhow!("no such file"))
            .context("cannot read x")
            .unwrap_err();
        assert_eq!(sentence(&error), "cannot read x: no such file");
    }
}
