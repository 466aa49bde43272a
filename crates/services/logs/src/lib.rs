//! CloudWatch Logs: groups, streams, and the events that containers write.
//!
//! One operation, one file. Groups and streams are rows; events are telemetry.
//! Retention, filter patterns, subscriptions and Insights are not here yet.
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/Welcome.html>

pub mod create_log_group;
pub mod create_log_stream;
pub mod delete_log_group;
pub mod delete_log_stream;
pub mod describe_log_groups;
pub mod describe_log_streams;
pub mod filter_log_events;
pub mod get_log_events;
pub mod list_tags_for_resource;
pub mod put_log_events;

mod errors;
mod names;

#[cfg(test)]
mod tests;
