//! One pull: what a name means, what that consists of, and its layers.

use super::catalog::Record;
use super::download::download;
use super::holds::Owner;
use super::news::{Meter, News, Tell};
use super::registries::Registry;
use super::retry::{self, Policy, Tries};
use super::{Image, Images, PullError, blocking};
use oci::client::{Client, ClientError};
use oci::image_config::IMAGE_CONFIG_BYTES_MAX;
use oci::{Digest, ImageConfig, ImageManifest, ImageReference, Manifest, Platform};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long it may take to learn what a name means: `ECS_MANIFEST_PULL_TIMEOUT`'s default.
const MANIFEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Indexes within indexes that are looked into for one image. The image specification names no limit, containerd has
/// none; a handful is what tools make.
const INDEXES_MAX: usize = 16;

/// An image's parts, and the registry that has them.
struct Described {
    client: Client,
    /// Of what the name means: an index's own, if it is one.
    digest: Digest,
    manifest: ImageManifest,
    config: ImageConfig,
}

/// One pull of one image, with who hears of it.
pub(super) struct Pull<'a> {
    pub images: &'a Images,
    /// Where it may be, what is tried first at the front.
    pub sources: &'a [Registry],
    pub image: &'a ImageReference,
    pub tell: Tell<'a>,
}

impl Pull<'_> {
    /// The digest of what the name means by now.
    pub async fn resolve(&self, policy: Policy) -> Result<Digest, PullError> {
        self.retry(policy, || async {
            let mut failed = Failures::default();
            for source in self.sources {
                match self.ask(source).await {
                    Ok(digest) => return Ok(digest),
                    Err(error) => failed.add(source, error),
                }
            }
            Err(failed.told())
        })
        .await
    }

    /// Fetches what is missing of an image that is named by digest.
    pub async fn fetch(&self, owner: &Owner) -> Result<Arc<Image>, PullError> {
        let mut failed = Failures::default();
        for source in self.sources {
            match self.fetch_from(source, owner).await {
                Ok(image) => return Ok(image),
                Err(error) => {
                    // The same digest is the same image everywhere.
                    let decisive = error.is_of_the_image();
                    failed.add(source, error);
                    if decisive {
                        break;
                    }
                }
            }
        }
        Err(failed.told())
    }

    async fn ask(&self, source: &Registry) -> Result<Digest, PullError> {
        let registries = &self.images.0.registries;
        match registries.client(source).await?.resolve(self.image).await {
            Err(ClientError::Unauthorized { .. } | ClientError::Denied(_)) if source.is_own() => {
                registries.forget_token();
                Ok(registries.client(source).await?.resolve(self.image).await?)
            }
            other => Ok(other?),
        }
    }

    async fn fetch_from(&self, source: &Registry, owner: &Owner) -> Result<Arc<Image>, PullError> {
        let described = self.retry(retry::MANIFEST, || self.describe(source)).await?;
        let Described { client, digest, manifest, config } = described;
        let inner = &self.images.0;
        let diff_ids = &config.rootfs.diff_ids;
        inner.holds.hold(diff_ids, owner);
        let bytes = inner.layers.missing_bytes(&manifest, diff_ids);
        (self.tell)(News::Resolved { digest: digest.clone(), bytes });
        let meter = Meter::new(bytes, self.tell);
        let open = |layer| download(&client, &self.image.repository, layer, &meter);
        inner.layers.fetch(&manifest, diff_ids, open).await?;
        let record = Record { config: config.config, diff_ids: config.rootfs.diff_ids, pulled_at: client::now() };
        let inner = inner.clone();
        let load = move || {
            inner.catalog.record(&digest, &record)?;
            inner.load(&digest)?.ok_or_else(|| io::Error::other("a layer that was just unpacked is gone"))
        };
        Ok(blocking(load).await?)
    }

    async fn describe(&self, source: &Registry) -> Result<Described, PullError> {
        let client = self.images.0.registries.client(source).await?;
        let remote = client.get_manifest(self.image).await?;
        let manifest = self.image_manifest(&client, remote.parse()?).await?;
        let config = self.config(&client, &manifest).await?;
        Ok(Described { client, digest: remote.digest, manifest, config })
    }

    async fn image_manifest(&self, client: &Client, manifest: Manifest) -> Result<ImageManifest, PullError> {
        let (mut next, mut waiting) = (manifest, Vec::new());
        for _ in 0..=INDEXES_MAX {
            let index = match next {
                Manifest::Image(manifest) => return Ok(*manifest),
                Manifest::Index(index) => index,
            };
            let candidates = index.candidates(&Platform::of_this_machine());
            waiting.extend(candidates.into_iter().rev().map(|entry| entry.digest.clone()));
            let digest = waiting.pop().ok_or(PullError::NoMatch)?;
            next = client.get_manifest(&self.image.at(digest)).await?.parse()?;
        }
        Err(PullError::Image(format!("it has more than {INDEXES_MAX} indexes within indexes")))
    }

    async fn config(&self, client: &Client, manifest: &ImageManifest) -> Result<ImageConfig, PullError> {
        let (blob, repository) = (&manifest.config, &self.image.repository);
        let bytes = client.blob_bytes(repository, &blob.digest, blob.size, IMAGE_CONFIG_BYTES_MAX).await?;
        let config = ImageConfig::parse(&bytes).map_err(|error| PullError::Image(error.to_string()))?;
        let here = Platform::of_this_machine();
        let fits = config.os == here.os && config.architecture == here.architecture;
        if !fits && !config.os.is_empty() {
            return Err(PullError::Platform { image: format!("{}/{}", config.os, config.architecture) });
        }
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            return Err(PullError::Image("its config and its manifest list different numbers of layers".to_owned()));
        }
        Ok(config)
    }

    /// Tries as often as `policy` says, within [`MANIFEST_TIMEOUT`].
    async fn retry<T, F: Future<Output = Result<T, PullError>>>(
        &self,
        policy: Policy,
        attempt: impl Fn() -> F,
    ) -> Result<T, PullError> {
        let (mut tries, mut last) = (Tries::new(policy), None);
        let trying = async {
            loop {
                let error = match attempt().await {
                    Ok(done) => return Ok(done),
                    Err(error) => error,
                };
                let Some(pause) = tries.fail(error.is_transient()) else { return Err((tries.failed(), error)) };
                let why = error.to_string();
                tracing::debug!(image = %self.image, attempt = tries.failed(), why, "asked again after a pause");
                (self.tell)(News::Retrying { attempt: tries.failed(), why, pause });
                last = Some((tries.failed(), error));
                tokio::time::sleep(pause).await;
            }
        };
        let outcome = tokio::time::timeout(MANIFEST_TIMEOUT, trying).await;
        let (attempts, cause) = match (outcome, last) {
            (Ok(Ok(done)), _) => return Ok(done),
            (Ok(Err(failed)), _) | (Err(_), Some(failed)) => failed,
            (Err(_), None) => return Err(PullError::Timeout { to: "MANIFEST_PULLED", after: MANIFEST_TIMEOUT }),
        };
        Err(PullError::Resolve { reference: self.image.to_string(), attempts, cause: Box::new(cause) })
    }
}

/// What went wrong at each source, in order.
#[derive(Default)]
struct Failures(Vec<(String, PullError)>);

impl Failures {
    fn add(&mut self, source: &Registry, error: PullError) {
        tracing::warn!(%source, %error, "the image is not to be had there");
        self.0.push((source.to_string(), error));
    }

    /// The last one, with those of earlier sources in its text.
    fn told(mut self) -> PullError {
        match self.0.pop() {
            None => PullError::ForeignRegistry(String::new()),
            Some((_, only)) if self.0.is_empty() => only,
            Some((source, last)) => last.after(self.0, source),
        }
    }
}
