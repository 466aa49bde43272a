//! `unpack`: a layer of 200 MB into a directory, from the registry by the agent and from a file by the process
//! that the agent starts for it, beside the work that nobody can do without: hash what came, inflate it, hash the
//! content.

use crate::figures::Samples;
use crate::first;
use crate::server::{self, Server};
use crate::setting::Setting;
use crate::table::{Promise, Row};
use crate::tasks::{Tasks, image_of};
use anyhow::{Context, Result, ensure};
use flate2::bufread::MultiGzDecoder;
use oci::builder::ImageFile;
use oci::digest::Hasher;
use oci::unpack::{Expected, Limits};
use oci::{Digest, media_type};
use serde_json::json;
use std::fs::{self, File};
use std::io::{BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const TURNS: usize = 5;
const LARGE_MIB: usize = 200;
/// Against the bound.
const SPEED: Promise = Promise::AtMostTimes(1.3);
const BUFFER_BYTES: usize = 256 * 1024;

pub fn run(setting: &Setting) -> Result<Vec<Row>> {
    let folder = setting.folder()?;
    let mut rows = vec![pulls(setting)?, compare(setting, "one file of 200 MiB", &one_file(folder.path())?)?];
    // `scripts/debian-image` makes it: 200 MB in 7,000 files.
    let debian = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/debootstrap.tar");
    if debian.exists() {
        let packed = gzip(&debian, &folder.path().join("debian.tar.gz"))?;
        rows.push(compare(setting, "a Debian of 200 MB in 7,000 files", &packed)?);
    }
    Ok(rows)
}

/// The agent's whole way, as DescribeTasks tells it.
fn pulls(setting: &Setting) -> Result<Row> {
    let folder = setting.folder()?;
    let data = folder.path().join("data");
    let server = Server::start(&setting.longshore, &data)?;
    let measured = time_pulls(setting, &server).with_context(|| format!("the server said:\n{}", server.log()));
    let ended = server.end();
    // Also after a failure: nothing may stay behind.
    server::down(&setting.longshore, &data)?;
    ended?;
    let (ours, bound) = measured?;
    let peer = Some(("hash and inflate", bound.median()));
    let what = format!("Pull and unpack an image of {LARGE_MIB} MiB");
    Ok(Row { what, unit: "s", ours: ours.median(), peer, promise: SPEED })
}

/// Of pulls of images that the node does not have, and of the bound.
fn time_pulls(setting: &Setting, server: &Server) -> Result<(Samples, Samples)> {
    let (program, tasks) = (first::compiled(&setting.scratch)?, Tasks::of(&server.paths)?);
    let (mut ours, mut bound) = (Samples::default(), Samples::default());
    for turn in 0..TURNS {
        let content = ImageFile { path: "content".to_owned(), content: half_random()?, mode: 0o644 };
        let image = image_of(program.clone(), vec![content])?;
        let begun = Instant::now();
        let Expected { diff_id, .. } = hash_and_inflate(|| Ok(Cursor::new(image.layer.bytes.clone())))?;
        bound.push(begun.elapsed().as_secs_f64());
        ensure!(diff_id == image.diff_id, "the image holds another content than its config says");
        let image = tasks.push_built(image, &format!("pull-{turn}"))?;
        let launch = tasks.launch(&tasks.register("none", &image)?)?;
        ours.push((launch.moment("pullStoppedAt") - launch.moment("pullStartedAt")) / 1e3);
    }
    Ok((ours, bound))
}

fn compare(setting: &Setting, what: &str, packed: &Path) -> Result<Row> {
    let folder = setting.folder()?;
    let (mut ours, mut bound) = (Samples::default(), Samples::default());
    for turn in 0..TURNS {
        let begun = Instant::now();
        let expected = hash_and_inflate(|| Ok(File::open(packed)?))?;
        bound.push(begun.elapsed().as_secs_f64());
        // Removed together at the end: ext4 is slow to reuse what was removed a moment ago.
        let root = folder.path().join(turn.to_string());
        fs::create_dir(&root)?;
        let begun = Instant::now();
        unpack(&setting.longshore, packed, &root, expected)?;
        ours.push(begun.elapsed().as_secs_f64());
    }
    let peer = Some(("hash and inflate", bound.median()));
    Ok(Row { what: format!("Unpack {what}"), unit: "s", ours: ours.median(), peer, promise: SPEED })
}

/// The bound, by the crates that unpacking uses. `open` gives the packed bytes from their beginning.
fn hash_and_inflate<R: Read>(open: impl Fn() -> Result<R>) -> Result<Expected> {
    let (size, digest) = hash(open()?)?;
    let (_, diff_id) = hash(MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, open()?)))?;
    Ok(Expected { digest, size, diff_id })
}

fn hash(mut reader: impl Read) -> Result<(u64, Digest)> {
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; BUFFER_BYTES]);
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok((hasher.len(), hasher.finish())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

fn unpack(longshore: &Path, packed: &Path, root: &Path, expected: Expected) -> Result<()> {
    let order = json!({
        "root": root,
        "media_type": media_type::OCI_LAYER_GZIP,
        "limits": Limits::of_layer(expected.size, 0),
        "expected": expected,
    });
    let mut command = Command::new(longshore);
    command.arg("unpack").arg(order.to_string()).stdin(File::open(packed)?).stdout(Stdio::piped());
    let output = command.output()?;
    ensure!(output.status.success(), "unpack failed: {}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

/// Content that compresses about as programs do: half of it is random.
fn half_random() -> Result<Vec<u8>> {
    let mut bytes = vec![0; LARGE_MIB << 20];
    for block in bytes.chunks_mut(4096) {
        let random = block.len() / 2;
        rustix::rand::getrandom(&mut block[..random], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(bytes)
}

/// A packed tar file of one file.
fn one_file(folder: &Path) -> Result<PathBuf> {
    let content = folder.join("content");
    fs::write(&content, half_random()?)?;
    let tar = folder.join("large.tar");
    let packed = Command::new("tar").arg("-C").arg(folder).arg("-cf").arg(&tar).arg("content").status()?;
    ensure!(packed.success(), "tar failed");
    fs::remove_file(content)?;
    gzip(&tar, &folder.join("large.tar.gz"))
}

fn gzip(from: &Path, to: &Path) -> Result<PathBuf> {
    let status = Command::new("gzip").arg("-c").stdin(File::open(from)?).stdout(File::create(to)?).status();
    ensure!(status.context("cannot call gzip")?.success(), "gzip failed");
    Ok(to.to_owned())
}
