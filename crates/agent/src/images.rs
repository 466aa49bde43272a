//! Images: from a reference to unpacked layers.
//!
//! A tag is asked of its registry at each launch, as ECS's default pull behaviour has it; what is here
//! already is not fetched again, and serves when the registry does not answer. Layers are shared by
//! their diff id, records and names lie beside them:
//!
//! | path under the data folder | content |
//! |---|---|
//! | `layers/<hex of the diff id>` | one unpacked layer |
//! | `images/<hex of the digest>.json` | a [`catalog::Record`], once all its layers are there |
//! | `images/names.json` | which digest a name had when it was last asked for |
//!
//! What is absent: nothing is ever removed, and registries that want Bearer tokens are refused.

mod catalog;
mod layers;
mod registries;
#[cfg(test)]
mod tests;

pub use registries::{OwnRegistry, Registries};

use catalog::{Catalog, Record};
use layers::Layers;
use oci::client::{Client, ClientError, ManifestHead};
use oci::image_config::{ContainerConfig, IMAGE_CONFIG_BYTES_MAX};
use oci::unpack::UnpackError;
use oci::{Digest, ImageConfig, ImageManifest, ImageReference, Manifest, ManifestError, ReferenceError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The one operating system whose images run here.
const OS: &str = "linux";

/// An image that is ready to be launched.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Of what the reference names: an index's own, if it is one.
    pub digest: Digest,
    pub config: ContainerConfig,
    /// Directories, lowest first.
    pub layers: Vec<PathBuf>,
}

/// Why an image is not here; the text follows `CannotPullContainerError: `.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error("registry {0} belongs to another account or region; copy the image to this installation's registry")]
    ForeignRegistry(String),
    #[error("no authorization token for the registry: {0}")]
    Token(String),
    #[error(transparent)]
    Registry(#[from] ClientError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("image has no manifest for {OS}/{0}; build it for that platform too")]
    Platform(String),
    #[error("image is not valid: {0}; build it again")]
    Image(String),
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    #[error("the node's image folder: {0}")]
    Io(#[from] io::Error),
}

/// The node's images. Cheap to clone.
#[derive(Clone)]
pub struct Images(Arc<Inner>);

struct Inner {
    catalog: Catalog,
    layers: Layers,
    registries: Registries,
}

impl Images {
    /// # Errors
    /// When the folders cannot be made or read.
    pub fn open(data: &Path, registries: Registries) -> io::Result<Self> {
        let (catalog, layers) = (Catalog::open(&data.join("images"))?, Layers::open(&data.join("layers"))?);
        Ok(Self(Arc::new(Inner { catalog, layers, registries })))
    }

    /// Makes the image ready. `resolved` hears its digest when layers have to be fetched.
    pub async fn prepare(&self, reference: &str, resolved: impl FnOnce(&Digest)) -> Result<Arc<Image>, PullError> {
        let named: ImageReference = reference.parse()?;
        let image = named.normalized();
        let registry = self.0.registries.of(&named).await?;
        let digest = match &image.digest {
            Some(digest) => digest.clone(),
            None => match self.ask(&registry, &image).await {
                Ok(head) => head.digest,
                Err(error) => return self.fall_back(reference, error).await,
            },
        };
        let ready = match self.cached(&digest).await? {
            Some(ready) => ready,
            None => match self.pull(&registry, &image.at(digest.clone()), resolved).await {
                Ok(ready) => ready,
                Err(error) => return self.fall_back(reference, error).await,
            },
        };
        if self.0.catalog.named(reference).as_ref() != Some(&digest) {
            self.0.catalog.name(reference, &digest)?;
        }
        Ok(ready)
    }

    /// Signs in at our own registry, so that the first launch need not.
    pub async fn sign_in(&self) -> Result<(), PullError> {
        self.0.registries.client(&registries::Registry::Own).await.map(drop)
    }

    /// An image that was made ready before, without asking anybody.
    pub async fn cached(&self, digest: &Digest) -> io::Result<Option<Arc<Image>>> {
        if let Some(ready) = self.0.catalog.ready(digest) {
            return Ok(Some(ready));
        }
        let (inner, digest) = (self.0.clone(), digest.clone());
        blocking(move || inner.load(&digest)).await
    }

    async fn ask(&self, registry: &registries::Registry, image: &ImageReference) -> Result<ManifestHead, PullError> {
        let client = self.0.registries.client(registry).await?;
        match client.head_manifest(image).await {
            Err(ClientError::Unauthorized { .. } | ClientError::Denied(_)) if registry.is_own() => {
                self.0.registries.forget_token();
                Ok(self.0.registries.client(registry).await?.head_manifest(image).await?)
            }
            other => Ok(other?),
        }
    }

    /// What the name meant last time, if that is still here; else the error.
    async fn fall_back(&self, reference: &str, error: PullError) -> Result<Arc<Image>, PullError> {
        let Some(digest) = self.0.catalog.named(reference) else { return Err(error) };
        let Some(ready) = self.cached(&digest).await? else { return Err(error) };
        tracing::warn!(image = reference, %digest, %error, "the image could not be pulled; the cached one is used");
        Ok(ready)
    }

    /// Fetches what is missing of an image named by digest.
    async fn pull(
        &self,
        registry: &registries::Registry,
        image: &ImageReference,
        resolved: impl FnOnce(&Digest),
    ) -> Result<Arc<Image>, PullError> {
        let client = self.0.registries.client(registry).await?;
        let remote = client.get_manifest(image).await?;
        let manifest = self.image_manifest(&client, image, remote.parse()?).await?;
        let config = self.config(&client, &image.repository, &manifest).await?;
        resolved(&remote.digest);
        self.0.layers.fetch(&client, &image.repository, &manifest, &config.rootfs.diff_ids).await?;
        let record = Record { config: config.config, diff_ids: config.rootfs.diff_ids };
        let (inner, digest) = (self.0.clone(), remote.digest);
        blocking(move || {
            inner.catalog.record(&digest, &record)?;
            inner.load(&digest)?.ok_or_else(|| io::Error::other("a layer that was just unpacked is gone"))
        })
        .await
        .map_err(PullError::Io)
    }

    async fn image_manifest(
        &self,
        client: &Client,
        image: &ImageReference,
        manifest: Manifest,
    ) -> Result<ImageManifest, PullError> {
        let index = match manifest {
            Manifest::Image(manifest) => return Ok(*manifest),
            Manifest::Index(index) => index,
        };
        let architecture = go_architecture();
        let chosen = index.choose(OS, architecture, None);
        let chosen = chosen.ok_or_else(|| PullError::Platform(architecture.to_owned()))?;
        match client.get_manifest(&image.at(chosen.digest.clone())).await?.parse()? {
            Manifest::Image(manifest) => Ok(*manifest),
            Manifest::Index(_) => Err(PullError::Image("an index lists another index for this platform".to_owned())),
        }
    }

    async fn config(
        &self,
        client: &Client,
        repository: &str,
        manifest: &ImageManifest,
    ) -> Result<ImageConfig, PullError> {
        let blob = &manifest.config;
        let bytes = client.blob_bytes(repository, &blob.digest, blob.size, IMAGE_CONFIG_BYTES_MAX).await?;
        let config = ImageConfig::parse(&bytes).map_err(|error| PullError::Image(error.to_string()))?;
        if (config.os.as_str(), config.architecture.as_str()) != (OS, go_architecture()) && !config.os.is_empty() {
            return Err(PullError::Platform(go_architecture().to_owned()));
        }
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            return Err(PullError::Image("its config and its manifest list different numbers of layers".to_owned()));
        }
        Ok(config)
    }
}

impl Inner {
    /// The image from its record, if every layer is there. Blocks.
    fn load(&self, digest: &Digest) -> io::Result<Option<Arc<Image>>> {
        let Some(record) = self.catalog.read(digest)? else { return Ok(None) };
        let Some(layers) = self.layers.paths(&record.diff_ids)? else { return Ok(None) };
        let image = Arc::new(Image { digest: digest.clone(), config: record.config, layers });
        self.catalog.keep(&image);
        Ok(Some(image))
    }
}

/// This machine's processor in Go's words, which images use.
pub(crate) fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}
