//! ECR: repositories and the images in them. Bytes of images go over `/v2`, by the registry.
//!
//! One operation, one file. KMS keys, scanning, lifecycle rules, policies,
//! replication and pull-through caches are not here yet.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/Welcome.html>

pub mod batch_check_layer_availability;
pub mod batch_delete_image;
pub mod batch_get_image;
pub mod complete_layer_upload;
pub mod create_repository;
pub mod delete_repository;
pub mod describe_images;
pub mod describe_repositories;
pub mod get_authorization_token;
pub mod get_download_url_for_layer;
pub mod initiate_layer_upload;
pub mod list_image_referrers;
pub mod list_images;
pub mod list_tags_for_resource;
pub mod put_image;
pub mod put_image_scanning_configuration;
pub mod put_image_tag_mutability;
pub mod tag_resource;
pub mod untag_resource;
pub mod upload_layer_part;

mod commit;
mod errors;
mod image_ids;
mod page;
mod repositories;
mod resource_tags;
mod settings;
mod uploads;

#[cfg(test)]
mod tests;
