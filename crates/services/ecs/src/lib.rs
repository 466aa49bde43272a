//! Amazon ECS: one file per operation, each with its `checks` and its `run`.
//!
//! | module | what operations share |
//! |---|---|
//! | [`errors`] | every error, its code and text |
//! | `names`, `find` | how callers name things, and the rows behind the names |
//! | `constraints` | placement constraints of definitions and calls |
//! | `definition`, `overrides` | task definitions as they are registered, and as a run changes them |
//! | `attributes` | attributes that users give container instances |
//! | `cluster_settings` | what clusters are set to |
//! | `settings` | account settings: what there is to choose, and what holds for whom |
//! | `supported`, `zero` | the refusal of what means nothing here yet, and of zero bytes |
//! | `reports` | agents' reports in plan's words |
//! | `show`, `tags`, `tagged`, `paging` | rows as the API shows them |
//!
//! This room does not know where tasks should go or what a report makes of them (plan does), how
//! nodes hear of their tasks (control does), HTTP, or other services.

mod attributes;
mod cluster_settings;
mod constraints;
mod definition;
pub mod errors;
mod find;
mod names;
mod overrides;
mod paging;
mod reports;
mod roles;
mod settings;
mod show;
mod supported;
mod tagged;
mod tags;
mod zero;

pub mod create_cluster;
pub mod delete_account_setting;
pub mod delete_attributes;
pub mod delete_cluster;
pub mod delete_task_definitions;
pub mod deregister_container_instance;
pub mod deregister_task_definition;
pub mod describe_clusters;
pub mod describe_container_instances;
pub mod describe_task_definition;
pub mod describe_tasks;
pub mod discover_poll_endpoint;
pub mod list_account_settings;
pub mod list_attributes;
pub mod list_clusters;
pub mod list_container_instances;
pub mod list_tags_for_resource;
pub mod list_task_definition_families;
pub mod list_task_definitions;
pub mod list_tasks;
pub mod put_account_setting;
pub mod put_account_setting_default;
pub mod put_attributes;
pub mod register_container_instance;
pub mod register_task_definition;
pub mod run_task;
pub mod start_task;
pub mod stop_task;
pub mod submit_container_state_change;
pub mod submit_task_state_change;
pub mod tag_resource;
pub mod untag_resource;
pub mod update_cluster;
pub mod update_cluster_settings;
pub mod update_container_agent;
pub mod update_container_instances_state;

#[cfg(test)]
mod tests;
