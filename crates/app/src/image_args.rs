//! Options on images, for `up` and the agent that it starts alike.

use agent::image_options as options;
use agent::image_options::{Cleanup, Mirror, PullBehavior};
use agent::{ImageOptions, RegistryAuth};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// The most that a share of a disk can be.
const PERCENT_MAX: u64 = 100;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Images")]
pub struct ImageArgs {
    /// When a registry is asked for an image that is here already, as ECS_IMAGE_PULL_BEHAVIOR
    #[arg(long, value_name = "default|always|once|prefer-cached", default_value = "default", value_parser = behavior)]
    image_pull_behavior: String,
    /// How long a pull may bring nothing before it is tried again, 1m at least, as ECS_IMAGE_PULL_INACTIVITY_TIMEOUT
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = inactivity)]
    image_pull_inactivity_timeout: String,
    /// Where to pull a registry's images from before it is asked itself; may be given several times
    #[arg(long, value_name = "REGISTRY=URL", value_parser = mirror)]
    registry_mirror: Vec<String>,
    /// Registry that is asked over plain HTTP, as those of this machine are; may be given several times
    #[arg(long, value_name = "HOST:PORT", value_parser = registry)]
    insecure_registry: Vec<String>,
    /// File with credentials for registries: the lines ECS_ENGINE_AUTH_TYPE and ECS_ENGINE_AUTH_DATA of
    /// /etc/ecs/ecs.config
    #[arg(long, value_name = "FILE")]
    registry_auth: Option<PathBuf>,
    /// PEM file of certificate authorities that vouch for registries, beside those of the system
    #[arg(long, value_name = "FILE")]
    registry_ca: Option<PathBuf>,
    /// Never remove images that no task needs, as ECS_DISABLE_IMAGE_CLEANUP
    #[arg(long)]
    disable_image_cleanup: bool,
    /// Time between two cleanups, 10m at least, as ECS_IMAGE_CLEANUP_INTERVAL
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = cleanup_interval)]
    image_cleanup_interval: String,
    /// Time since its pull after which a cleanup removes an image, as ECS_IMAGE_MINIMUM_CLEANUP_AGE
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time)]
    image_minimum_cleanup_age: String,
    /// Images that one cleanup removes at most, as ECS_NUM_IMAGES_DELETE_PER_CYCLE
    #[arg(long, value_name = "COUNT", default_value_t = options::IMAGES_PER_CYCLE_DEFAULT, value_parser = count)]
    num_images_delete_per_cycle: usize,
    /// How long what is left of a stopped container stays, as ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION
    #[arg(long, value_name = "TIME", default_value = "3h", value_parser = task_wait)]
    engine_task_cleanup_wait_duration: String,
    /// Where the disk is fuller than this, stopped containers and images that no task needs are removed at once
    #[arg(long, value_name = "PERCENT", default_value_t = options::DISK_HIGH_WATER_PERCENT_DEFAULT,
        value_parser = clap::value_parser!(u64).range(1..=PERCENT_MAX))]
    disk_high_water: u64,
}

fn behavior(text: &str) -> Result<String, String> {
    text.parse::<PullBehavior>().map(|_| text.to_owned())
}

fn mirror(text: &str) -> Result<String, String> {
    text.parse::<Mirror>().map(|_| text.to_owned())
}

fn registry(text: &str) -> Result<String, String> {
    match oci::reference::is_registry(text) {
        true => Ok(text.to_owned()),
        false => Err("a registry is HOST or HOST:PORT".to_owned()),
    }
}

fn time(text: &str) -> Result<String, String> {
    options::duration(text).map(|_| text.to_owned())
}

fn inactivity(text: &str) -> Result<String, String> {
    at_least(text, options::INACTIVITY_TIMEOUT_MIN)
}

fn cleanup_interval(text: &str) -> Result<String, String> {
    at_least(text, options::CLEANUP_INTERVAL_MIN)
}

fn task_wait(text: &str) -> Result<String, String> {
    at_least(text, options::TASK_WAIT_MIN)
}

fn at_least(text: &str, least: Duration) -> Result<String, String> {
    match options::duration(text)? >= least {
        true => Ok(text.to_owned()),
        false => Err(format!("it is {}s at least", least.as_secs())),
    }
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "it is a number from 1 on".to_owned())
}

impl ImageArgs {
    /// What the agent is to do, with the files read.
    ///
    /// # Errors
    /// When a file cannot be read, or has not what it must have.
    pub fn options(&self) -> Result<ImageOptions> {
        let time = |text: &str| options::duration(text).map_err(anyhow::Error::msg);
        let mirrors = self.registry_mirror.iter().map(|text| text.parse().map_err(anyhow::Error::msg));
        Ok(ImageOptions {
            pull_behavior: self.image_pull_behavior.parse().map_err(anyhow::Error::msg)?,
            inactivity_timeout: time(&self.image_pull_inactivity_timeout)?,
            mirrors: mirrors.collect::<Result<_>>()?,
            insecure: self.insecure_registry.iter().cloned().collect(),
            auth: self.auth()?,
            ca: self.ca()?,
            cleanup: Cleanup {
                enabled: !self.disable_image_cleanup,
                interval: time(&self.image_cleanup_interval)?,
                minimum_age: time(&self.image_minimum_cleanup_age)?,
                images_per_cycle: self.num_images_delete_per_cycle,
                task_wait: time(&self.engine_task_cleanup_wait_duration)?,
                disk_high_water_percent: self.disk_high_water,
            },
        })
    }

    fn auth(&self) -> Result<RegistryAuth> {
        let Some(path) = &self.registry_auth else { return Ok(RegistryAuth::default()) };
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        RegistryAuth::parse(&text).with_context(|| format!("--registry-auth {}", path.display()))
    }

    fn ca(&self) -> Result<Vec<u8>> {
        let Some(path) = &self.registry_ca else { return Ok(Vec::new()) };
        let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        oci::client::Transport::system(&pem, self::options::INACTIVITY_TIMEOUT_DEFAULT)
            .with_context(|| format!("--registry-ca {}", path.display()))?;
        if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
            bail!("--registry-ca {}: it has no certificate in PEM", path.display());
        }
        Ok(pem)
    }

    /// The same as a command line.
    pub fn command_line(&self) -> Vec<String> {
        let mut line = Vec::new();
        let mut option = |name: &str, value: &str| line.extend([format!("--{name}"), value.to_owned()]);
        option("image-pull-behavior", &self.image_pull_behavior);
        option("image-pull-inactivity-timeout", &self.image_pull_inactivity_timeout);
        self.registry_mirror.iter().for_each(|mirror| option("registry-mirror", mirror));
        self.insecure_registry.iter().for_each(|registry| option("insecure-registry", registry));
        for (name, path) in [("registry-auth", &self.registry_auth), ("registry-ca", &self.registry_ca)] {
            path.iter().for_each(|path| option(name, &path.to_string_lossy()));
        }
        option("image-cleanup-interval", &self.image_cleanup_interval);
        option("image-minimum-cleanup-age", &self.image_minimum_cleanup_age);
        option("num-images-delete-per-cycle", &self.num_images_delete_per_cycle.to_string());
        option("engine-task-cleanup-wait-duration", &self.engine_task_cleanup_wait_duration);
        option("disk-high-water", &self.disk_high_water.to_string());
        if self.disable_image_cleanup {
            line.push("--disable-image-cleanup".to_owned());
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        images: ImageArgs,
    }

    fn parse(line: &[&str]) -> Result<ImageArgs, clap::Error> {
        Alone::try_parse_from([&["x"], line].concat()).map(|alone| alone.images)
    }

    #[test]
    fn what_up_is_told_reaches_the_agent() {
        let line = [
            "--image-pull-behavior",
            "once",
            "--image-pull-inactivity-timeout",
            "2m",
            "--registry-mirror",
            "docker.io=https://m.io",
            "--registry-mirror",
            "docker.io=http://n.io",
            "--insecure-registry",
            "r.io:5000",
            "--image-cleanup-interval",
            "1h",
            "--image-minimum-cleanup-age",
            "5m",
            "--num-images-delete-per-cycle",
            "9",
            "--engine-task-cleanup-wait-duration",
            "1s",
            "--disk-high-water",
            "70",
            "--disable-image-cleanup",
        ];
        for line in [&line[..], &[]] {
            let first = parse(line).expect("parsed");
            let passed = first.command_line();
            let again = parse(&passed.iter().map(String::as_str).collect::<Vec<_>>()).expect("parsed again");
            assert_eq!(
                format!("{:?}", again.options().expect("options")),
                format!("{:?}", first.options().expect("options"))
            );
        }
        let options = parse(&line).expect("parsed").options().expect("options");
        assert_eq!((options.pull_behavior, options.mirrors.len()), (PullBehavior::Once, 2));
        assert_eq!((options.cleanup.disk_high_water_percent, options.cleanup.enabled), (70, false));
    }

    #[test]
    fn what_makes_no_sense_is_refused_at_the_start() {
        for line in [
            ["--image-pull-behavior", "never"],
            ["--image-pull-inactivity-timeout", "59s"],
            ["--image-cleanup-interval", "9m"],
            ["--engine-task-cleanup-wait-duration", "0s"],
            ["--num-images-delete-per-cycle", "0"],
            ["--disk-high-water", "101"],
            ["--registry-mirror", "docker.io"],
            ["--insecure-registry", "http://r.io"],
        ] {
            assert!(parse(&line).is_err(), "{line:?}");
        }
        for option in ["--registry-auth", "--registry-ca"] {
            for file in ["/nonexistent", "/etc/hostname"] {
                let error = parse(&[option, file]).expect("parsed").options().expect_err(file);
                assert!(error.to_string().contains(file), "{error}");
            }
        }
    }
}
