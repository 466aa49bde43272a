use super::{Facts, Query};
use crate::testing::{instance, task};
use base::Timestamp;
use proptest::prelude::*;
use state::LastStatus;

/// An instance with attributes, an agent, and a running task of group `database` beside a stopped one of `old`.
fn check(text: &str, expect: bool) {
    let mut node = instance("n", 1024, 512);
    node.agent_attributes = vec![
        ("ecs.instance-type".into(), Some("g2.xlarge".into())),
        ("ecs.os-type".into(), Some("linux".into())),
        ("ecs.capability.task-eni".into(), None),
    ];
    node.custom_attributes.insert("weight".into(), Some("9".into()));
    node.agent_version = Some("1.54.1".into());
    node.ec2_instance_id = Some("i-1".into());
    node.registered_at = Timestamp::parse_iso8601("2018-02-14T10:30:00Z").expect("a time");
    let (mut database, mut old) = (task("a", 1, 1, vec![]), task("b", 1, 1, vec![]));
    (database.group, database.last) = ("database".into(), LastStatus::Running);
    (old.group, old.last) = ("old".into(), LastStatus::Stopped);
    let held = [&database, &old].into_iter().collect();
    let facts = Facts::of(&node, &held);
    let query = Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(query.holds(&facts), expect, "{text}");
}

#[test]
fn subjects_are_compared_as_what_they_are() {
    check("attribute:ecs.instance-type == g2.xlarge", true);
    check("attribute:ecs.instance-type equals 'g2.xlarge'", true);
    check("attribute:ecs.os-type==linux", true);
    check("attribute:ecs.os-type != linux", false);
    check("attribute:none != linux", true);
    check("attribute:weight < 10", true);
    check("attribute:weight >= 9.0", true);
    check("attribute:weight == 9.0", true);
    check("attribute:ecs.os-type > aix", true);
    check("attribute:none > a", false);
    check("agentConnected == true", true);
    check("agentVersion > 1.9.0", true);
    check("agentVersion less_than 1.54.2", true);
    check("ec2InstanceId in [i-0, \"i-1\"]", true);
    check("ec2InstanceId not_in ['i-0']", true);
    check("ec2InstanceId !in [i-1]", false);
    check("registeredAt < 2018-02-15", true);
    check("registeredAt greater_than_equal 2018-02-14T10:30:00", true);
    check("registeredAt > 2018-02-14T10:30:00+00:00", false);
    check("runningTasksCount == 1", true);
    check("runningTasksCount less_than_equal 0", false);
    check("task:group == database", true);
    check("task:group == old", false);
    check("task:group exists", true);
}

#[test]
fn existence_and_patterns() {
    check("attribute:ecs.capability.task-eni exists", true);
    check("attribute:ecs.capability.task-eni !exists", false);
    check("attribute:none not_exists", true);
    check("attribute:ecs.instance-type =~ g2.*", true);
    check("attribute:ecs.instance-type matches (g|t)2\\..*", true);
    check("attribute:ecs.instance-type =~ g2", false);
    check("attribute:ecs.instance-type !~ t2.*", true);
    check("attribute:none not_matches .*", true);
}

#[test]
fn or_binds_less_than_and_and_not_binds_most() {
    check("agentConnected == false and runningTasksCount == 1 or task:group == database", true);
    check("agentConnected == false && (runningTasksCount == 1 || task:group == database)", false);
    check("not(task:group == database)", false);
    check("!(task:group == web)", true);
    check("not task:group == database or agentConnected == true", true);
    check("(attribute:ecs.os-type =~ (linux|windows)) AND ((runningTasksCount > 0))", true);
}

#[test]
fn what_is_no_expression_is_refused() {
    let long = format!("attribute:a == {}", "x".repeat(2000));
    let deep = format!("{}runningTasksCount == 1", "(".repeat(65));
    for (text, expected) in [
        ("", "the expression is empty"),
        ("  ", "the expression is empty"),
        (long.as_str(), "the expression has more than 2000 characters"),
        (deep.as_str(), "the expression is nested more than 64 deep"),
        ("memory == 1", "'memory' is nothing that container instances are asked about"),
        ("attribute: == 1", "'attribute:' is nothing that container instances are asked about"),
        ("agentConnected", "expected an operator, not the end"),
        ("agentConnected is true", "expected an operator, not 'is'"),
        ("agentConnected ==", "expected a value, not the end"),
        ("agentConnected == true true", "expected and, or or the end, not 'true'"),
        ("agentConnected == true and", "expected a subject, not the end"),
        ("(agentConnected == true", "expected ')', not the end"),
        ("agentConnected == true)", "expected and, or or the end, not ')'"),
        ("ec2InstanceId in i-1", "expected a list such as [a, b], not 'i-1'"),
        ("ec2InstanceId in [i-1,]", "expected values between commas, not [i-1,]"),
        ("ec2InstanceId == \"i-1", "expected a closing quote, not '\"'"),
        ("runningTasksCount > many", "'many' is no value that runningTasksCount is compared with"),
        ("registeredAt > yesterday", "'yesterday' is no value that registeredAt is compared with"),
        ("agentVersion > x", "'x' is no value that agentVersion is compared with"),
        ("attribute:a =~ [", "'[' is not a regular expression that is supported"),
        ("attribute:a =~ (a", "'(a' is not a regular expression that is supported"),
    ] {
        assert_eq!(Query::parse(text).expect_err(text).to_string(), expected, "{text}");
    }
}

proptest! {
    /// Any text is read or refused, and nothing that is read cannot be asked.
    #[test]
    fn no_text_breaks_the_reader(text in "(not|!|and|or|\\(|\\)|agentConnected|attribute:a|==|in|\\[a\\]|é|=~| ){0,20}") {
        if let Ok(query) = Query::parse(&text) {
            let node = instance("n", 1, 1);
            query.holds(&Facts::of(&node, &state::Held::default()));
        }
    }
}
