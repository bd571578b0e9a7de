//! The C header says what `abi.rs` says: it is written from there, and C sees the same sizes and offsets as Rust.
//!
//! `UPDATE_EXPECT=1 cargo test -p jackfield-api header` writes `include/jackfield_plugin.h` anew.

use std::{
    collections::HashMap,
    fmt::Write as _,
    mem::{offset_of, size_of},
    path::Path,
    process::Command,
};

use expect_test::expect_file;

use crate::abi::{
    self, Buf, ClassDesc, ConnectorVTable, Error, HostVTable, HttpRequest, HttpResponse, KeyValue,
    PluginDesc, PollLimits, PollResult, Position, SinkVTable, Slice, SourceVTable, TaskContext,
    TopicPartition, TransformVTable,
};

/// Where the contract is written, in the order of the header.
const SOURCES: [(&str, &str); 4] = [
    ("abi.rs", include_str!("abi.rs")),
    ("abi/classes.rs", include_str!("abi/classes.rs")),
    ("abi/tasks.rs", include_str!("abi/tasks.rs")),
    ("abi/host.rs", include_str!("abi/host.rs")),
];

const TRAILER: &str = r#"
#if defined(__GNUC__)
#define JF_EXPORT __attribute__((visibility("default")))
#else
#define JF_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What a plugin library defines and exports: see `jf_entry_fn`.
 */
JF_EXPORT const jf_plugin_desc *jf_plugin_entry(uint16_t host_abi_major, const jf_host_vtable *host);

#ifdef __cplusplus
}
#endif

#endif /* JACKFIELD_PLUGIN_H */"#;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `HostVTable` is `jf_host_vtable`.
fn type_in_c(name: &str) -> String {
    let mut found = "jf".to_owned();
    for letter in name.replace("VTable", "Vtable").chars() {
        if letter.is_ascii_uppercase() {
            found.push('_');
        }
        found.push(letter.to_ascii_lowercase());
    }
    found
}

/// Every public type and constant of the sources, in their order, with its name in C.
fn declared() -> Vec<(String, String)> {
    let mut names = Vec::new();
    for line in SOURCES.iter().flat_map(|(_, text)| text.lines()) {
        let declared = |keyword: &str| {
            let rest = line.strip_prefix(keyword)?;
            let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')?;
            Some(rest[..end].to_owned())
        };
        if let Some(name) = declared("pub struct ").or_else(|| declared("pub type ")) {
            names.push((name.clone(), type_in_c(&name)));
        } else if let Some(name) = declared("pub const ") {
            names.push((name.clone(), format!("JF_{name}")));
        }
    }
    names
}

fn names() -> HashMap<String, String> {
    declared().into_iter().collect()
}

/// Links of Rust's documentation as a C programmer reads them: ``[`Error::kind`]`` is `jf_error.kind`.
fn links_in_c(text: &str, names: &HashMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("[`") {
        let (before, link) = rest.split_at(start);
        out.push_str(before);
        let end = link.find("`]").expect("a link that is opened is closed");
        let shown = &link[2..end];
        rest = &link[end + 2..];
        if let Some(target) = rest.strip_prefix('(') {
            rest = &target[target.find(')').expect("a target that is opened is closed") + 1..];
        }
        let parts: Vec<_> = shown
            .split("::")
            .map(|part| names.get(part).map_or(part, String::as_str))
            .collect();
        write!(out, "`{}`", parts.join(".")).unwrap();
    }
    out + rest
}

/// The rules of the boundary, from the head of `abi.rs`.
fn rules(names: &HashMap<String, String>) -> String {
    let (_, abi) = SOURCES[0];
    let head: Vec<_> = abi.lines().map_while(|line| line.strip_prefix("//!")).collect();
    let text = head.join("\n *");
    let own = text
        .find("\n *\n * This file must not know")
        .expect("the head's last part");
    let first = text
        .find("\n * A plugin library exports")
        .expect("the head's first part");
    links_in_c(&text[first..own], names)
}

fn header() -> String {
    let names = names();
    let head = format!(
        "/*\n * Jackfield plugin ABI {}.{}, of Jackfield {}.\n *\n \
         * Written from the Rust sources of the ABI; not to be edited. `jackfield_batch.h` beside it builds and reads record\n \
         * batches.\n *{}\n */",
        abi::ABI_MAJOR,
        abi::ABI_MINOR,
        env!("CARGO_PKG_VERSION"),
        rules(&names)
    );
    // Descriptors and tables know each other.
    let mut structs: Vec<_> = names
        .values()
        .filter(|name| name.starts_with("jf_") && *name != "jf_entry_fn")
        .collect();
    structs.sort_unstable();
    let forward: String = structs
        .iter()
        .map(|name| format!("\ntypedef struct {name} {name};"))
        .collect();
    let mut builder = cbindgen::Builder::new();
    for (file, _) in SOURCES {
        builder = builder.with_src(root().join(file));
    }
    let mut config = cbindgen::Config {
        language: cbindgen::Language::C,
        cpp_compat: true,
        header: Some(format!(
            "{head}\n\n#ifndef JACKFIELD_PLUGIN_H\n#define JACKFIELD_PLUGIN_H"
        )),
        trailer: Some(TRAILER.to_owned()),
        usize_is_size_t: true,
        no_includes: true,
        sys_includes: ["stdbool.h", "stddef.h", "stdint.h"].map(str::to_owned).to_vec(),
        after_includes: Some(forward),
        style: cbindgen::Style::Both,
        tab_width: 4,
        line_length: 120,
        documentation_style: cbindgen::DocumentationStyle::Doxy,
        ..cbindgen::Config::default()
    };
    config.export.rename = names.clone();
    config.export.include = declared().into_iter().map(|(name, _)| name).collect();
    let bindings = builder
        .with_config(config)
        .generate()
        .expect("the sources of the ABI are plain");
    let mut written = Vec::new();
    bindings.write(&mut written);
    let written = links_in_c(&String::from_utf8(written).unwrap(), &names);
    // Every struct has a name without `struct`, too.
    let plain = |line: &str| match line.starts_with("typedef struct") {
        true => line.to_owned(),
        false => line.replace("struct jf_", "jf_"),
    };
    written.lines().map(|line| plain(line) + "\n").collect()
}

#[test]
fn the_header_is_written_from_the_abi() {
    expect_file![root().join("include/jackfield_plugin.h")].assert_eq(&header());
}

/// Runs the C or C++ compiler over a program that includes headers of `include/`.
pub(crate) fn compile(program: &str, language: &str, arguments: &[&str], out: &Path) {
    let source = out.with_extension("c");
    std::fs::write(&source, program).unwrap();
    let mut compiler = Command::new(if language.starts_with("c++") { "c++" } else { "cc" });
    compiler
        .arg(format!("-std={language}"))
        .args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-I"])
        .arg(root().join("include"))
        .args(arguments)
        .args(["-x", if language.starts_with("c++") { "c++" } else { "c" }])
        .arg(&source)
        .arg("-o")
        .arg(out);
    let output = compiler.output().unwrap();
    assert!(
        output.status.success(),
        "{compiler:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What the program prints.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {:?} {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn each_header_compiles_alone_as_c_and_as_cpp() {
    let directory = tempfile::tempdir().unwrap();
    let object = directory.path().join("header.o");
    for header in ["jackfield_plugin.h", "jackfield_batch.h"] {
        for language in ["c11", "c++17"] {
            compile(&format!("#include \"{header}\"\n"), language, &["-c"], &object);
        }
    }
    let implementation = "#define JF_BATCH_IMPLEMENTATION\n#include \"jackfield_batch.h\"\n";
    compile(
        implementation,
        "c11",
        &["-c", "-O2", "-Wconversion", "-Wshadow"],
        &object,
    );
}

/// Sizes of types and offsets of their members, as a C program would print them.
fn layout() -> Vec<(String, usize)> {
    let mut found = Vec::new();
    macro_rules! layout {
        ($($type:ident: $($member:ident)*;)*) => {$(
            let name = type_in_c(stringify!($type));
            found.push((format!("sizeof({name})"), size_of::<$type>()));
            $(
                let offset = format!("offsetof({name}, {})", stringify!($member));
                found.push((offset, offset_of!($type, $member)));
            )*
        )*};
    }
    layout! {
        Slice: ptr len;
        KeyValue: key value;
        Buf: ptr len cap free;
        Error: kind reserved message;
        PollLimits: max_records max_bytes;
        PollResult: state reserved idle_ms batch;
        Position: topic offset metadata partition reserved;
        TopicPartition: topic partition reserved;
        HttpRequest: struct_size timeout_ms method url headers header_count body;
        HttpResponse: status reserved headers body;
        TaskContext: struct_size task_id connector host;
        PluginDesc: magic abi_major abi_minor struct_size features batch_major_min batch_major_max class_count classes
            built_with;
        ClassDesc: struct_size kind reserved name version aliases alias_count connector source sink transform user_data;
        ConnectorVTable: struct_size reserved config_def validate task_configs alter_offsets;
        SourceVTable: struct_size reserved start poll committed stop;
        SinkVTable: struct_size reserved start open put pre_commit close stop;
        TransformVTable: struct_size reserved start apply stop;
        HostVTable: struct_size reserved log_max_level log stored_offset watch_path wake retain release report_lag
            group_positions report_state request_task_reconfiguration transaction_boundary pause resume seek
            request_commit metric http_begin http_take http_fetch;
    }
    found
}

#[test]
fn c_sees_the_same_layout_and_constants_as_rust() {
    let layout = layout();
    for name in names()
        .values()
        .filter(|name| name.starts_with("jf_") && *name != "jf_entry_fn")
    {
        let known = format!("sizeof({name})");
        assert!(
            layout.iter().any(|(what, _)| *what == known),
            "{name} is not compared"
        );
    }
    let mut program = "#include <jackfield_plugin.h>\n#include <string.h>\n".to_owned();
    for (what, value) in &layout {
        writeln!(program, "_Static_assert({what} == {value}, \"{what}\");").unwrap();
    }
    let (magic, major, minor) = (abi::MAGIC, abi::ABI_MAJOR, abi::ABI_MINOR);
    writeln!(
        program,
        "_Static_assert(JF_MAGIC == UINT64_C({magic}) && JF_ABI_MAJOR == {major} && JF_ABI_MINOR == {minor}, \"versions\");
         int main(void) {{ uint64_t magic = JF_MAGIC; return memcmp(&magic, \"JFPLUGIN\", 8); }}"
    )
    .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let binary = directory.path().join("layout");
    compile(&program, "c11", &[], &binary);
    run(&mut Command::new(binary));
}
