//! A component, compiled and checked against the contract.

use std::{fs, path::Path, sync::Arc};

use wasmtime::component::{Component, InstancePre};

use super::{
    WasmHost,
    bindings::{CONTRACT, exports::jackfield::plugin as exports},
    state::State,
};
use crate::{
    discover::FoundPackage,
    manifest::{Sha256, WasmArtifact},
};

/// A component ready to be instantiated.
pub(super) struct Compiled {
    pub(super) instance: InstancePre<State>,
    pub(super) connector: exports::connector::GuestIndices,
    pub(super) source: Option<exports::source_task::GuestIndices>,
    pub(super) sink: Option<exports::sink_task::GuestIndices>,
    pub(super) transform: Option<exports::transform::GuestIndices>,
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Compiled").finish_non_exhaustive()
    }
}

/// Reads, checks and compiles the component of a package. Blocks, for seconds when it is not in the cache.
pub(super) fn compile(
    host: &WasmHost,
    package: &FoundPackage,
    artifact: &WasmArtifact,
) -> Result<Arc<Compiled>, String> {
    let file = package.directory.join(&artifact.file);
    let about = |what: String| {
        let package = &package.manifest.package;
        format!(
            "plugin {} {}, file {}: {what}",
            package.name,
            package.version,
            file.display()
        )
    };
    if artifact.contract != CONTRACT {
        return Err(about(unsupported(&artifact.contract)));
    }
    let bytes = read(&file, host.limits.component_bytes).map_err(about)?;
    let found = Sha256::of(&bytes);
    if found != artifact.sha256 {
        return Err(about(format!(
            "sha256 is {found}, the manifest says {}: the file was changed, install the package again",
            artifact.sha256
        )));
    }
    let component = host.cache.compile(&host.engine, found, &bytes).map_err(about)?;
    link(host, &component).map(Arc::new).map_err(about)
}

fn read(file: &Path, max_bytes: u64) -> Result<Vec<u8>, String> {
    let unreadable = |cause| format!("cannot be read: {cause}");
    let size = fs::metadata(file).map_err(unreadable)?.len();
    if size > max_bytes {
        return Err(format!(
            "{size} bytes, components of at most {max_bytes} are loaded"
        ));
    }
    fs::read(file).map_err(unreadable)
}

fn unsupported(found: &str) -> String {
    format!(
        "built for {found}, this program supports {CONTRACT}: install a package built for it, or use the program \
         version the package was built for"
    )
}

/// Finds the exports of the contract, and gives the imports what they want; both by exact version.
fn link(host: &WasmHost, component: &Component) -> Result<Compiled, String> {
    let (_, version) = CONTRACT.split_once('@').expect("the contract has a version");
    let kind = component.component_type();
    let imports = kind.imports(&host.engine).map(|(name, _)| name.to_owned());
    let names = kind
        .exports(&host.engine)
        .map(|(name, _)| name.to_owned())
        .chain(imports);
    for name in names.filter(|name| name.starts_with("jackfield:plugin/")) {
        if name.split_once('@').map(|(_, found)| found) != Some(version) {
            return Err(unsupported(&name));
        }
    }
    let instance = host
        .linker
        .instantiate_pre(component)
        .map_err(|cause| format!("it wants something this program does not offer to plugins: {cause:#}"))?;
    let connector = exports::connector::GuestIndices::new(&instance)
        .map_err(|cause| format!("not a Jackfield plugin: {cause:#}"))?;
    let source = exports::source_task::GuestIndices::new(&instance).ok();
    let sink = exports::sink_task::GuestIndices::new(&instance).ok();
    let transform = exports::transform::GuestIndices::new(&instance).ok();
    Ok(Compiled {
        instance,
        connector,
        source,
        sink,
        transform,
    })
}
