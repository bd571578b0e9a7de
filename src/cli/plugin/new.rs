//! `jackfield plugin new`: writes a project from the embedded templates.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context as _, bail};
use include_dir::{Dir, DirEntry, include_dir};
use jackfield_plugin::manifest::check_name;

use super::{lock, project::Language, project::identifier, sdk};
use crate::{
    arguments::{KindArgument, LanguageArgument, NewArguments},
    exit::Usage,
};

/// `<language>/<kind>/` and below it the files of a project.
static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/plugin/templates");
const VERSION: &str = "0.1.0";
const MOST_LETTERS: usize = 64;
/// Names that compilers keep for themselves, or for crates of their own.
const RESERVED: [&str; 66] = [
    "abstract", "alloc", "as", "async", "auto", "await", "become", "box", "break", "case", "char", "const",
    "continue", "core", "crate", "default", "do", "double", "dyn", "else", "enum", "extern", "false",
    "final", "float", "fn", "for", "gen", "goto", "if", "impl", "in", "int", "let", "long", "loop", "macro",
    "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "register", "return", "self", "short",
    "signed", "sizeof", "static", "std", "struct", "super", "switch", "test", "trait", "true", "try", "type",
    "typedef", "union", "unsafe", "while", "yield",
];

/// Writes the project and says what to do with it.
pub(super) fn run(arguments: &NewArguments) -> anyhow::Result<()> {
    let name = arguments.name.as_str();
    check(name)?;
    let directory = arguments.directory.clone().unwrap_or_else(|| PathBuf::from(name));
    if directory.exists() {
        bail!(
            "{} is there already: choose another name, or another --directory",
            directory.display()
        );
    }
    let language = match arguments.lang {
        LanguageArgument::Rust => Language::Rust,
        LanguageArgument::C => Language::C,
    };
    let (kind, lang) = (value(&arguments.kind), value(&arguments.lang));
    let template = TEMPLATES
        .get_dir(Path::new(&lang).join(&kind))
        .with_context(|| format!("this program has no template of a {kind} in {lang}"))?;
    if let Err(error) = write(&directory, template, name, language) {
        // What is half there would be in the way of the next attempt.
        fs::remove_dir_all(&directory).ok();
        return Err(error.context(format!("cannot write the project {}", directory.display())));
    }
    let shown = directory.display();
    eprintln!("created {shown}: a {kind} in {}", spelled(arguments.lang));
    eprintln!("{}", next_steps(&shown.to_string(), arguments));
    Ok(())
}

fn next_steps(directory: &str, arguments: &NewArguments) -> String {
    let run = match arguments.kind {
        KindArgument::Source => "jackfield plugin run             builds and runs it, and prints its records",
        KindArgument::Sink => "jackfield plugin run             builds and runs it: type lines, Ctrl-D ends",
        KindArgument::Transform => {
            "jackfield plugin run             builds and runs it: type lines, Ctrl-D ends"
        }
    };
    let (test, code) = match arguments.lang {
        LanguageArgument::Rust => ("cargo test ", "src/lib.rs"),
        LanguageArgument::C => ("make test  ", "the .c file"),
    };
    format!(
        "next:\n  cd {directory}\n  {run}\n  jackfield plugin check           whether it keeps the contract\n  \
         {test}                      its own tests\nThe code is {code}, its options are in pipeline.properties."
    )
}

fn spelled(language: LanguageArgument) -> &'static str {
    match language {
        LanguageArgument::Rust => "Rust",
        LanguageArgument::C => "C",
    }
}

fn value(argument: &impl clap::ValueEnum) -> String {
    argument
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}

/// Names become names of crates, libraries, classes and directories.
fn check(name: &str) -> Result<(), Usage> {
    let wrong = |why: String| {
        Err(Usage(format!(
            "name '{name}': {why}; a name such as acme-counts is wanted"
        )))
    };
    if let Err(why) = check_name(name) {
        return wrong(why);
    }
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return wrong("it must begin with a letter".to_owned());
    }
    if name.ends_with('-') || name.contains("--") {
        return wrong("a '-' stands between two words".to_owned());
    }
    if name.len() > MOST_LETTERS {
        return wrong(format!(
            "it has {} letters, at most {MOST_LETTERS} are allowed",
            name.len()
        ));
    }
    if name == "jackfield" || name.starts_with("jackfield-") {
        return wrong("names that begin with jackfield- are kept for shipped packages".to_owned());
    }
    if RESERVED.contains(&name) {
        return wrong("it is a word of the programming language".to_owned());
    }
    Ok(())
}

/// `acme-counts` as a type is called.
fn class(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    name.split('-').map(word).collect()
}

fn write(directory: &Path, template: &Dir<'_>, name: &str, language: Language) -> anyhow::Result<()> {
    let (ident, class) = (identifier(name), class(name));
    let fill = |text: &str| {
        text.replace("@name@", name)
            .replace("@ident@", &ident)
            .replace("@class@", &class)
            .replace("@version@", VERSION)
    };
    for (path, content) in files(template) {
        let path = path.strip_prefix(template.path()).unwrap_or(path);
        let target = directory.join(real_name(&fill(&path.to_string_lossy())));
        fs::create_dir_all(target.parent().unwrap_or(directory))?;
        match std::str::from_utf8(content) {
            Ok(text) => fs::write(&target, fill(text))?,
            Err(_) => fs::write(&target, content)?,
        }
    }
    if language == Language::Rust {
        fs::write(directory.join("Cargo.lock"), lock::of_project(name, VERSION)?)?;
    }
    sdk::write(directory, language)
}

/// Files that would mean something where the templates lie are kept under other names: `Cargo.toml.in`, `gitignore`.
fn real_name(path: &str) -> PathBuf {
    let path = path.strip_suffix(".in").unwrap_or(path);
    let parts = Path::new(path).components().map(|part| match part {
        Component::Normal(name) if name == "gitignore" => ".gitignore".into(),
        other => PathBuf::from(other.as_os_str()),
    });
    parts.collect()
}

fn files<'a>(directory: &'a Dir<'a>) -> Vec<(&'a Path, &'a [u8])> {
    let mut all = Vec::new();
    for entry in directory.entries() {
        match entry {
            DirEntry::Dir(inner) => all.extend(files(inner)),
            DirEntry::File(file) => all.push((file.path(), file.contents())),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["acme-counts", "a", "x2-y", "int-to-string"] {
            assert!(check(name).is_ok(), "{name}");
        }
        for (name, why) in [
            ("", "lower case letters"),
            ("Acme", "lower case letters"),
            ("a_b", "lower case letters"),
            ("../x", "lower case letters"),
            ("2x", "begin with a letter"),
            ("a--b", "between two words"),
            ("a-", "between two words"),
            ("jackfield-x", "kept for shipped packages"),
            ("type", "a word of the programming language"),
            ("int", "a word of the programming language"),
        ] {
            let error = check(name).unwrap_err().to_string();
            assert!(
                error.contains(why) && error.starts_with(&format!("name '{name}': ")),
                "{error}"
            );
        }
        assert!(check(&"a".repeat(65)).is_err());
        assert!(RESERVED.is_sorted());
    }

    #[test]
    fn other_spellings() {
        assert_eq!(class("acme-counts-2"), "AcmeCounts2");
        assert_eq!(identifier("acme-counts"), "acme_counts");
        assert_eq!(real_name("Cargo.toml.in"), Path::new("Cargo.toml"));
        assert_eq!(real_name("gitignore"), Path::new(".gitignore"));
        assert_eq!(real_name("src/lib.rs"), Path::new("src/lib.rs"));
    }
}
