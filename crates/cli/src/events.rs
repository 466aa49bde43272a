//! `longshore events`: a task's whole story.

use crate::session::{Session, items, text};
use crate::table::{Column, Output};
use crate::task;
use anyhow::Result;
use base::Timestamp;
use serde_json::{Value, json};

/// What happened to the task, in order of time: documents of the service `longshore`.
pub async fn story(session: &Session, cluster: &str, task: &str) -> Result<Vec<Value>> {
    let input = json!({ "cluster": cluster, "task": task });
    let answer = session.aws.call("longshore", "DescribeTaskEvents", &input).await?;
    Ok(timed(items(&answer["events"]).to_vec()))
}

/// Each event with the time since the first.
fn timed(mut story: Vec<Value>) -> Vec<Value> {
    let begun = story.first().map_or(0.0, time);
    for event in &mut story {
        let since_ms = ((time(event) - begun) * 1e3).round() as i64;
        if let Some(members) = event.as_object_mut() {
            members.insert("sinceCreatedMs".to_owned(), json!(since_ms));
        }
    }
    story
}

fn time(event: &Value) -> f64 {
    event["at"].as_f64().unwrap_or_default()
}

pub async fn run(session: &Session, cluster: &str, task: &str, output: Output) -> Result<()> {
    const COLUMNS: [Column; 5] = [
        ("AT", |event| utc(&event["at"])),
        ("AFTER", |event| after(event)),
        ("WHO", |event| word(&event["source"])),
        ("WHAT", |event| what(event)),
        ("HOW", |event| word(&event["text"])),
    ];
    let task = text(&task::describe(session, cluster, task).await?["taskArn"])?;
    output.print(&story(session, cluster, &task).await?, &COLUMNS)
}

/// `+12 ms`, or in seconds from ten on.
pub fn after(event: &Value) -> String {
    match event["sinceCreatedMs"].as_i64().unwrap_or_default() {
        ms if ms < 10_000 => format!("+{ms} ms"),
        ms => format!("+{}.{} s", ms / 1000, ms % 1000 / 100),
    }
}

/// `PULLED web`, or the new health of a container.
pub fn what(event: &Value) -> String {
    let words = [&event["kind"], &event["container"], &event["health"]];
    let words = words.into_iter().map(word).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A time of the API in UTC, to the millisecond.
fn utc(at: &Value) -> String {
    let ms = (at.as_f64().unwrap_or_default() * 1e3).round() as i64;
    Timestamp::from_millis(ms).iso8601()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_in_few_words() {
        fn check(event: Value, expect: (&str, &str)) {
            assert_eq!((after(&event).as_str(), what(&event).as_str()), expect);
        }
        check(json!({ "sinceCreatedMs": 12, "kind": "PULLED", "container": "web" }), ("+12 ms", "PULLED web"));
        let health = json!({ "sinceCreatedMs": 10_150, "kind": "HEALTH", "container": "web", "health": "HEALTHY" });
        check(health, ("+10.1 s", "HEALTH web HEALTHY"));
        let story = timed(vec![json!({ "at": 1.0 }), json!({ "at": 1.25 }), json!("no event")]);
        assert_eq!(
            story,
            [
                json!({ "at": 1.0, "sinceCreatedMs": 0 }),
                json!({ "at": 1.25, "sinceCreatedMs": 250 }),
                json!("no event")
            ]
        );
        assert_eq!(utc(&json!(1.5)), "1970-01-01T00:00:01.500Z");
    }
}
