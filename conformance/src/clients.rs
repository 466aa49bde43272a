//! The clients that people have, pointed at one Longshore.

use crate::Longshore;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// How long a state may take to come about in a test.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(50);

/// What a client answered.
#[derive(Debug)]
pub struct Answer {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

/// Clients of one server, with its credentials.
pub struct Client<'a> {
    server: &'a Longshore,
}

impl<'a> Client<'a> {
    pub fn of(server: &'a Longshore) -> Self {
        Self { server }
    }

    /// The AWS CLI from PyPI, as `conformance/requirements.txt` pins it.
    pub fn try_aws(&self, args: &[&str]) -> Result<Answer> {
        let mut command = Command::new(installed("aws")?);
        command.args(args);
        self.run(command)
    }

    /// As [`Client::try_aws`], for calls that must succeed: the JSON that was printed, or null.
    pub fn aws(&self, args: &[&str]) -> Result<Value> {
        json(self.try_aws(args)?, args)
    }

    /// The error that a call must end with, `Code: message`.
    pub fn aws_error(&self, args: &[&str]) -> Result<String> {
        let answer = self.try_aws(args)?;
        if answer.ok {
            bail!("aws {args:?} succeeded: {}", answer.stdout);
        }
        Ok(answer.stderr.trim().to_owned())
    }

    /// Debian's AWS CLI 2, which knows `logs tail` but no AWS_ENDPOINT_URL.
    pub fn debian_aws(&self, args: &[&str]) -> Result<Answer> {
        let mut command = Command::new("/usr/bin/aws");
        command.args(["--endpoint-url", &self.server.endpoint()?.url]).args(args);
        self.run(command)
    }

    /// A Python program with boto3.
    pub fn python(&self, program: &str) -> Result<Value> {
        let mut command = Command::new(installed("python3")?);
        command.args(["-c", program]);
        json(self.run(command)?, &["python3"])
    }

    pub fn skopeo(&self, args: &[&str]) -> Result<Answer> {
        let mut command = Command::new("skopeo");
        command.args(args);
        self.run(command)
    }

    /// The user and password of `get-login-password`, as `AWS:…`.
    pub fn registry_login(&self) -> Result<String> {
        let answer = self.try_aws(&["ecr", "get-login-password", "--no-verify-ssl"])?;
        if !answer.ok {
            bail!("get-login-password failed: {}", answer.stderr);
        }
        Ok(format!("AWS:{}", answer.stdout.trim()))
    }

    /// A Python program with boto3 that goes on beside the test.
    pub fn python_beside(&self, program: &str, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(installed("python3")?);
        command.args(["-c", program]).args(args);
        self.point(&mut command)?;
        Ok(command)
    }

    fn run(&self, mut command: Command) -> Result<Answer> {
        self.point(&mut command)?;
        let Output { status, stdout, stderr } = command
            .output()
            .with_context(|| format!("cannot run {:?}: run ./test, which installs it", command.get_program()))?;
        Ok(Answer { ok: status.success(), stdout: String::from_utf8(stdout)?, stderr: String::from_utf8(stderr)? })
    }

    /// Tells a client where the server is and who calls.
    fn point(&self, command: &mut Command) -> Result<()> {
        let (endpoint, credentials) = (self.server.endpoint()?, self.server.credentials()?);
        command
            .env("AWS_ENDPOINT_URL", &endpoint.url)
            .env("AWS_ACCESS_KEY_ID", &credentials.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &credentials.secret_access_key)
            .env("AWS_DEFAULT_REGION", &endpoint.region)
            .env("AWS_PAGER", "")
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("AWS_PROFILE");
        Ok(())
    }

    /// Asks again until `wanted` holds of the answer, which is then given.
    pub fn aws_until(&self, args: &[&str], wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let begun = Instant::now();
        loop {
            let answer = self.aws(args)?;
            if wanted(&answer) {
                return Ok(answer);
            }
            if begun.elapsed() > SETTLE_TIMEOUT {
                bail!("aws {args:?} never answered what was waited for; last: {answer:#}");
            }
            std::thread::sleep(POLL);
        }
    }
}

fn json(answer: Answer, what: &[&str]) -> Result<Value> {
    if !answer.ok {
        bail!("{what:?} failed: {}{}", answer.stdout, answer.stderr);
    }
    if answer.stdout.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&answer.stdout).with_context(|| format!("{what:?} printed no JSON: {}", answer.stdout))
}

/// A program of the folder that `./test` installs clients into.
fn installed(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let path = test.ancestors().map(|folder| folder.join("clients/bin").join(name)).find(|path| path.exists());
    path.with_context(|| format!("{name} is not installed: run ./test, which installs it"))
}
