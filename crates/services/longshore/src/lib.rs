//! Longshore's own service: what AWS has no operation for, through the same stages as everything else.
//!
//! Its shape table is crates/wire/models/longshore.json. This room does not know how nodes tell what they tell
//! (control does), nor what tasks become (plan does).

mod story;

pub mod describe_task_events;
