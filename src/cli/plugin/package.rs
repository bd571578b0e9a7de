//! `jackfield plugin package`: one archive of a package.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, anyhow, bail};
use jackfield_plugin::manifest::{MANIFEST_FILE, Manifest, Sha256};
use serde_json::json;

use super::{archive, build::Wish, project::full_name, stamp, target};
use crate::{
    arguments::{BuildOptions, PackageArguments},
    configuration::Environment,
    exit::Usage,
    output::Output,
    progress,
};

/// Builds, packs and says how it is installed.
pub(super) async fn run(arguments: &PackageArguments, environment: &Environment) -> anyhow::Result<()> {
    if arguments.directory.is_file() {
        bail!(Usage(format!(
            "{} is a file; a project or a package, which are directories, is wanted",
            arguments.directory.display()
        )));
    }
    let options = BuildOptions {
        form: arguments.form.clone(),
        dev: false,
    };
    let wish = Wish::of(&options, arguments.output.json);
    let package = target::package(&arguments.directory, &wish).await?.directory;
    let file = package.join(MANIFEST_FILE);
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let manifest = Manifest::parse(&text).map_err(|reason| anyhow!("{}: {reason}", file.display()))?;
    let name = full_name(&manifest);
    let content = archive::pack(&package, &manifest, &name)?;
    let archive = arguments
        .archive
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{name}.tar.gz")));
    let target = std::path::absolute(&archive)?;
    stamp::replace(&target, &content)?;
    let digest = Sha256::of(&content);
    let document = json!({
        "archive": target,
        "name": manifest.package.name,
        "version": manifest.package.version,
        "bytes": content.len(),
        "sha256": digest.to_string(),
    });
    Output::new(arguments.output, environment).print(&document, || {
        format!(
            "{}  {}\nsha256  {digest}\ninstall  tar -xzf {} -C PLUGIN.PATH\n",
            archive.display(),
            progress::bytes(content.len() as u64),
            archive.display()
        )
    })
}
