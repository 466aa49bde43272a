//! `longshore images`: what the account's repositories hold.

use crate::session::{Session, items, text};
use crate::table::{Column, Output, ago, size};
use anyhow::Result;
use serde_json::{Value, json};

/// Characters of a digest that people tell images apart by.
const DIGEST_CHARS: usize = 12;

const COLUMNS: [Column; 5] = [
    ("REPOSITORY", |image| image["repositoryName"].as_str().unwrap_or_default().to_owned()),
    ("TAGS", tags),
    ("DIGEST", |image| {
        let digest = image["imageDigest"].as_str().unwrap_or_default();
        digest.trim_start_matches("sha256:").chars().take(DIGEST_CHARS).collect()
    }),
    ("SIZE", |image| size(image["imageSizeInBytes"].as_u64().unwrap_or_default())),
    ("PUSHED", |image| format!("{} ago", ago(&image["imagePushedAt"]))),
];

pub async fn run(session: &Session, repository: Option<&str>, output: Output) -> Result<()> {
    let wanted = repository.map_or(json!({}), |name| json!({ "repositoryNames": [name] }));
    let mut images = Vec::new();
    for repository in session.every("ecr", "DescribeRepositories", wanted, "repositories").await? {
        let input = json!({ "repositoryName": text(&repository["repositoryName"])? });
        images.extend(session.every("ecr", "DescribeImages", input, "imageDetails").await?);
    }
    output.print(&images, &COLUMNS)
}

fn tags(image: &Value) -> String {
    let tags: Vec<_> = items(&image["imageTags"]).iter().filter_map(Value::as_str).collect();
    if tags.is_empty() { "-".to_owned() } else { tags.join(", ") }
}
