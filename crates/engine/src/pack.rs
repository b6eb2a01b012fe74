//! Packing: an image archive made of a module, without a container engine.
//!
//! The archive is one tar that is an OCI image layout (for `ctr image import`, and for Docker with
//! containerd's image store) and, where the image is one that Docker's own store can hold, a Docker
//! archive too. The same input always gives the same bytes.

mod archive;
mod document;
mod layer;
mod reference;

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};

use crate::module::{Limits, Module, split_entrypoint};
use archive::Archive;
use document::{Blob, Image, Platform};
use layer::Layer;
use reference::Reference;

/// Where the module lies in an image unless the entrypoint says otherwise.
const DEFAULT_ENTRYPOINT: &str = "/app.wasm";

/// Make an image archive of a WebAssembly module
///
/// The archive goes to `ctr image import`, `docker load` or any tool that reads an OCI layout. The same
/// input always makes the same bytes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  An image that every tool takes:
    wasmedge-engine pack app.wasm -t hello:1 -o hello.tar
    ctr image import hello.tar      (or: docker load -i hello.tar)
  The module itself as the image's layer:
    wasmedge-engine pack app.wasm --layer -t hello:1 -o - | ctr image import --platform wasip1/wasm -
  With files beside the module:
    wasmedge-engine pack app.wasm --add site/:/srv --env ROOT=/srv -t web:1 -o web.tar
  Without a module, for a native side container:
    wasmedge-engine pack --add busybox:/bin/sh --entrypoint /bin/sh -t sh:1 -o sh.tar")]
pub struct Pack {
    /// The module, binary or text (.wat)
    module: Option<PathBuf>,

    /// Name of the image; can be given several times
    #[arg(short, long = "tag", value_name = "NAME[:TAG]", required = true)]
    tags: Vec<Reference>,

    /// The archive to write; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    form: Form,

    /// Platform that the image says it is for [default: this machine's for a classic image, else wasip1/wasm]
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,

    /// Media type of the layer that is the module
    #[arg(long, value_enum, value_name = "TYPE")]
    media_type: Option<MediaType>,

    #[command(flatten)]
    settings: Settings,

    /// A file or directory to put into the image, mode bits and symbolic links as they are; can be given several times
    #[arg(long, value_name = "SOURCE:DESTINATION", value_parser = addition)]
    add: Vec<(PathBuf, PathBuf)>,

    /// Pack the module without looking at it
    #[arg(long)]
    no_check: bool,
}

/// How a container of the image is started, unless its user says otherwise.
#[derive(Debug, Default, Clone, PartialEq, Eq, Args)]
struct Settings {
    /// What runs: the module's path in the image, with `#function` to call another export than _start
    ///
    /// Given again, it adds arguments that the entrypoint always gets. [default: /app.wasm]
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    entrypoint: Vec<String>,

    /// Default argument; can be given several times
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    cmd: Vec<String>,

    /// Environment variable; can be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = environment)]
    env: Vec<String>,

    /// Working directory
    #[arg(long, value_name = "DIR")]
    workdir: Option<String>,

    /// User, by name or number
    #[arg(long, value_name = "USER[:GROUP]")]
    user: Option<String>,
}

/// What the image is made of.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Form {
    /// A root filesystem that holds the module (default): every tool takes it
    #[arg(long)]
    classic: bool,
    /// The module itself as a layer, beside an ordinary image configuration
    #[arg(long)]
    layer: bool,
    /// A CNCF Wasm artifact: the module and a configuration without entrypoint or environment
    #[arg(long)]
    artifact: bool,
}

/// The media types that the shim takes for a layer that is a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MediaType {
    /// runwasi's, the default for --layer
    #[value(name = "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm")]
    Runwasi,
    /// The default for --artifact
    #[value(name = "application/wasm")]
    Wasm,
    /// Older tools'
    #[value(name = "application/vnd.wasm.content.layer.v1+wasm")]
    Content,
}

impl Pack {
    /// Writes the archive and says on standard error what it holds.
    ///
    /// # Errors
    /// When the module cannot run, a file cannot be read, or the archive cannot be written.
    pub fn run(self) -> anyhow::Result<()> {
        ensure!(
            self.output != Path::new("-") || !io::stdout().is_terminal(),
            "the archive is not text: redirect standard output, or name a file with --output"
        );
        for input in self.module.iter().chain(self.add.iter().map(|(source, _)| source)) {
            let same = is_same_file(input, &self.output);
            ensure!(!same, "--output {} is the file that is to be packed", self.output.display());
        }
        let module = self.module.as_deref().map(|path| self.read_module(path)).transpose()?;
        let image = if self.form.layer || self.form.artifact {
            self.module_image(module)?
        } else {
            self.classic_image(module)?
        };
        let archive = Archive::new(&image, &self.tags);
        self.write(&archive).with_context(|| format!("{}", self.output.display()))?;
        let names: Vec<_> = self.tags.iter().map(ToString::to_string).collect();
        eprintln!("{} for {}, {}", names.join(", "), image.platform, archive.manifest_digest());
        if image.platform != Platform::native() {
            // Without it, ctr says no more than "image might be filtered out".
            eprintln!("ctr and docker need --platform {} with it", image.platform);
        }
        Ok(())
    }

    fn read_module(&self, path: &Path) -> anyhow::Result<Vec<u8>> {
        let name = path.display();
        let limits = Limits::default();
        let bytes = fs::read(path).with_context(|| format!("{name}"))?;
        if self.no_check {
            return Ok(bytes);
        }
        let function = self.settings.entrypoint.first().and_then(|entrypoint| split_entrypoint(entrypoint).1);
        let module = Module::parse(bytes.as_slice(), limits).with_context(|| format!("{name}"))?;
        module.entry(function).with_context(|| format!("{name}"))?;
        Ok(bytes)
    }

    /// An image whose root filesystem holds the module and what is added.
    fn classic_image(&self, module: Option<Vec<u8>>) -> anyhow::Result<Image> {
        ensure!(self.media_type.is_none(), "--media-type is for --layer and --artifact");
        ensure!(
            module.is_some() || !self.add.is_empty(),
            "there is nothing to pack: name a module, or add files with --add"
        );
        ensure!(
            module.is_some() || !self.settings.entrypoint.is_empty(),
            "without a module, --entrypoint must say what runs"
        );
        let mut layer = self.added()?;
        if let Some(bytes) = module {
            let entrypoint = self.settings.entrypoint.first().map_or(DEFAULT_ENTRYPOINT, String::as_str);
            layer.file(Path::new(split_entrypoint(entrypoint).0), bytes)?;
        }
        let platform = self.platform.clone().unwrap_or_else(Platform::native);
        let layer = Blob::new(document::TAR_LAYER, layer.into_tar()?);
        Ok(Image::with_root_filesystem(platform, &self.settings, Some(layer), None))
    }

    /// An image with the module itself as a layer, after a layer of what is added.
    fn module_image(&self, module: Option<Vec<u8>>) -> anyhow::Result<Image> {
        let Some(bytes) = module else { bail!("--layer and --artifact need a module") };
        let binary = if self.no_check { bytes } else { to_binary(bytes)? };
        let platform = self.platform.clone().unwrap_or_else(Platform::wasm);
        if self.form.artifact {
            ensure!(
                self.settings == Settings::default() && self.add.is_empty(),
                "an artifact holds the module alone: entrypoint, arguments, environment, working directory, \
                 user and files need --layer or --classic"
            );
            let blob = Blob::new(self.media_type.unwrap_or(MediaType::Wasm).as_str(), binary);
            return Ok(Image::artifact(platform, blob));
        }
        let blob = Blob::new(self.media_type.unwrap_or(MediaType::Runwasi).as_str(), binary);
        let files = match self.add.is_empty() {
            true => None,
            false => Some(Blob::new(document::TAR_LAYER, self.added()?.into_tar()?)),
        };
        Ok(Image::with_root_filesystem(platform, &self.settings, files, Some(blob)))
    }

    fn added(&self) -> anyhow::Result<Layer> {
        let mut layer = Layer::default();
        for (source, destination) in &self.add {
            layer.copy(source, destination).with_context(|| format!("adding {}", source.display()))?;
        }
        Ok(layer)
    }

    fn write(&self, archive: &Archive) -> io::Result<()> {
        if self.output == Path::new("-") {
            return archive.write(&mut io::stdout().lock());
        }
        let mut file = BufWriter::new(File::create(&self.output)?);
        archive.write(&mut file)?;
        file.flush()
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let inode = |path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    inode(one).is_some_and(|one| inode(other) == Some(one))
}

impl MediaType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Runwasi => "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
            Self::Wasm => "application/wasm",
            Self::Content => "application/vnd.wasm.content.layer.v1+wasm",
        }
    }
}

/// A layer's media type says binary, so text does not stay text; and custom sections stay in.
fn to_binary(bytes: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    if bytes.starts_with(b"\0asm") {
        return Ok(bytes);
    }
    Ok(Module::parse(bytes, Limits::default())?.code().to_vec())
}

fn environment(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(text.to_owned()),
        _ => Err("not of the form NAME=VALUE".to_owned()),
    }
}

fn addition(text: &str) -> Result<(PathBuf, PathBuf), String> {
    match text.rsplit_once(':') {
        Some((source, destination)) if !source.is_empty() && destination.starts_with('/') => {
            Ok((source.into(), destination.into()))
        }
        _ => Err("not of the form SOURCE:/DESTINATION".to_owned()),
    }
}

#[cfg(test)]
mod tests;
