//! `jackfield plugin check`: whether a package keeps the contract. First what can be seen of it from outside, then the
//! conformance kit on every class in every form.

use std::time::Instant;

use anyhow::bail;
use jackfield_kit::{self as kit, Check, Outcome};
use jackfield_plugin::Form;
use serde_json::{Value, json};

use super::{build::Wish, classes, target};
use crate::{arguments::CheckArguments, configuration::Environment, output::Output, progress::Waiting};

/// How many ended how.
#[derive(Debug, Default)]
struct Count {
    passed: usize,
    skipped: usize,
    failed: usize,
}

/// Checks and prints; fails when a check does.
pub(super) async fn run(arguments: &CheckArguments, environment: &Environment) -> anyhow::Result<()> {
    let started = Instant::now();
    let json = arguments.output.json;
    let wish = Wish {
        forms: arguments.form.iter().map(|form| form.form()).collect(),
        dev: false,
        quiet: json,
    };
    let package = target::package(&arguments.path, &wish).await?;
    let mut lines = Lines {
        shown: !json,
        last: String::new(),
    };
    let mut results = Vec::new();
    // Digests of large artifacts take their time.
    let waiting = Waiting::on("the digests");
    let plugins = classes::open(&package.directory, &package.cache);
    plugins.verify();
    drop(waiting);
    let outside = match classes::reason(&plugins) {
        None => Outcome::Passed,
        Some(reason) => Outcome::Failed(reason),
    };
    let usable = outside == Outcome::Passed;
    drop(plugins);
    let outside = ("manifest, versions and digests".to_owned(), outside);
    lines.show("package", None, &outside.0, &outside.1);
    let mut count = Count::default();
    count.add(&outside.1);
    results.push(document_of(None, None, &outside.0, &outside.1));
    if usable {
        let own = package
            .project
            .as_ref()
            .and_then(super::project::Project::conformance);
        let options = kit::Options {
            package: package.directory.clone(),
            conformance: arguments.conformance.clone().or(own),
            form: arguments.form.map(|form| form.form()),
            class: arguments.class.clone(),
        };
        let mut seen = |check: &Check| {
            lines.show(&check.class, Some(check.form), &check.name, &check.outcome);
        };
        for check in kit::check(&options, &mut seen).await? {
            count.add(&check.outcome);
            results.push(document_of(
                Some(&check.class),
                Some(check.form),
                &check.name,
                &check.outcome,
            ));
        }
    }
    let document = json!({
        "package": package.directory,
        "passed": count.passed,
        "skipped": count.skipped,
        "failed": count.failed,
        "checks": results,
    });
    Output::new(arguments.output, environment).print(&document, || {
        format!("\n{} in {:.1} s\n", count.text(), started.elapsed().as_secs_f64())
    })?;
    if count.failed > 0 {
        bail!("{} of {} checks failed", count.failed, results.len());
    }
    Ok(())
}

/// Results as they come: a heading for each class and form, a line for each check.
struct Lines {
    shown: bool,
    last: String,
}

impl Lines {
    fn show(&mut self, class: &str, form: Option<Form>, name: &str, outcome: &Outcome) {
        if !self.shown {
            return;
        }
        let heading = match form {
            Some(form) => format!("{class} ({form})"),
            None => class.to_owned(),
        };
        let mut text = String::new();
        if heading != self.last {
            text.push_str(&format!("{heading}\n"));
            self.last = heading;
        }
        text.push_str(&line(name, outcome));
        use std::io::Write as _;
        // Nobody is left to be told when the reader is gone; the exit code says the rest.
        std::io::stdout().lock().write_all(text.as_bytes()).ok();
    }
}

fn line(name: &str, outcome: &Outcome) -> String {
    let (word, why) = match outcome {
        Outcome::Passed => ("ok", None),
        Outcome::Skipped(why) => ("skipped", Some(why)),
        Outcome::Failed(why) => ("FAILED", Some(why)),
    };
    let mut text = format!("  {word:<8} {name}\n");
    for line in why.iter().flat_map(|why| why.lines()) {
        text.push_str(&format!("           {line}\n"));
    }
    text
}

impl Count {
    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Skipped(_) => self.skipped += 1,
            Outcome::Failed(_) => self.failed += 1,
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{} passed", self.passed);
        for (count, word) in [(self.skipped, "skipped"), (self.failed, "failed")] {
            if count > 0 {
                text.push_str(&format!(", {count} {word}"));
            }
        }
        text
    }
}

fn document_of(class: Option<&str>, form: Option<Form>, name: &str, outcome: &Outcome) -> Value {
    let (word, why) = match outcome {
        Outcome::Passed => ("passed", None),
        Outcome::Skipped(why) => ("skipped", Some(why)),
        Outcome::Failed(why) => ("failed", Some(why)),
    };
    json!({
        "class": class,
        "form": form.map(|form| form.to_string()),
        "check": name,
        "outcome": word,
        "reason": why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_counts() {
        let mut count = Count::default();
        assert_eq!(line("it starts", &Outcome::Passed), "  ok       it starts\n");
        let failed = Outcome::Failed("first\nsecond".to_owned());
        assert_eq!(
            line("it stops", &failed),
            "  FAILED   it stops\n           first\n           second\n"
        );
        count.add(&Outcome::Passed);
        assert_eq!(count.text(), "1 passed");
        count.add(&failed);
        count.add(&Outcome::Skipped("why".to_owned()));
        assert_eq!(count.text(), "1 passed, 1 skipped, 1 failed");
    }
}
