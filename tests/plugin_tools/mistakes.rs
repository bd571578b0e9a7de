//! What authors do wrong, and what they are told.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::{Author, failure};

#[test]
fn names_and_places_of_projects() {
    let author = Author::new("names");
    for (line, wanted) in [
        ("plugin new Acme --kind source", "name 'Acme': lower case letters"),
        ("plugin new jackfield-x --kind sink", "kept for shipped packages"),
        (
            "plugin new loop --kind sink",
            "a word of the programming language",
        ),
        (
            "plugin new x --kind converter",
            "[possible values: source, sink, transform]",
        ),
    ] {
        let (code, said) = author.fail(line);
        assert!(code == 2 && said.contains(wanted), "{line}: {code} {said}");
    }
    author.run("plugin new here --kind source");
    let lib = fs::read_to_string(author.join("here/src/lib.rs")).unwrap();
    assert!(lib.contains("struct Here") && !lib.contains('@'), "{lib}");
    let (code, said) = author.fail("plugin new here --kind source");
    assert!(code == 1 && said.contains("here is there already"), "{said}");
    let (code, said) = author.fail("plugin build nowhere");
    assert!(code == 2 && said.contains("it has no plugin.toml"), "{said}");
    author.edit("here/plugin.toml", "version = \"0.1.0\"", "version = \"0.2.0\"");
    let (_, said) = author.fail("plugin build here");
    assert!(
        said.contains("the version is 0.2.0 in plugin.toml and 0.1.0 in Cargo.toml"),
        "{said}"
    );
    author.edit("here/plugin.toml", "schema = 1", "schema = 9");
    let (_, said) = author.fail("plugin check here");
    assert!(
        said.contains("schema 9 of plugin.toml is not supported"),
        "{said}"
    );
}

/// A directory with programs that stand in for the installed ones; nothing else is found.
fn tools(author: &Author, tools: &[(&str, &str)]) -> String {
    let directory = author.join("bin");
    fs::create_dir_all(&directory).unwrap();
    for (name, script) in tools {
        let path = directory.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    directory.display().to_string()
}

#[test]
fn tools_that_are_not_installed() {
    let author = Author::new("tools");
    author.run("plugin new here --kind source");
    let build = |path: &str| {
        let output = author.jackfield("plugin build here").env("PATH", path).output();
        failure(output.unwrap())
    };
    let (code, said) = build(&tools(&author, &[]));
    assert!(
        code == 1 && said.contains("install Rust from https://rustup.rs"),
        "{said}"
    );
    // Rust without its target, and nobody to fetch it.
    let path = tools(&author, &[("rustc", "echo /nowhere/lib"), ("cargo", "exit 0")]);
    let (_, said) = build(&path);
    assert!(
        said.contains("Rust's target wasm32-wasip2 is missing, and rustup cannot be started")
            && said.contains("install it with 'rustup target add wasm32-wasip2'"),
        "{said}"
    );
    // It is fetched where that can be done.
    let asked = author.join("asked");
    let rustup = format!("echo $@ > {}; exit 7", asked.display());
    let (_, said) = build(&tools(&author, &[("rustup", &rustup)]));
    assert!(said.contains("rustup ended with exit status: 7"), "{said}");
    assert_eq!(fs::read_to_string(asked).unwrap(), "target add wasm32-wasip2\n");
}

#[test]
fn an_sdk_of_another_program() {
    let author = Author::new("sdk");
    author.run("plugin new here --kind source");
    let version = author.join("here/sdk/VERSION");
    let here = fs::read_to_string(&version).unwrap();
    fs::write(&version, here.replace("jackfield 0.", "jackfield 0.0.0.")).unwrap();
    // Nothing is compiled to find it out.
    let path = tools(&author, &[]);
    let output = author.jackfield("plugin build here").env("PATH", &path).output();
    let (_, said) = failure(output.unwrap());
    assert!(said.contains("warning: sdk/ is older, 0.0.0."), "{said}");
    assert!(
        said.contains(&format!("this program, {}", env!("CARGO_PKG_VERSION"))),
        "{said}"
    );
    assert!(
        said.contains("`jackfield plugin build --update-sdk` replaces it"),
        "{said}"
    );
    let output = author
        .jackfield("plugin build here --update-sdk")
        .env("PATH", &path)
        .output();
    let (_, said) = failure(output.unwrap());
    assert!(!said.contains("warning"), "{said}");
    assert_eq!(fs::read_to_string(&version).unwrap(), here);
}
