//! ECR: repositories and the images in them. Bytes of images go over `/v2`, by the registry.
//!
//! One operation, one file. Immutable tags, KMS keys, scanning, lifecycle rules,
//! policies, replication, pull-through caches and uploads through this API
//! (InitiateLayerUpload and its kin) are not here yet.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/Welcome.html>

pub mod batch_check_layer_availability;
pub mod batch_delete_image;
pub mod batch_get_image;
pub mod create_repository;
pub mod delete_repository;
pub mod describe_images;
pub mod describe_repositories;
pub mod get_authorization_token;
pub mod list_images;
pub mod list_tags_for_resource;
pub mod put_image;

mod commit;
mod errors;
mod image_ids;
mod page;
mod repositories;

#[cfg(test)]
mod tests;
