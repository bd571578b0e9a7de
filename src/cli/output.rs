//! What commands print: tables that fit the terminal, JSON documents, and what became of each thing that was changed.

use std::io::{IsTerminal as _, Write as _};

use anyhow::bail;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Value, json};

use crate::{arguments::OutputOptions, configuration::Environment, kafka::Refusal};

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

/// Words that say how something is.
const COLOURS: [(&str, &str); 13] = [
    ("RUNNING", GREEN),
    ("Stable", GREEN),
    ("PAUSED", YELLOW),
    ("STOPPED", YELLOW),
    ("UNASSIGNED", YELLOW),
    ("RESTARTING", YELLOW),
    ("PreparingRebalance", YELLOW),
    ("CompletingRebalance", YELLOW),
    ("Assigning", YELLOW),
    ("Reconciling", YELLOW),
    ("FAILED", RED),
    ("Dead", RED),
    ("DESTROYED", RED),
];

/// How this command prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    colours: bool,
    width: Option<u16>,
}

impl Output {
    /// Looks at the flags, the environment and the terminal.
    pub(crate) fn new(options: OutputOptions, environment: &Environment) -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self {
            json: options.json,
            colours: terminal && environment.allows_colours(),
            width: terminal
                .then(terminal_size::terminal_size)
                .flatten()
                .map(|(width, _)| width.0),
        }
    }

    /// Prints one or the other.
    pub(crate) fn print(&self, document: &Value, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{document:#}")?;
        } else {
            out.write_all(self.colour(text()).as_bytes())?;
        }
        Ok(())
    }

    /// A table as wide as the terminal allows.
    pub(crate) fn table(&self, header: &[&str], rows: &[Vec<String>]) -> String {
        table(header, rows, self.width)
    }

    /// Colours are put in when every column has its place, so that they take none.
    fn colour(&self, text: String) -> String {
        if !self.colours {
            return text;
        }
        let lines = text.lines().map(|line| {
            if is_header(line) {
                return format!("{BOLD}{line}{PLAIN}\n");
            }
            let words = COLOURS.iter().fold(line.to_owned(), |line, (word, colour)| {
                let at = line
                    .match_indices(word)
                    .find(|(at, _)| is_word(&line, *at, word.len()));
                match at.map(|(at, _)| at) {
                    Some(at) => format!("{}{colour}{word}{PLAIN}{}", &line[..at], &line[at + word.len()..]),
                    None => line,
                }
            });
            words + "\n"
        });
        lines.collect()
    }
}

fn is_word(line: &str, at: usize, length: usize) -> bool {
    let part = |character: char| character.is_alphanumeric() || "_-.=".contains(character);
    !line[..at].ends_with(part) && !line[at + length..].starts_with(part)
}

/// Headers of tables are in capitals, two words or more, and no digits.
fn is_header(line: &str) -> bool {
    let words: Vec<_> = line.split_whitespace().collect();
    words.len() > 1
        && words.iter().all(|word| {
            word.chars()
                .all(|letter| letter.is_ascii_uppercase() || letter == '-')
        })
        && !words
            .iter()
            .any(|word| COLOURS.iter().any(|(state, _)| state == word))
}

/// Columns two spaces apart; numbers are on the right. Without a width nothing is broken into lines.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header.to_vec());
    table.add_rows(rows);
    if let Some(width) = width {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        let mut cells = rows.iter().filter_map(|row| row.get(index)).peekable();
        let is_number = |cell: &String| cell == "-" || cell.parse::<i64>().is_ok();
        if cells.peek().is_some() && cells.all(is_number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt() + "\n"
}

/// What became of one of the things a command was to change.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// `topic`, `group`, `connector`.
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    /// What was done, or why not.
    pub(crate) result: Result<String, Refusal>,
}

impl Output {
    /// One line or object for each; what failed makes the command fail.
    pub(crate) fn outcomes(&self, outcomes: &[Outcome]) -> anyhow::Result<()> {
        let object = |outcome: &Outcome| match &outcome.result {
            Ok(done) => json!({outcome.kind: outcome.name, "result": done}),
            Err(refusal) => json!({outcome.kind: outcome.name, "error": refusal.document()}),
        };
        let document = Value::Array(outcomes.iter().map(object).collect());
        self.print(&document, || {
            let done =
                |outcome: &Outcome| Some(format!("{} {}\n", outcome.result.as_ref().ok()?, outcome.name));
            outcomes.iter().filter_map(done).collect()
        })?;
        let failed: Vec<_> = outcomes
            .iter()
            .filter_map(|outcome| {
                let refusal = outcome.result.as_ref().err()?;
                Some(format!(
                    "{} '{}': {}",
                    outcome.kind, outcome.name, refusal.message
                ))
            })
            .collect();
        if failed.is_empty() {
            Ok(())
        } else {
            bail!("{}", failed.join("\n"))
        }
    }
}

/// `?, did you mean …`: the known name that is nearest to an unknown one.
fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters, at most three: further away it is another name, unless it begins the same.
    let most = name.chars().count().div_ceil(3).clamp(1, 3);
    let distance = |known: &str| {
        let is_start = name.len() >= 3 && known.starts_with(name);
        let distance = strsim::damerau_levenshtein(name, known);
        (is_start || distance <= most).then_some((!is_start, distance))
    };
    let near = known
        .into_iter()
        .filter_map(|known| Some((distance(known)?, known)));
    near.min().map(|(_, known)| known)
}

/// A suggestion as the end of a sentence; empty when nothing is near.
pub(crate) fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |known| format!("; did you mean '{known}'?"))
}

/// Asks on a terminal; without one the answer is yes.
pub(crate) fn confirm(question: &str, yes: bool) -> anyhow::Result<()> {
    if yes || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(());
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => bail!("nothing was changed; --yes does not ask"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn rows() -> Vec<Vec<String>> {
        let rows = [
            ["orders", "3", "RUNNING", "a long explanation of what goes on"],
            ["a.longer.name", "-", "FAILED", ""],
        ];
        rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect()
    }

    #[test]
    fn tables_fit_the_terminal() {
        let header = ["NAME", "COUNT", "STATE", "TRACE"];
        expect![[r"
            NAME           COUNT  STATE    TRACE
            orders             3  RUNNING  a long explanation of what goes on
            a.longer.name      -  FAILED
        "]]
        .assert_eq(&table(&header, &rows(), None));
        let narrow = table(&header, &rows(), Some(50));
        assert!(narrow.lines().all(|line| line.chars().count() <= 50), "{narrow}");
    }

    #[test]
    fn colours_take_no_place() {
        let output = Output {
            json: false,
            colours: true,
            width: None,
        };
        let plain = table(&["NAME", "COUNT", "STATE", "TRACE"], &rows(), None);
        let coloured = output.colour(plain.clone());
        assert!(coloured.contains("\x1b[32mRUNNING\x1b[0m  a long"), "{coloured}");
        assert!(coloured.starts_with("\x1b[1mNAME"), "{coloured}");
        let mut stripped = coloured;
        for code in [BOLD, RED, GREEN, YELLOW, PLAIN] {
            stripped = stripped.replace(code, "");
        }
        assert_eq!(stripped, plain);
        assert_eq!(output.colour("is-RUNNING on\n".to_owned()), "is-RUNNING on\n");
    }

    #[test]
    fn near_names() {
        let known = ["orders", "payments", "x"];
        assert_eq!(nearest("order", known), Some("orders"));
        assert_eq!(nearest("oders", known), Some("orders"));
        assert_eq!(nearest("pay", known), Some("payments"));
        assert_eq!(nearest("oderss", known), Some("orders"));
        assert_eq!(nearest("invoices", known), None);
        assert_eq!(suggestion("paymnets", known), "; did you mean 'payments'?");
    }

    #[test]
    fn what_failed_makes_the_command_fail() {
        let output = Output {
            json: false,
            colours: false,
            width: None,
        };
        let outcome = |result| Outcome {
            kind: "topic",
            name: "a".to_owned(),
            result,
        };
        assert!(output.outcomes(&[outcome(Ok("created".to_owned()))]).is_ok());
        let exists = Refusal::from_code(36, None).unwrap();
        let error = output.outcomes(&[outcome(Err(exists))]).unwrap_err();
        assert_eq!(error.to_string(), "topic 'a': already exists");
    }
}
