//! Content is containerd's store, where the module of a container is found whose image has it as a layer.

mod image;
mod layers;
mod shared;

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::version_client::VersionClient;
use containerd_client::services::v1::{GetContainerRequest, GetImageRequest, ReadContentRequest};
use containerd_client::tonic::metadata::{Ascii, MetadataValue};
use containerd_client::tonic::transport::Channel;
use containerd_client::tonic::{Code as GrpcCode, Request, Status};
use containerd_shim_protos::ttrpc::Code;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use sha2::{Digest, Sha256};

pub(crate) use self::layers::Layer;
use self::layers::{Descriptor, Document, Image, Next};
use self::shared::SharedLayers;
use crate::bundle::Config;
use crate::entrypoint::Entrypoint;
use crate::failure::{self, Failure};

/// How long containerd may take for one answer, or one piece of a module.
const PATIENCE: Duration = Duration::from_secs(2);
/// The largest index or manifest; containerd's own limit.
const MAX_DOCUMENT: u64 = 8 << 20;

/// How to reach the store.
#[derive(Debug)]
pub(crate) struct Content {
    address: String,
    namespace: Option<MetadataValue<Ascii>>,
    layers: SharedLayers,
}

impl Content {
    pub(crate) fn new(address: String, namespace: &str) -> Self {
        Self { address, namespace: namespace.parse().ok(), layers: SharedLayers::default() }
    }

    /// The version of the task API that this containerd understands: before 2.0 it refuses 3.
    pub(crate) async fn task_api(&self) -> i32 {
        let asked = async {
            let answer = VersionClient::new(self.connect().await?).version(()).await?;
            anyhow::Ok(answer.into_inner().version)
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(version)) if version.trim_start_matches('v').starts_with("1.") => 2,
            _ => 3,
        }
    }

    /// The module of a container whose entrypoint is no file of its root filesystem. `None`: its image has no module
    /// layer, or containerd does not know the image, as with Docker's own store.
    pub(crate) async fn layer(
        &self,
        config: &Config,
        id: &str,
        limit: u64,
    ) -> failure::Result<Option<Arc<Layer>>> {
        let entrypoint = Entrypoint::of_first(config);
        if entrypoint.as_ref().is_some_and(|entrypoint| entrypoint.file().is_some()) {
            return Ok(None);
        }
        let Some(channel) = self.channel_or_none().await else { return Ok(None) };
        let Some(target) = self.target_of(&channel, id).await? else { return Ok(None) };
        match self.image(&channel, target).await? {
            Image::Module(module) => self.fetch(&channel, module, limit).await.map(Some),
            Image::Files(_) | Image::Unknown => Ok(None),
            Image::Other(types) => Err(Failure::not_found(format!(
                "{}: no such file or directory, and no layer of the image is a Wasm module: it has {types}",
                entrypoint.and_then(|entrypoint| entrypoint.path()).unwrap_or_default(),
            ))),
        }
    }

    /// What an image's name points at: an index that leads to a manifest, or a manifest.
    async fn image(&self, channel: &Channel, mut descriptor: Descriptor) -> failure::Result<Image> {
        for _ in 0..3 {
            ensure_size(&descriptor, MAX_DOCUMENT)?;
            let mut document = Vec::new();
            self.read(channel, &descriptor.digest, &mut document).await?;
            let document: Document = serde_json::from_slice(&document)
                .with_context(|| format!("reading the image's manifest {}", descriptor.digest))?;
            match document.next().map_err(|error| Failure::new(Code::INVALID_ARGUMENT, error))? {
                Next::Manifest(manifest) => descriptor = manifest,
                Next::Found(image) => return Ok(image),
            }
        }
        Ok(Image::Unknown)
    }

    async fn channel_or_none(&self) -> Option<Channel> {
        match in_time(self.connect()).await {
            Ok(channel) => Some(channel),
            Err(error) => {
                log::warn!("containerd cannot be asked for a module layer: {error:#}");
                None
            }
        }
    }

    async fn connect(&self) -> Result<Channel> {
        let path = self.address.trim_start_matches("unix://");
        containerd_client::connect(path).await.with_context(|| format!("connecting to containerd at {path}"))
    }

    /// What the name of the container's image points at.
    async fn target_of(&self, channel: &Channel, id: &str) -> Result<Option<Descriptor>> {
        let request = self.request(GetContainerRequest { id: id.to_owned() });
        let container =
            in_time(async { Ok(ContainersClient::new(channel.clone()).get(request).await) }).await?;
        let Some(container) = found(container).context("asking for the container")? else { return Ok(None) };
        let name = container.into_inner().container.map(|container| container.image).unwrap_or_default();
        if name.is_empty() {
            return Ok(None);
        }
        self.target(channel, &name).await
    }

    /// What that name points at.
    async fn target(&self, channel: &Channel, name: &str) -> Result<Option<Descriptor>> {
        let request = self.request(GetImageRequest { name: name.to_owned() });
        let image = in_time(async { Ok(ImagesClient::new(channel.clone()).get(request).await) }).await?;
        let image = found(image).with_context(|| format!("asking for the image {name}"))?;
        let target = image.and_then(|image| image.into_inner().image?.target);
        Ok(target.map(|target| Descriptor::new(target.media_type, target.digest, target.size.unsigned_abs())))
    }

    /// A module as a memory file that nobody can change any more; the same one for all who use it.
    async fn fetch(&self, channel: &Channel, module: Descriptor, limit: u64) -> failure::Result<Arc<Layer>> {
        ensure_size(&module, limit)?;
        self.layers.get(&module.digest.clone(), self.fetch_anew(channel, module)).await
    }

    async fn fetch_anew(&self, channel: &Channel, module: Descriptor) -> failure::Result<Layer> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(memfd_create("module", flags).context("making a memory file")?);
        self.read(channel, &module.digest, &mut file).await?;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_add_seals(&file, seals).context("sealing the module")?;
        Ok(Layer { digest: module.digest, module: file.into() })
    }

    /// Reads one blob and verifies it.
    async fn read(&self, channel: &Channel, digest: &str, into: &mut impl Write) -> Result<()> {
        let request = ReadContentRequest { digest: digest.to_owned(), offset: 0, size: 0 };
        let request = self.request(request);
        let mut content = ContentClient::new(channel.clone());
        let blob = "reading a blob of the image from containerd's store";
        let pieces = in_time(async { content.read(request).await.map_err(in_words) }).await;
        let mut pieces = pieces.context(blob)?.into_inner();
        let mut hash = Sha256::new();
        while let Some(piece) =
            in_time(async { pieces.message().await.map_err(in_words) }).await.context(blob)?
        {
            hash.update(&piece.data);
            into.write_all(&piece.data).context(blob)?;
        }
        let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        ensure!(
            digest.strip_prefix("sha256:") == Some(&found),
            "the image's blob {digest} has the digest {found}"
        );
        Ok(())
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(namespace) = &self.namespace {
            request.metadata_mut().insert("containerd-namespace", namespace.clone());
        }
        request
    }
}

fn ensure_size(descriptor: &Descriptor, limit: u64) -> failure::Result<()> {
    if descriptor.size <= limit {
        return Ok(());
    }
    let error = anyhow::anyhow!("{} has {} bytes, the limit is {limit}", descriptor.digest, descriptor.size);
    Err(Failure::new(Code::RESOURCE_EXHAUSTED, error))
}

async fn in_time<T>(asked: impl Future<Output = Result<T>>) -> Result<T> {
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    answer.with_context(|| format!("containerd did not answer within {} s", PATIENCE.as_secs()))?
}

/// What containerd says itself, without gRPC's code.
fn in_words(status: Status) -> anyhow::Error {
    anyhow::Error::msg(status.message().to_owned())
}

fn found<T>(answer: std::result::Result<T, Status>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(status) if status.code() == GrpcCode::NotFound => Ok(None),
        Err(status) => Err(in_words(status)),
    }
}
