//! Where plugins are looked for when `plugin.path` says nothing, and which of these places are the program's own.

use std::path::{Path, PathBuf};

const NAME: &str = "plugins";
/// The program's directory, and those above it that an installation (`bin/jackfield`) and a checkout
/// (`target/release/jackfield`) have.
const LEVELS: usize = 3;

/// `plugins` in the working directory, and the program's own.
pub(crate) fn default() -> Vec<PathBuf> {
    let here = std::env::current_dir().ok().map(|directory| directory.join(NAME));
    let mut roots: Vec<_> = here.into_iter().filter(|root| root.is_dir()).collect();
    for root in own() {
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    roots
}

/// Directories that came with the program, whose shipped packages may run as native code.
pub(crate) fn own() -> Vec<PathBuf> {
    std::env::current_exe()
        .map(|program| beside(&program))
        .unwrap_or_default()
}

fn beside(program: &Path) -> Vec<PathBuf> {
    let directories = program.ancestors().skip(1).take(LEVELS);
    directories
        .map(|directory| directory.join(NAME))
        .filter(|root| root.is_dir())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_and_in_a_checkout() {
        let root = tempfile::tempdir().unwrap();
        let plugins = root.path().join("plugins");
        std::fs::create_dir_all(&plugins).unwrap();
        std::fs::create_dir_all(root.path().join("target/release/deep")).unwrap();
        let found = |program: &str| beside(&root.path().join(program));
        assert_eq!(found("target/release/jackfield"), std::slice::from_ref(&plugins));
        assert_eq!(found("bin/jackfield"), [plugins]);
        assert!(found("target/release/deep/jackfield").is_empty());
    }
}
