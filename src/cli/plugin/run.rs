//! `jackfield plugin run`: one connector or transform in a worker and broker of its own, built again when it changes.

mod changes;
mod feed;
mod records;
mod session;
mod settings;

use std::{
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    pin::Pin,
    time::Duration,
};

use anyhow::{Context as _, bail};
use jackfield_env::Env;
use jackfield_plugin::Kind;

use self::{changes::Changes, feed::Feed, records::Records, session::Session, settings::Settings};
use super::{
    build::{self, Outcome, Wish},
    project::Project,
};
use crate::{
    arguments::RunArguments, client::key_value, configuration::Environment, consume::Printer, exit::Usage,
    signals::Signals,
};

/// How often the state of the task is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Words of the command line: the project's directory, and pairs of the connector's config.
#[derive(Debug)]
struct Words {
    directory: PathBuf,
    pairs: Vec<(String, String)>,
}

impl Words {
    fn of(words: &[String]) -> anyhow::Result<Self> {
        let (pairs, directories): (Vec<_>, Vec<_>) = words.iter().partition(|word| word.contains('='));
        if let [_, other, ..] = directories[..] {
            bail!(Usage(format!(
                "'{other}' is a second directory; keys of the connector's config are written KEY=VALUE"
            )));
        }
        let pairs = pairs.into_iter().map(|pair| key_value("config", pair));
        Ok(Self {
            directory: directories
                .first()
                .map_or_else(|| PathBuf::from("."), PathBuf::from),
            pairs: pairs.collect::<anyhow::Result<_>>()?,
        })
    }
}

/// Runs until the count, the end of the input, a failure or a signal.
pub(super) async fn run(arguments: RunArguments, environment: &Environment, env: Env) -> anyhow::Result<()> {
    let words = Words::of(&arguments.words)?;
    let printer = Printer::new(&arguments.print)?;
    let mut signals = Signals::install().context("signals cannot be handled")?;
    let wish = Wish {
        forms: arguments.form.iter().map(|form| form.form()).collect(),
        dev: arguments.dev,
        quiet: false,
    };
    let project = Project::read(&words.directory)?;
    // Before the build: what changes meanwhile counts.
    let mut changes = match arguments.once {
        true => None,
        false => Some(Changes::follow(&project.directory)?),
    };
    let built = tokio::select! {
        built = build::project(&project, &wish) => built?,
        _ = signals.next() => return Ok(()),
    };
    eprint!("{}", build::text(&project, &built));
    let settings = Settings::new(&project, &arguments, words.pairs).await?;
    let feed = settings.feed(&arguments)?;
    let mut session = Session::default();
    let started = tokio::select! {
        started = session.start(&settings, feed.clone(), environment, env) => started,
        _ = signals.next() => Ok(()),
    };
    let ended = match started {
        Ok(()) => {
            let mut running = Running {
                arguments: &arguments,
                settings: &settings,
                session: &session,
                printer,
                records: Records::new(&session)?,
                feed,
                wish: &wish,
                printed: 0,
                committed: 0,
            };
            running.until_the_end(changes.as_mut(), &mut signals).await
        }
        Err(error) => Err(error),
    };
    signals.or_exit(session.stop()).await;
    ended
}

type Building = Pin<Box<dyn Future<Output = anyhow::Result<(Project, Outcome)>> + Send>>;

/// The connector while it runs.
struct Running<'a> {
    arguments: &'a RunArguments,
    settings: &'a Settings,
    session: &'a Session,
    printer: Printer,
    records: Records,
    feed: Option<Feed>,
    wish: &'a Wish,
    printed: u64,
    /// By a sink.
    committed: u64,
}

impl Running<'_> {
    async fn until_the_end(
        &mut self,
        mut changes: Option<&mut Changes>,
        signals: &mut Signals,
    ) -> anyhow::Result<()> {
        let mut out = BufWriter::new(std::io::stdout());
        let mut building: Option<Building> = None;
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = signals.next() => return Ok(()),
                record = self.records.next() => {
                    self.printer.print(&record?, &mut out)?;
                    out.flush()?;
                    self.printed += 1;
                }
                _ = look.tick() => {
                    if self.look().await? {
                        return Ok(());
                    }
                }
                () = changed(changes.as_deref_mut()), if building.is_none() => {
                    building = Some(self.build());
                }
                built = finished(building.as_mut()), if building.is_some() => {
                    building = None;
                    tell(&self.settings.package, built);
                }
            }
            if self.is_enough() {
                return Ok(());
            }
        }
    }

    /// Looks at what cannot be waited for. `true` = everything went through, and that is all.
    async fn look(&mut self) -> anyhow::Result<bool> {
        self.session.check().await?;
        if self.settings.kind == Kind::Sink {
            let committed = self.session.committed().await;
            if committed > self.committed {
                self.committed = committed;
                let what = if committed == 1 { "record" } else { "records" };
                eprintln!("committed {committed} {what}");
            }
        } else {
            self.records.follow(&self.session.topics())?;
        }
        let Some(feed) = &self.feed else {
            return Ok(false);
        };
        let Some(lines) = feed.delivered_all() else {
            return Ok(false);
        };
        Ok(match self.settings.kind {
            Kind::Sink => self.committed >= lines,
            _ => self.printed >= self.records.end()?,
        })
    }

    fn is_enough(&self) -> bool {
        let count = match self.settings.kind {
            Kind::Sink => self.committed,
            _ => self.printed,
        };
        self.arguments.count.is_some_and(|wanted| count >= wanted)
    }

    fn build(&self) -> Building {
        let (directory, wish) = (self.settings.project.clone(), self.wish.clone());
        Box::pin(async move {
            let project = Project::read(&directory)?;
            let outcome = build::project(&project, &wish).await?;
            Ok((project, outcome))
        })
    }
}

async fn changed(changes: Option<&mut Changes>) {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

async fn finished(building: Option<&mut Building>) -> anyhow::Result<(Project, Outcome)> {
    match building {
        Some(building) => building.await,
        None => std::future::pending().await,
    }
}

/// Says what became of a build; `running` is the package that the worker has.
fn tell(running: &Path, built: anyhow::Result<(Project, Outcome)>) {
    match built {
        Ok((project, _)) if project.package() != running => eprintln!(
            "built {}, another package than the one that runs: start `jackfield plugin run` again to run it",
            project.full_name()
        ),
        Ok((_, outcome)) if !outcome.changed => eprintln!("built again: the code is the same"),
        Ok((_, outcome)) => eprintln!(
            "built again in {:.1} s: the new code takes over",
            outcome.took.as_secs_f64()
        ),
        Err(error) => {
            eprintln!("{error:#}\nthe code that runs goes on; it is built again at the next change")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_a_directory_and_pairs() {
        let words = |words: &[&str]| Words::of(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        let found = words(&["interval.ms=10", "acme", "topic=a=b"]).unwrap();
        assert_eq!(found.directory, PathBuf::from("acme"));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(found.pairs, [pair("interval.ms", "10"), pair("topic", "a=b")]);
        assert_eq!(words(&[]).unwrap().directory, PathBuf::from("."));
        let error = words(&["a", "b"]).unwrap_err().to_string();
        assert!(error.contains("'b' is a second directory"), "{error}");
    }
}
