//! Images: from a reference to unpacked layers.
//!
//! When a registry is asked for what is here already is the node's [`PullBehavior`]; what is here is not fetched
//! again. Layers are shared by their diff id, records and names lie beside them:
//!
//! | path under the data folder | content |
//! |---|---|
//! | `layers/<hex of the diff id>` | one unpacked layer |
//! | `images/<hex of the digest>.json` | a [`catalog::Record`], once all its layers are there; used when it was last changed |
//! | `images/names.json` | which digest a name had when it was last asked for |
//!
//! [`cleanup`] removes what nobody needs; [`holds`] says what somebody does.

mod catalog;
mod cleanup;
mod credentials;
mod download;
mod error;
mod holds;
mod layers;
mod news;
pub mod options;
mod pull;
mod registries;
mod retry;
mod settle;
#[cfg(test)]
mod tests;
mod unpacker;

pub use credentials::{AuthError, RegistryAuth};
pub use error::PullError;
pub use holds::Owner;
pub use news::{News, Tell};
pub use registries::{OwnRegistry, Registries};
pub use unpacker::{LayerError, Unpacker};

use crate::drivers::remains::Remains;
use catalog::Catalog;
use cleanup::Room;
use holds::Holds;
use layers::Layers;
use oci::image_config::ContainerConfig;
use oci::{Digest, ImageReference};
use options::PullBehavior;
use pull::Pull;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An image that is ready to be launched.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Of what the reference names: an index's own, if it is one.
    pub digest: Digest,
    pub config: ContainerConfig,
    /// Directories, lowest first.
    pub layers: Vec<PathBuf>,
}

/// How an order names an image.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    pub reference: &'a str,
    /// It lies in the control plane's registry, whatever the reference calls that.
    pub own_registry: bool,
}

impl<'a> From<&'a str> for Name<'a> {
    fn from(reference: &'a str) -> Self {
        Self { reference, own_registry: false }
    }
}

impl<'a> From<&'a String> for Name<'a> {
    fn from(reference: &'a String) -> Self {
        reference.as_str().into()
    }
}

/// The node's images. Cheap to clone.
#[derive(Clone)]
pub struct Images(Arc<Inner>);

struct Inner {
    data: PathBuf,
    catalog: Catalog,
    layers: Layers,
    registries: Registries,
    holds: Holds,
    remains: Remains,
    room: Room,
}

impl Images {
    /// # Errors
    /// When the folders cannot be made or read.
    pub fn open(data: &Path, registries: Registries, unpacker: Unpacker) -> io::Result<Self> {
        let (catalog, layers) = (Catalog::open(&data.join("images"))?, Layers::open(&data.join("layers"), unpacker)?);
        let (data, remains) = (data.to_owned(), Remains::of(data));
        let (holds, room) = (Holds::default(), Room::default());
        Ok(Self(Arc::new(Inner { data, catalog, layers, registries, holds, remains, room })))
    }

    /// Makes the image ready; it stays as long as the owner lives. `tell` hears how it goes, when layers have to
    /// be fetched.
    pub async fn prepare<'a>(
        &self,
        name: impl Into<Name<'a>>,
        owner: &Owner,
        tell: Tell<'_>,
    ) -> Result<Arc<Image>, PullError> {
        let name @ Name { reference, .. } = name.into();
        let named: ImageReference = reference.parse()?;
        let behavior = self.0.registries.options().pull_behavior;
        let here = self.named(reference, owner).await?;
        match (behavior, here) {
            (PullBehavior::Once | PullBehavior::PreferCached, Some(here)) => Ok(here),
            (PullBehavior::Default, Some(here)) => match self.pull(&named, name, owner, true, tell).await {
                Err(error) => {
                    let digest = &here.digest;
                    tracing::warn!(image = reference, %digest, %error, "not pulled; the cached one is used");
                    Ok(here)
                }
                pulled => pulled,
            },
            (_, here) => self.pull(&named, name, owner, here.is_some(), tell).await,
        }
    }

    /// From now on the image stays until the owner is gone.
    pub fn hold(&self, digest: &Digest, owner: &Owner) {
        self.0.holds.hold([digest], owner);
    }

    /// What the name meant last time, if that is still here.
    async fn named(&self, reference: &str, owner: &Owner) -> io::Result<Option<Arc<Image>>> {
        let Some(digest) = self.0.catalog.named(reference) else { return Ok(None) };
        self.hold(&digest, owner);
        self.cached(&digest).await
    }

    /// Asks what the name means, and fetches that if it is not here.
    async fn pull(
        &self,
        named: &ImageReference,
        name: Name<'_>,
        owner: &Owner,
        is_cached: bool,
        tell: Tell<'_>,
    ) -> Result<Arc<Image>, PullError> {
        let image = named.normalized();
        let Name { reference, own_registry } = name;
        let sources = self.0.registries.of(named, own_registry)?;
        let patience = if is_cached { retry::MANIFEST_IF_CACHED } else { retry::MANIFEST };
        let asks = self.0.registries.options().pull_behavior == PullBehavior::Always;
        let digest = match &image.digest {
            Some(digest) if !asks => digest.clone(),
            _ => Pull { images: self, sources: &sources, image: &image, tell }.resolve(patience).await?,
        };
        self.hold(&digest, owner);
        // One pull of an image at a time: who waits for another's finds it here.
        let lock = self.0.layers.lock(&digest);
        let here = self.cached(&digest).await?;
        let _alone = if here.is_none() { Some(lock.lock().await) } else { None };
        let here = if here.is_none() { self.cached(&digest).await? } else { here };
        let ready = match here {
            Some(ready) => ready,
            None => {
                let image = image.at(digest.clone());
                self.fetch(&Pull { images: self, sources: &sources, image: &image, tell }, owner).await?
            }
        };
        if self.0.catalog.named(reference).as_ref() != Some(&digest) {
            self.0.catalog.name(reference, &digest)?;
        }
        Ok(ready)
    }

    /// On a disk that is full, once more if there was something to remove.
    async fn fetch(&self, pull: &Pull<'_>, owner: &Owner) -> Result<Arc<Image>, PullError> {
        let fetched = pull.fetch(owner).await;
        match fetched {
            Err(error) if self.make_room().await => {
                tracing::warn!(%error, "images that nobody needs were removed for one that failed on a full disk");
                pull.fetch(owner).await
            }
            fetched => fetched,
        }
    }

    /// Signs in at our own registry, so that the first launch need not.
    pub async fn sign_in(&self) -> Result<(), PullError> {
        self.0.registries.client(&registries::Registry::Own).await.map(drop)
    }

    /// An image that was made ready before, without asking anybody.
    pub async fn cached(&self, digest: &Digest) -> io::Result<Option<Arc<Image>>> {
        if let Some(ready) = self.0.catalog.ready(digest) {
            self.0.catalog.used(digest);
            return Ok(Some(ready));
        }
        let (inner, digest) = (self.0.clone(), digest.clone());
        blocking(move || inner.load(&digest)).await
    }
}

impl Inner {
    /// The image from its record, if every layer is there. Blocks.
    fn load(&self, digest: &Digest) -> io::Result<Option<Arc<Image>>> {
        let Some(record) = self.catalog.read(digest)? else { return Ok(None) };
        let Some(layers) = self.layers.paths(&record.diff_ids)? else { return Ok(None) };
        let image = Arc::new(Image { digest: digest.clone(), config: record.config, layers });
        self.catalog.keep(&image);
        self.catalog.used(digest);
        Ok(Some(image))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}
