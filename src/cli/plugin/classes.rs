//! Opens a package the way a worker does, with nothing else on `plugin.path`.

use std::path::Path;

use jackfield_plugin::{NativePolicy, PluginConfig, Plugins, Policy, Variables};

/// The classes of one package. Native code may be loaded: whoever calls decides whether it is.
pub(super) fn open(package: &Path, cache: &Path) -> Plugins {
    Plugins::discover(PluginConfig {
        plugin_path: vec![package.to_owned()],
        cache_dir: cache.to_owned(),
        wasm_directories: Vec::new(),
        native: NativePolicy {
            own_directories: Vec::new(),
            allow: vec!["*".to_owned()],
        },
        policy: Policy::default(),
        environment: Variables::default(),
    })
}

/// Why the package cannot be used; nothing when it can.
pub(super) fn reason(plugins: &Plugins) -> Option<String> {
    let reasons: Vec<_> = plugins.bad().into_iter().map(|bad| bad.reason).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}
