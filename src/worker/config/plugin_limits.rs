//! What plugins may use up, as the worker's properties say it.

use std::time::Duration;

use jackfield_plugin::PluginLimits;

use super::WorkerConfig;

impl WorkerConfig {
    /// `plugin.call.timeout.ms`, `plugin.wasm.compute.timeout.ms` and `plugin.wasm.memory.bytes`.
    pub fn plugin_limits(&self) -> PluginLimits {
        // Checked when the properties were read; what is not set has no text.
        let number = |key| self.text(key).trim().parse::<u64>().ok();
        PluginLimits {
            call: number("plugin.call.timeout.ms").map(Duration::from_millis),
            compute: number("plugin.wasm.compute.timeout.ms").map(Duration::from_millis),
            memory_bytes: number("plugin.wasm.memory.bytes").and_then(|bytes| usize::try_from(bytes).ok()),
        }
    }
}
