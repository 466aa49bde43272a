//! The image config: what a container made from an image runs, and its layers' diff ids.
//!
//! OCI image specification, "Image Configuration"; Docker's own config differs
//! in fields that we do not read, and in writing `null` for what is empty.

use crate::digest::Digest;
use crate::manifest::Platform;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Largest image config that we read, in bytes: the same as for a manifest.
pub const IMAGE_CONFIG_BYTES_MAX: u64 = crate::manifest::MANIFEST_BYTES_MAX as u64;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    #[serde(default)]
    pub architecture: String,
    #[serde(default)]
    pub os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// RFC 3339 text, as the builder wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub config: ContainerConfig,
    #[serde(default)]
    pub rootfs: RootFs,
}

/// What a container starts with, unless its definition says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    /// `user`, `uid`, `user:group` or `uid:gid`; empty means root.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `80/tcp`, `53/udp`; without a protocol tcp is meant.
    #[serde(deserialize_with = "keys", serialize_with = "as_keys", skip_serializing_if = "Vec::is_empty")]
    pub exposed_ports: Vec<String>,
    /// `NAME=value`.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Absolute paths in the container.
    #[serde(deserialize_with = "keys", serialize_with = "as_keys", skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// Empty means `/`.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `SIGTERM` or a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Docker's addition to the OCI config.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
}

/// Docker's HEALTHCHECK; durations in nanoseconds, 0 means the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", command]`; empty inherits.
    #[serde(deserialize_with = "null_is_empty")]
    pub test: Vec<String>,
    pub interval: u64,
    pub timeout: u64,
    pub start_period: u64,
    pub start_interval: u64,
    pub retries: u32,
}

/// The layers by the digests of their uncompressed tar streams, lowest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub diff_ids: Vec<Digest>,
}

#[derive(Debug, thiserror::Error)]
pub enum ImageConfigError {
    #[error("image config has {0} bytes: {IMAGE_CONFIG_BYTES_MAX} at most are read")]
    TooLarge(u64),
    #[error("image config is not the JSON of an OCI or Docker image: {0}")]
    Json(#[from] serde_json::Error),
}

impl ImageConfig {
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageConfigError> {
        let len = bytes.len() as u64;
        if len > IMAGE_CONFIG_BYTES_MAX {
            return Err(ImageConfigError::TooLarge(len));
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    pub fn platform(&self) -> Platform {
        Platform { variant: self.variant.clone(), ..Platform::new(&self.os, &self.architecture) }
    }
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".to_owned(), diff_ids: Vec::new() }
    }
}

/// Go writes an empty slice, map or struct pointer as `null`.
fn null_is_empty<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// A Go set, `{"80/tcp": {}}`, as its keys in order.
fn keys<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let set = Option::<BTreeMap<String, serde::de::IgnoredAny>>::deserialize(from)?;
    Ok(set.unwrap_or_default().into_keys().collect())
}

fn as_keys<S: serde::Serializer>(names: &[String], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(names.iter().map(|name| (name, serde_json::Map::new())))
}

#[cfg(test)]
mod tests {
    use super::{ContainerConfig, Healthcheck, ImageConfig, ImageConfigError};

    #[test]
    fn a_docker_config_is_read() {
        let config = ImageConfig::parse(
            br#"{"architecture":"arm64","variant":"v8","os":"linux","created":"2026-01-01T00:00:00Z","history":[],
            "config":{"User":"1000:0","ExposedPorts":{"80/tcp":{},"53/udp":{}},"Env":["A=b"],"Entrypoint":["/e"],
            "Cmd":["c"],"Volumes":{"/data":{}},"WorkingDir":"/w","Labels":{"k":"v"},"StopSignal":"SIGQUIT","OnBuild":null,
            "Healthcheck":{"Test":["CMD","x"],"Interval":1000000000,"Retries":3}},
            "rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}"#,
        )
        .expect("a config");
        assert_eq!(config.platform().to_string(), "linux/arm64/v8");
        assert_eq!(config.rootfs.diff_ids.len(), 1);
        let text = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let expect = ContainerConfig {
            user: "1000:0".to_owned(),
            exposed_ports: text(&["53/udp", "80/tcp"]),
            env: text(&["A=b"]),
            entrypoint: text(&["/e"]),
            cmd: text(&["c"]),
            volumes: text(&["/data"]),
            working_dir: "/w".to_owned(),
            labels: [("k".to_owned(), "v".to_owned())].into(),
            stop_signal: Some("SIGQUIT".to_owned()),
            healthcheck: Some(Healthcheck {
                test: text(&["CMD", "x"]),
                interval: 1_000_000_000,
                retries: 3,
                ..Healthcheck::default()
            }),
        };
        assert_eq!(config.config, expect);
        let again = serde_json::to_vec(&config).expect("json");
        assert_eq!(ImageConfig::parse(&again).expect("back"), config);
    }

    #[test]
    fn null_and_absent_mean_empty() {
        let nulls = r#"{"config":{"Env":null,"Cmd":null,"Entrypoint":null,"Labels":null,"Volumes":null,"ExposedPorts":null,"User":null,"WorkingDir":null,"Healthcheck":null,"StopSignal":null}}"#;
        for text in ["{}", r#"{"config":null}"#, nulls] {
            assert_eq!(ImageConfig::parse(text.as_bytes()).expect(text), ImageConfig::default());
        }
    }

    #[test]
    fn what_is_no_config_is_refused() {
        assert!(matches!(ImageConfig::parse(b"7"), Err(ImageConfigError::Json(_))));
        let large = vec![b' '; 4 * 1024 * 1024 + 1];
        assert!(matches!(ImageConfig::parse(&large), Err(ImageConfigError::TooLarge(_))));
    }
}
