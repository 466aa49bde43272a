//! The agent's half of unpacking: a process that does it, fed and watched.

#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use oci::unpack::{Expected, Limits, Staging, UnpackError, Unpacked, reserve_bytes};
use oci::{Descriptor, Digest};
use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::PullError;
use super::settle;
use crate::unpack::{Order, Report};

/// How long the process may take for what the pipe holds: at most 264 MiB of content, by deflate's best.
const STALL_MAX: Duration = Duration::from_secs(120);
/// Packed bytes between network and process.
const PIPE_BYTES: usize = 256 * 1024;
/// Longest report, in bytes: an error with a path in it, and what a test program says before.
const REPORT_BYTES_MAX: u64 = 64 * 1024;

/// Why a layer is not here.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    #[error(transparent)]
    Staging(#[from] UnpackError),
    /// What the process said.
    #[error("{0}")]
    Refused(String),
    #[error(
        "layer could not be unpacked: its process ended early ({0}); if it was killed for want of memory, free some"
    )]
    Ended(String),
    #[error("layer could not be unpacked: its process did not get on for {} s; look after the node's disk", STALL_MAX.as_secs())]
    Stalled,
    #[error("layer could not be unpacked: {0}")]
    Process(#[source] io::Error),
}

/// How to become the process that unpacks a layer: a program, and what comes before the order on its command line.
#[derive(Clone, Debug)]
pub struct Unpacker {
    pub program: PathBuf,
    pub args: Vec<String>,
    /// From where on the disk counts as full.
    pub disk_full_percent: u64,
}

impl Unpacker {
    /// Unpacks the blob to `dest`. Dropped, the process is killed, and nothing is left of what it did.
    pub(super) async fn unpack(
        &self,
        mut pieces: BoxStream<'_, Result<Bytes, PullError>>,
        layer: &Descriptor,
        diff_id: &Digest,
        dest: &Path,
    ) -> Result<Unpacked, PullError> {
        let mut work = self.start(layer, diff_id, dest)?;
        while let Some(piece) = pieces.next().await {
            let fed = match piece {
                Ok(piece) => work.feed(&piece).await.map_err(PullError::Layer),
                Err(error) => Err(error),
            };
            match fed {
                Ok(Fed::More) => {}
                Ok(Fed::Ended) => break,
                Err(error) => {
                    work.abandon().await;
                    return Err(error);
                }
            }
        }
        Ok(work.end().await?)
    }

    fn start(&self, layer: &Descriptor, diff_id: &Digest, dest: &Path) -> Result<Work, LayerError> {
        let staging = Staging::beside(dest)?;
        let expected = Expected { digest: layer.digest.clone(), size: layer.size, diff_id: diff_id.clone() };
        let disk = rustix::fs::statvfs(staging.path()).map_err(|error| LayerError::Process(error.into()))?;
        let reserve = reserve_bytes(disk.f_blocks.saturating_mul(disk.f_frsize), self.disk_full_percent);
        let order = Order {
            root: staging.path().to_owned(),
            media_type: layer.media_type.clone(),
            limits: Limits::of_layer(expected.size, reserve),
            expected,
        };
        self.spawn(&order, staging, dest).map_err(LayerError::Process)
    }

    fn spawn(&self, order: &Order, staging: Staging, dest: &Path) -> io::Result<Work> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).arg(serde_json::to_string(order)?).env_clear();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let handle = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        let input = child.stdin.take().map(OwnedFd::from).ok_or(io::ErrorKind::BrokenPipe)?;
        // A smaller one is slower, no more.
        _ = fcntl_setpipe_size(&input, PIPE_BYTES);
        let (done, outcome) = oneshot::channel();
        let dest = dest.to_owned();
        // A receiver that is gone has given up the pull; what was staged is removed here all the same.
        let finish = move || _ = done.send(finish(child, staging, &dest));
        std::thread::Builder::new().name("unpack".to_owned()).spawn(finish)?;
        Ok(Work { input: Some(pipe::Sender::from_owned_fd(input)?), handle, outcome })
    }
}

/// A process at work. Dropped, it is killed.
struct Work {
    input: Option<pipe::Sender>,
    handle: OwnedFd,
    outcome: oneshot::Receiver<Result<Unpacked, LayerError>>,
}

/// Whether the process takes more.
enum Fed {
    More,
    Ended,
}

impl Work {
    async fn feed(&mut self, piece: &[u8]) -> Result<Fed, LayerError> {
        let Some(input) = &mut self.input else { return Ok(Fed::Ended) };
        match timeout(STALL_MAX, input.write_all(piece)).await {
            Err(_elapsed) => Err(LayerError::Stalled),
            // Whatever it had to say is in its report.
            Ok(Err(_broken)) => Ok(Fed::Ended),
            Ok(Ok(())) => Ok(Fed::More),
        }
    }

    /// Kills the process, and waits until nothing is left of its work.
    async fn abandon(mut self) {
        self.kill();
        _ = (&mut self.outcome).await;
    }

    fn kill(&self) {
        // The process may have ended by itself.
        _ = pidfd_send_signal(&self.handle, Signal::KILL);
    }

    async fn end(mut self) -> Result<Unpacked, LayerError> {
        self.input = None;
        match timeout(STALL_MAX, &mut self.outcome).await {
            Err(_elapsed) => Err(LayerError::Stalled),
            Ok(outcome) => outcome.unwrap_or_else(|_gone| Err(LayerError::Ended("its watcher is gone".to_owned()))),
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for the process and gives the layer its name, or removes what there is of it. Blocks.
fn finish(mut child: Child, staging: Staging, dest: &Path) -> Result<Unpacked, LayerError> {
    let mut said = String::new();
    if let Some(output) = child.stdout.take() {
        // What cannot be read is no report.
        _ = output.take(REPORT_BYTES_MAX).read_to_string(&mut said);
    }
    let status = child.wait().map_err(LayerError::Process)?;
    let report: Option<Report> = said.lines().last().and_then(|line| serde_json::from_str(line).ok());
    let unpacked = report.ok_or_else(|| LayerError::Ended(status.to_string()))?.map_err(LayerError::Refused)?;
    settle::mark(dest).map_err(LayerError::Process)?;
    staging.take_name()?;
    Ok(unpacked)
}
