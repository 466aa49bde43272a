//! Sending an image, with its progress.

use super::image::{Blob, Image};
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use oci::client::{Client, Source, Upload};
use oci::{Digest, ImageReference};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(100);

/// Sends what the registry lacks; answers the digest that the tag stands for.
pub async fn run(registry: &Client, target: &ImageReference, image: &Image) -> Result<Digest> {
    let sent = Arc::new(AtomicU64::new(0));
    let bar = bar(image.blobs.iter().map(|blob| blob.descriptor.size).sum());
    let showing = tokio::spawn(show(bar.clone(), sent.clone()));
    let outcome = send(registry, target, image, &sent).await;
    showing.abort();
    bar.finish_and_clear();
    outcome
}

fn bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let template = "  pushing {bar:32} {bytes} of {total_bytes}, {bytes_per_sec}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

async fn show(bar: ProgressBar, sent: Arc<AtomicU64>) {
    loop {
        bar.set_position(sent.load(Ordering::Relaxed));
        tokio::time::sleep(TICK).await;
    }
}

/// Counts in `sent` the bytes that the registry has by now.
pub async fn send(registry: &Client, target: &ImageReference, image: &Image, sent: &Arc<AtomicU64>) -> Result<Digest> {
    for blob in &image.blobs {
        send_blob(registry, target, blob, sent).await?;
    }
    let (tagged, children) = image.manifests.split_last().context("the image has no manifest")?;
    for child in children {
        let reference = target.at(Digest::of(&child.bytes));
        registry.put_manifest(&reference, &child.media_type, child.bytes.clone()).await?;
    }
    Ok(registry.put_manifest(target, &tagged.media_type, tagged.bytes.clone()).await?)
}

async fn send_blob(registry: &Client, target: &ImageReference, blob: &Blob, sent: &Arc<AtomicU64>) -> Result<()> {
    let (repository, descriptor) = (&target.repository, &blob.descriptor);
    if registry.blob_size(repository, &descriptor.digest).await?.is_some() {
        sent.fetch_add(descriptor.size, Ordering::Relaxed);
        return Ok(());
    }
    let source = match &blob.source {
        Source::File(path) | Source::Counted(path, _) => Source::Counted(Path::to_owned(path), sent.clone()),
        bytes @ Source::Bytes(_) => bytes.clone(),
    };
    Ok(registry.push_blob(repository, &descriptor.digest, source, Upload::Monolithic).await?)
}
