//! Who is asking, once a signature or token has been verified.

use crate::Arn;
use serde::{Deserialize, Serialize};

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Principal {
    /// The account itself: may do everything in its account.
    Root { account: String },
    /// A node agent, bound to one cluster and, once registered, to one container instance.
    Node { account: String, region: String, cluster: String, access_key_id: String, instance: Option<String> },
    /// A loop of the control plane itself.
    Service { account: String, name: String },
}

impl Principal {
    pub fn account(&self) -> &str {
        match self {
            Self::Root { account } | Self::Node { account, .. } | Self::Service { account, .. } => account,
        }
    }

    /// The ARN that GetCallerIdentity, audit records and denials show.
    ///
    /// A node appears as an assumed role, as the instance profile of an EC2
    /// host would.
    pub fn arn(&self) -> String {
        let (service, resource) = match self {
            Self::Root { .. } => ("iam", "root".to_owned()),
            Self::Node { access_key_id, instance, .. } => {
                ("sts", format!("assumed-role/longshore-node/{}", instance.as_deref().unwrap_or(access_key_id)))
            }
            Self::Service { name, .. } => ("sts", format!("assumed-role/longshore-{name}/{name}")),
        };
        Arn::new(service, "", self.account(), resource).to_string()
    }

    /// `UserId` as GetCallerIdentity answers it.
    pub fn user_id(&self) -> String {
        match self {
            Self::Root { account } => account.clone(),
            Self::Node { access_key_id, .. } => access_key_id.clone(),
            Self::Service { name, .. } => name.clone(),
        }
    }
}
