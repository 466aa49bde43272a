//! Where a container's output goes, in the drivers' words. Pure.

use super::Launch;
use crate::drivers::{FileSpec, OutputSpec, Overflow};
use crate::order::{Attributes, Logs, TAG_FIELDS};
use regex::Regex;
use std::collections::BTreeMap;

/// Docker's short form of a container's id.
const SHORT_ID_CHARS: usize = 12;

impl Launch<'_> {
    pub(super) fn output(&self) -> OutputSpec {
        match &self.container.logs {
            Logs::Nowhere => OutputSpec::Nowhere,
            Logs::Aws(logs) => OutputSpec::Spool {
                overflow: if logs.blocking { Overflow::Block } else { Overflow::Drop },
                bytes_max: logs.buffer_bytes,
            },
            Logs::File(logs) => OutputSpec::File(FileSpec {
                bytes_max: logs.bytes_max,
                files_max: logs.files_max,
                compress: logs.compress,
                attributes: self.attributes(&logs.attributes),
            }),
        }
    }

    /// What of the container stands beside each line.
    fn attributes(&self, asked: &Attributes) -> BTreeMap<String, String> {
        let mut kept = BTreeMap::new();
        if *asked == Attributes::default() {
            return kept;
        }
        kept.extend(named(&self.container.labels, &asked.labels, asked.labels_regex.as_deref()));
        kept.extend(named(&self.environment(), &asked.env, asked.env_regex.as_deref()));
        kept.extend(asked.tag.as_ref().map(|template| ("tag".to_owned(), self.tag(template))));
        kept
    }

    fn tag(&self, template: &str) -> String {
        let short = self.runtime_id.chars().take(SHORT_ID_CHARS).collect::<String>();
        let values = [short.as_str(), self.runtime_id, &self.container.name, &self.container.image];
        TAG_FIELDS.iter().zip(values).fold(template.to_owned(), |text, (field, value)| text.replace(field, value))
    }
}

/// Those that are in the list or match.
fn named(from: &BTreeMap<String, String>, list: &[String], pattern: Option<&str>) -> BTreeMap<String, String> {
    // One that is none was refused with the order.
    let pattern = pattern.and_then(|pattern| Regex::new(pattern).ok());
    let wanted = |name: &String| list.contains(name) || pattern.as_ref().is_some_and(|it| it.is_match(name));
    from.iter().filter(|(name, _)| wanted(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::with;
    use super::*;
    use crate::order::{AwsLogs, ContainerOrder, FileLogs, TaskOrder};

    fn output(logs: Logs) -> OutputSpec {
        let words = |words: &[(&str, &str)]| words.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let container = ContainerOrder {
            name: "app".to_owned(),
            image: "here/web:1".to_owned(),
            labels: words(&[("team", "a"), ("other", "b")]),
            environment: words(&[("STAGE", "test"), ("SECRET", "no")]),
            logs,
            ..ContainerOrder::default()
        };
        with(&TaskOrder::default(), &container, |launch| launch.spec().output)
    }

    #[test]
    fn output_that_is_shipped_waits_or_is_dropped_as_the_mode_says() {
        for (blocking, overflow) in [(true, Overflow::Block), (false, Overflow::Drop)] {
            let logs = AwsLogs { blocking, buffer_bytes: 5, ..AwsLogs::default() };
            assert_eq!(output(Logs::Aws(logs)), OutputSpec::Spool { overflow, bytes_max: 5 });
        }
        assert_eq!(output(Logs::Nowhere), OutputSpec::Nowhere);
    }

    #[test]
    fn files_are_bounded_unless_the_driver_was_asked_for() {
        let OutputSpec::File(unasked) = output(Logs::default()) else { panic!("a file") };
        assert_eq!((unasked.bytes_max, unasked.files_max), (Some(10_000_000), 2));
        let OutputSpec::File(asked) = output(Logs::File(FileLogs::default())) else { panic!("a file") };
        assert_eq!((asked.bytes_max, asked.attributes), (None, BTreeMap::new()));
    }

    #[test]
    fn labels_variables_and_tag_stand_beside_each_line() {
        let attributes = Attributes {
            labels: vec!["team".to_owned(), "none".to_owned()],
            env_regex: Some("^STA".to_owned()),
            tag: Some("{{.Name}}/{{.ID}} of {{.ImageName}}".to_owned()),
            ..Attributes::default()
        };
        let OutputSpec::File(file) = output(Logs::File(FileLogs { attributes, ..FileLogs::default() })) else {
            panic!("a file")
        };
        let found: Vec<_> = file.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(found, ["STAGE=test", "tag=app/0123456789ab of here/web:1", "team=a"]);
    }
}
