//! Roles that callers hand to tasks.

use crate::errors::{DefinitionError, EcsError};
use auth::Check;
use base::Arn;

/// Whom task and execution roles are passed to.
const TASKS_SERVICE: &str = "ecs-tasks.amazonaws.com";

/// Characters of a role's name, and of its path and name together (AWS IAM API reference, CreateRole).
const NAME_CHARS_MAX: usize = 64;
const PATH_CHARS_MAX: usize = 512;

/// What a role's name has beside letters and digits (the same).
const NAME_MARKS: &[u8] = b"_+=,.@-";

/// The ARN of a role that is given by ARN or by name, as ECS takes both (Amazon ECS API reference,
/// RegisterTaskDefinition); nothing for an empty text.
pub(crate) fn arn(account: &str, given: Option<&str>) -> Result<Option<String>, EcsError> {
    let Some(given) = given.filter(|text| !text.is_empty()) else { return Ok(None) };
    if !given.starts_with("arn:") {
        let name = Some(given).filter(|given| is_role(given)).ok_or(DefinitionError::Role)?;
        return Ok(Some(Arn::new("iam", "", account, format!("role/{name}")).to_string()));
    }
    let of_iam = |arn: &Arn| arn.service == "iam" && arn.region.is_empty() && base::is_account_id(&arn.account);
    let parsed = given.parse::<Arn>().ok().filter(of_iam);
    let role = parsed.filter(|arn| arn.resource_of_kind("role").is_some_and(is_role));
    role.map(|arn| Some(arn.to_string())).ok_or_else(|| DefinitionError::Role.into())
}

/// A role's name, with its path before it if it has one.
fn is_role(text: &str) -> bool {
    let (path, name) = text.rsplit_once('/').unwrap_or(("", text));
    let plain = |b: u8| b.is_ascii_alphanumeric() || NAME_MARKS.contains(&b);
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.bytes().all(plain)
        && path.len() <= PATH_CHARS_MAX
        && !text.starts_with('/')
        && path.bytes().all(|b| b.is_ascii_graphic())
}

/// `iam:PassRole` for each role given.
pub(crate) fn checks(account: &str, given: [Option<&str>; 2]) -> Result<Vec<Check>, EcsError> {
    let mut checks = Vec::new();
    for role in given {
        checks.extend(arn(account, role)?.map(|role| Check::pass_role(role, TASKS_SERVICE)));
    }
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::arn;

    #[test]
    fn roles_are_named_by_arn_or_name() {
        let role = |rest: &str| Some(format!("arn:aws:iam::000000000000:role/{rest}"));
        let long = "x".repeat(65);
        for (given, expected) in [
            ("", Ok(None)),
            ("app", Ok(role("app"))),
            ("App_1+=,.@-", Ok(role("App_1+=,.@-"))),
            ("service-role/app", Ok(role("service-role/app"))),
            ("arn:aws:iam::000000000000:role/app", Ok(role("app"))),
            ("arn:aws:iam::000000000000:role/a/b", Ok(role("a/b"))),
            ("a b", Err(())),
            ("a\0", Err(())),
            ("/app", Err(())),
            ("app/", Err(())),
            ("role:app", Err(())),
            (long.as_str(), Err(())),
            ("arn:", Err(())),
            ("arn:aws:iam::000000000000:role/", Err(())),
            ("arn:aws:iam::000000000000:role/a b", Err(())),
            ("arn:aws:iam::000000000000:role//app", Err(())),
            ("arn:aws:iam::0:role/app", Err(())),
            ("arn:aws:iam:us-east-1:000000000000:role/app", Err(())),
            ("arn:aws:iam::000000000000:user/app", Err(())),
            ("arn:aws:s3:::role/app", Err(())),
        ] {
            let read =
                arn("000000000000", Some(given)).map_err(|error| assert_eq!(error.to_string(), "Role is not valid"));
            assert_eq!(read, expected, "{given:?}");
        }
    }
}
