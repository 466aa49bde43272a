//! `longshore push`: an image from a file or folder into the registry, for who has neither skopeo nor Docker.

mod archive;
mod image;
mod layout;
mod rootfs;
mod upload;

use crate::run::variable;
use crate::say;
use crate::session::Session;

use anyhow::{Context, Result, bail};
use image::Image;
use oci::builder::BuiltImage;
use oci::client::Client;
use oci::{Digest, ImageReference};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(clap::Args)]
pub struct PushArgs {
    /// A `docker save` or OCI archive (also gzipped), an OCI layout's folder, or a root file system as tar
    source: PathBuf,
    /// What it is called in the registry
    #[arg(value_name = "NAME:TAG")]
    name: String,
    /// Of a root file system: what a container runs, for a shell, or as a JSON list of words
    #[arg(long, value_name = "COMMAND", value_parser = command)]
    command: Option<Command>,
    /// Of a root file system: environment, NAME=VALUE
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
}

/// As a Dockerfile's CMD has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Command(Vec<String>);

fn command(text: &str) -> Result<Command, String> {
    if text.starts_with('[') {
        return serde_json::from_str(text).map(Command).map_err(|error| format!("it is no list of words: {error}"));
    }
    Ok(Command(["/bin/sh", "-c", text].map(str::to_owned).into()))
}

pub async fn run(session: &Session, args: &PushArgs) -> Result<()> {
    let reference = name(session, &args.name)?;
    // Gone with its value: what archives and root file systems are unpacked or packed into.
    let scratch = tempfile::tempdir().context("no room for the image on its way: set TMPDIR")?;
    let image = read(args, scratch.path()).with_context(|| format!("cannot push {}", args.source.display()))?;
    let uri = session.repository(&reference.repository).await?;
    let target: ImageReference = format!("{uri}:{}", reference.tag_or_digest()).parse()?;
    let digest = upload::run(&session.registry().await?, &target, &image).await?;
    say(format!("{target}\n{digest}"))
}

/// Sends what the registry lacks of an image that was made in memory, silently; answers the digest that the tag
/// stands for.
pub async fn send(registry: &Client, target: &ImageReference, image: BuiltImage) -> Result<Digest> {
    upload::send(registry, target, &image.into(), &Arc::default()).await
}

/// A name in our registry, with or without its address.
fn name(session: &Session, given: &str) -> Result<ImageReference> {
    let reference: ImageReference = given.parse()?;
    if reference.digest.is_some() {
        bail!("a push is named by tag, not by digest: write NAME:TAG");
    }
    let host = session.endpoint.url.split_once("://").map_or("", |(_, host)| host);
    match &reference.registry {
        Some(registry) if registry != host => bail!("{registry} is not this server's registry, which is {host}"),
        _ => Ok(reference),
    }
}

fn read(args: &PushArgs, scratch: &Path) -> Result<Image> {
    let cmd = args.command.clone().map(|command| command.0).unwrap_or_default();
    let env = args.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let config = oci::image_config::ContainerConfig { cmd, env, ..Default::default() };
    if args.source.is_dir() {
        return layout::read(&args.source);
    }
    let archive = archive::Archive::open(&args.source)?;
    let given = args.command.is_some() || !args.env.is_empty();
    let folder = scratch.join("image");
    std::fs::create_dir(&folder)?;
    match archive.extract(&folder)? {
        archive::Kind::RootFs => rootfs::read(&archive, scratch, config),
        _ if given => {
            bail!("it is an image and has a command and environment of its own: leave --command and --env out")
        }
        archive::Kind::Oci => layout::read(&folder),
        archive::Kind::Docker => archive::docker_image(&folder),
    }
}

#[cfg(test)]
mod tests;
