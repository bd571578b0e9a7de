//! `docs/commands.md` says what the commands say themselves; `UPDATE_EXPECT=1 cargo test -p jackfield-cli` writes it anew.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};
use expect_test::expect_file;

use crate::arguments::Arguments;

const HEAD: &str = "\
# Commands

Written from `jackfield COMMAND --help` by the tests of `src/cli`.

Every command that talks to a broker works with any Kafka broker, every command of `connectors` with any Connect worker.

- Where to ask: `--bootstrap-server`, else `bootstrap.servers` in the file of `--command-config`, else
  `JACKFIELD_BOOTSTRAP_SERVERS`, else `127.0.0.1:9092`. `--url`, else `JACKFIELD_CONNECT_URL`, else `http://127.0.0.1:8083`.
- `--json`: documents whose fields stay as they are; new ones may come. What was changed is an array with an object for each
  thing: `{\"topic\": \"orders\", \"result\": \"created\"}`, or `{\"topic\": \"orders\", \"error\": {\"code\":
  \"TOPIC_ALREADY_EXISTS\", \"message\": \"already exists\"}}`.
- Tables fit the terminal; into a pipe or a file nothing is broken into lines. Colours are for terminals only, and `NO_COLOR`
  turns them off.
- Commands that delete ask on a terminal, unless `--yes` is given.
- Exit codes: 0 when all is well; 1 when something failed, also when only one of several things did; 2 for a wrong command
  line or a file that cannot be read; 3 when a connector given to `standalone` cannot be started. `produce` ends with 0 only
  when every record was acknowledged; `consume`, `standalone`, `broker`, and `produce` from standard input also end with 0
  after Ctrl-C and SIGTERM.
";

fn option(arg: &Arg) -> String {
    let mut names = Vec::new();
    if let Some(short) = arg.get_short() {
        names.push(format!("-{short}"));
    }
    if let Some(long) = arg.get_long() {
        names.push(format!("--{long}"));
    }
    let takes_value = arg.get_action().takes_values();
    let value = arg
        .get_value_names()
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ");
    let mut text = if names.is_empty() {
        format!("`{value}`")
    } else {
        format!("`{}`", names.join("`, `"))
    };
    if !names.is_empty() && takes_value {
        text = format!("`{} {value}`", names.join("`, `"));
    }
    if let Some(help) = arg.get_help() {
        write!(text, ": {help}").unwrap();
    }
    let possible: Vec<_> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| value.get_name().to_owned())
        .collect();
    if takes_value && !possible.is_empty() {
        write!(text, " [{}]", possible.join(", ")).unwrap();
    }
    format!("- {text}\n")
}

fn section(command: &Command, path: &str, depth: usize, text: &mut String) {
    let name = format!("{path} {}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    write!(text, "\n{} {name}\n\n{about}\n", "#".repeat(depth.min(4))).unwrap();
    let aliases: Vec<_> = command
        .get_visible_aliases()
        .map(|alias| format!("`{alias}`"))
        .collect();
    if !aliases.is_empty() {
        write!(text, "\nAlso: {}\n", aliases.join(", ")).unwrap();
    }
    let shown = |arg: &&Arg| !["help", "version", "log_level"].contains(&arg.get_id().as_str());
    let options: String = command.get_arguments().filter(shown).map(option).collect();
    if !options.is_empty() {
        write!(text, "\n{options}").unwrap();
    }
    if let Some(help) = command.get_after_help() {
        write!(text, "\n```text\n{help}\n```\n").unwrap();
    }
    for inner in command.get_subcommands() {
        section(inner, &name, depth + 1, text);
    }
}

#[test]
fn the_reference_is_up_to_date() {
    let mut text = HEAD.to_owned();
    for command in Arguments::command().get_subcommands() {
        section(command, "jackfield", 2, &mut text);
    }
    expect_file!["../../docs/commands.md"].assert_eq(&text);
}
