//! Amazon Resource Names: `arn:partition:service:region:account:resource`.

use std::fmt;
use std::str::FromStr;

/// A parsed ARN. Region and account may be empty, as they are for IAM or S3.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arn {
    pub partition: String,
    pub service: String,
    pub region: String,
    pub account: String,
    /// Everything after the fifth colon, such as `task/default/0123…`.
    pub resource: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an ARN: expected arn:partition:service:region:account:resource")]
pub struct ArnError(String);

impl Arn {
    pub fn new(service: &str, region: &str, account: &str, resource: impl Into<String>) -> Self {
        Self {
            partition: crate::PARTITION.to_owned(),
            service: service.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            resource: resource.into(),
        }
    }

    /// The resource without its `kind/`, if it is of that kind.
    pub fn resource_of_kind(&self, kind: &str) -> Option<&str> {
        self.resource.strip_prefix(kind)?.strip_prefix('/')
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, service, region, account, resource } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

impl FromStr for Arn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        match parts[..] {
            ["arn", partition, service, region, account, resource] if !resource.is_empty() => Ok(Self {
                partition: partition.to_owned(),
                service: service.to_owned(),
                region: region.to_owned(),
                account: account.to_owned(),
                resource: resource.to_owned(),
            }),
            _ => Err(ArnError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Arn;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_survives_a_round_trip(service in "[a-z]{1,8}", region in "[a-z0-9-]{0,12}", account in "[0-9]{0,12}", resource in "[a-z/:*0-9]{1,30}") {
            let arn = Arn::new(&service, &region, &account, resource);
            prop_assert_eq!(arn.to_string().parse::<Arn>().expect("an ARN"), arn);
        }
    }

    #[test]
    fn what_is_not_an_arn_is_refused() {
        for text in ["", "arn:aws:ecs", "default", "arn:aws:ecs:us-east-1:000000000000:"] {
            assert!(text.parse::<Arn>().is_err(), "{text}");
        }
    }
}
