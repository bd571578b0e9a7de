//! `jackfield plugin`: the tools of plugin authors.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{client::OutputOptions, consume::PrintOptions};

#[derive(Debug, Args)]
#[command(after_help = "\
From nothing to a running connector:
  jackfield plugin new acme-counts --kind source --lang rust
  cd acme-counts
  jackfield plugin run         builds it, runs it and prints its records
  jackfield plugin check       whether it keeps the contract
  jackfield plugin package     one archive to be unpacked into plugin.path

A project is a directory with a plugin.toml, and a Cargo.toml or a Makefile.
What is installed is listed by `jackfield plugins`.

Examples:
  jackfield plugin new to-lines --kind sink --lang c
  jackfield plugin build --form wasm,native
  jackfield plugin run interval.ms=10 --count 3
  jackfield plugin inspect to-lines-0.1.0.tar.gz")]
pub(crate) struct PluginArguments {
    #[command(subcommand)]
    pub(crate) action: PluginAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginAction {
    /// Write the project of a new connector or transform; it builds and passes its tests as it is
    New(NewArguments),
    /// Build a project, and put manifest and artifacts together as a package
    Build(BuildArguments),
    /// Check a package against the contract: manifest, digests, config definition, behaviour
    Check(CheckArguments),
    /// Run a project in a worker and broker of its own, and build it again whenever it changes
    Run(RunArguments),
    /// Say what a package is: versions, config keys, capabilities, digests
    Inspect(InspectArguments),
    /// Make one archive of a package, to be unpacked into plugin.path
    Package(PackageArguments),
}

/// `--kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindArgument {
    /// Brings records into topics
    Source,
    /// Takes records out of topics
    Sink,
    /// Changes records on their way
    Transform,
}

/// `--lang`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LanguageArgument {
    /// A WASM component, or a native library
    Rust,
    /// A native library
    C,
}

/// `--form`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum FormArgument {
    /// A sandboxed component that runs on every machine
    Wasm,
    /// A library for this machine
    Native,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The SDK is written into the project, so that it needs nothing but the Rust crate
registry, or a C compiler and make.

Examples:
  jackfield plugin new acme-counts --kind source --lang rust
  jackfield plugin new to-lines --kind sink --lang c --directory plugins/lines")]
pub(crate) struct NewArguments {
    /// Name of the package: lower case letters, digits and '-'
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// What it is to be
    #[arg(long, value_enum)]
    pub(crate) kind: KindArgument,
    /// The language
    #[arg(long, alias = "language", value_enum, default_value_t = LanguageArgument::Rust)]
    pub(crate) lang: LanguageArgument,
    /// Where to write it [default: a directory of that name]
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

/// How a project is built.
#[derive(Debug, Clone, Args)]
pub(crate) struct BuildOptions {
    /// Forms to build [default: those of the last build, else wasm for Rust and native for C]
    #[arg(long, value_enum, value_name = "FORM,...", value_delimiter = ',')]
    pub(crate) form: Vec<FormArgument>,
    /// Build without optimizations, which takes less time
    #[arg(long)]
    pub(crate) dev: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The package is written to target/package/NAME-VERSION (C: build/package/...).
Files are replaced at once and only when they change: a worker may be running it.

Examples:
  jackfield plugin build
  jackfield plugin build acme-counts --form wasm,native
  jackfield plugin build --update-sdk
        writes the SDK of this program into the project first")]
pub(crate) struct BuildArguments {
    /// The project
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    pub(crate) options: BuildOptions,
    /// Replace the SDK in the project by that of this program
    #[arg(long)]
    pub(crate) update_sdk: bool,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A project is built first. Its conformance.toml says which configs the classes are
to be run with; classes that are not in it are only loaded.

Exit codes: 0 when nothing failed, else 1.

Examples:
  jackfield plugin check
  jackfield plugin check plugins/jackfield-file-0.1.0 --form wasm
  jackfield plugin check --json")]
pub(crate) struct CheckArguments {
    /// A project, a package, or an archive
    #[arg(value_name = "DIR|PACKAGE|ARCHIVE", default_value = ".")]
    pub(crate) path: PathBuf,
    /// Only this form
    #[arg(long, value_enum)]
    pub(crate) form: Option<FormArgument>,
    /// Only this class
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: Option<String>,
    /// What to run the classes with [default: conformance.toml of the project]
    #[arg(long, value_name = "FILE")]
    pub(crate) conformance: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The config is that of --config, else of the project's pipeline.properties; pairs
on the command line win. What it does not say is added: name, connector.class,
tasks.max=1, String converters, and topic or topics, named like the package.

A source's records are printed. A sink is fed the lines of --input, else of
standard input, through its topic, and what it committed is shown; a transform is
fed the same way, and what comes out is printed. A file is followed as it grows.

The plugin is granted what its plugin.toml asks for; of directories the working
directory, the project, and those named by its config. Everything is kept in a
temporary directory, and gone at the end. Ports are free ones unless given.

Exit codes: 0 after --count records, at the end of standard input and after
Ctrl-C; 1 when the task fails, or the first build.

Examples:
  jackfield plugin run
  jackfield plugin run acme-counts interval.ms=10 --count 3 --json
  printf 'one\\ntwo\\n' | jackfield plugin run to-lines file=out.txt
  jackfield plugin run upper --input lines.txt")]
pub(crate) struct RunArguments {
    /// The project [default: the working directory], and keys of the connector's config
    #[arg(value_name = "DIR|KEY=VALUE")]
    pub(crate) words: Vec<String>,
    /// The connector's config: properties, or JSON as Kafka Connect takes it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Lines for a sink or a transform; `-` is standard input
    #[arg(long, value_name = "FILE|-")]
    pub(crate) input: Option<PathBuf>,
    /// End after this many records were printed, or committed by the sink
    #[arg(long, short = 'n', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Do not follow the project, nor the input beyond its end: when all of it went through, that is all
    #[arg(long)]
    pub(crate) once: bool,
    /// The form to build and to run
    #[arg(long, value_enum)]
    pub(crate) form: Option<FormArgument>,
    /// Build without optimizations, which takes less time
    #[arg(long)]
    pub(crate) dev: bool,
    /// The class to run, when the package has several
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: Option<String>,
    /// Port of the broker
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub(crate) broker_port: u16,
    /// Port of the REST API
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub(crate) rest_port: u16,
    #[command(flatten)]
    pub(crate) print: PrintOptions,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Config keys are asked of the WASM form, in its sandbox. Native code is run only
when it is the project's own, or with --run-native.

Examples:
  jackfield plugin inspect
  jackfield plugin inspect acme-counts-0.1.0.tar.gz --json
  jackfield plugin inspect plugins/jackfield-file-0.1.0")]
pub(crate) struct InspectArguments {
    /// A project, a package, or an archive
    #[arg(value_name = "DIR|PACKAGE|ARCHIVE", default_value = ".")]
    pub(crate) path: PathBuf,
    /// Load native code to ask it for its config keys: it may do what you may
    #[arg(long)]
    pub(crate) run_native: bool,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A project is built first. The same files make the same archive, byte for byte.

Examples:
  jackfield plugin package
  jackfield plugin package acme-counts -o /tmp/acme-counts.tar.gz
  tar -xzf acme-counts-0.1.0.tar.gz -C plugins")]
pub(crate) struct PackageArguments {
    /// A project or a package
    #[arg(value_name = "DIR|PACKAGE", default_value = ".")]
    pub(crate) directory: PathBuf,
    /// The archive [default: NAME-VERSION.tar.gz]
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(crate) archive: Option<PathBuf>,
    /// Forms to build [default: those of the last build, else wasm for Rust and native for C]
    #[arg(long, value_enum, value_name = "FORM,...", value_delimiter = ',')]
    pub(crate) form: Vec<FormArgument>,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}
