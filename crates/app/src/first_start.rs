//! What a new installation is given: the account's access key and the local node's.

use crate::data_dir::write_private;
use anyhow::{Result, anyhow, bail};
use base::{ApiError, Principal};
use cli::{Credentials, Paths};
use request::{Call, Caller, Requests};
use serde_json::json;
use state::{ACCESS_KEYS, AccessKey, KeyOwner};
use std::path::Path;
use store::key;

/// Access key ids: `AKIA` and 16 of these (IAM user guide, unique ids).
const ID_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const ID_RANDOM_LEN: usize = 16;

/// Secret access keys: 40 of these.
const SECRET_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const SECRET_LEN: usize = 40;

/// Makes a key for `owner`, commits it sealed, and keeps it in the clear in the file at `path`, 0600.
async fn make_key(requests: &Requests, home: &Home, owner: KeyOwner, path: &Path) -> Result<()> {
    let (account, region) = (home.account.as_str(), home.region.as_str());
    let secrets = requests.secrets();
    let id = format!("AKIA{}", secrets.text(ID_RANDOM_LEN, ID_ALPHABET));
    let secret = secrets.text(SECRET_LEN, SECRET_ALPHABET);
    let sealed =
        requests.installation().master.seal(secrets.as_ref(), &AccessKey::seal_context(&id), secret.as_bytes())?;
    let row =
        AccessKey { account: account.to_owned(), id: id.clone(), secret: sealed, owner, created_at: requests.now() };
    let call = Call::new("iam", "CreateAccessKey", &json!({}));
    let stored = requests.commit(own_caller(requests, account, region), call, move |tx, _cx| {
        tx.put(ACCESS_KEYS, row);
        Ok::<_, ApiError>(json!({}))
    });
    stored.await.map_err(|error| anyhow!(error))?;
    let made = Credentials { access_key_id: id, secret_access_key: secret };
    write_private(path, &serde_json::to_vec(&made)?)
}

/// Whose data this is, and where its node belongs.
pub struct Home {
    pub account: String,
    pub region: String,
    pub cluster: String,
}

/// What `up` was asked for; what is left out is as it was, or the default of new data.
pub struct Wanted {
    pub account: Option<String>,
    pub region: Option<String>,
    pub cluster: Option<String>,
}

pub const ACCOUNT: &str = "000000000000";
pub const REGION: &str = "us-east-1";
const CLUSTER: &str = "default";

/// Where this installation is at home: as its keys say, or as another server's, or as wanted.
///
/// # Errors
/// When the data is at home elsewhere than wanted: its keys are bound to that.
pub fn find_home(requests: &Requests, paths: &Paths, wanted: &Wanted) -> Result<Home> {
    let view = requests.view();
    let of_others = || view.scan(ACCESS_KEYS, &key![]);
    let own_node = kept(requests, &paths.agent_credentials())?.map(|(_, row)| row);
    let (region, cluster) = own_node.as_ref().and_then(node_home).unzip();
    let (other_region, other_cluster) = of_others().find_map(node_home).unzip();
    let account = of_others().next().map(|row| row.account.clone());
    let or = |other: Option<String>, default: &str| other.unwrap_or_else(|| default.to_owned());
    Ok(Home {
        account: agree("account", &wanted.account, account, ACCOUNT)?,
        region: agree("region", &wanted.region, region, &or(other_region, REGION))?,
        cluster: agree("cluster", &wanted.cluster, cluster, &or(other_cluster, CLUSTER))?,
    })
}

/// Region and cluster of a node's key.
fn node_home(row: &AccessKey) -> Option<(String, String)> {
    match &row.owner {
        KeyOwner::Node { region, cluster, .. } => Some((region.clone(), cluster.clone())),
        KeyOwner::Root => None,
    }
}

/// Makes the keys that this server's folder has not yet.
pub async fn make_keys(requests: &Requests, paths: &Paths, home: &Home) -> Result<()> {
    if kept(requests, &paths.agent_credentials())?.is_none() {
        let owner = KeyOwner::Node { region: home.region.clone(), cluster: home.cluster.clone(), instance: None };
        make_key(requests, home, owner, &paths.agent_credentials()).await?;
    }
    if kept(requests, &paths.credentials())?.is_none() {
        make_key(requests, home, KeyOwner::Root, &paths.credentials()).await?;
    }
    Ok(())
}

fn agree(what: &str, wanted: &Option<String>, bound: Option<String>, default: &str) -> Result<String> {
    match (wanted, bound) {
        (Some(wanted), Some(bound)) if *wanted != bound => {
            bail!(
                "this data is at home in {what} {bound}, not {wanted}: leave --{what} out, or give --data another folder"
            )
        }
        (Some(wanted), _) => Ok(wanted.clone()),
        (None, bound) => Ok(bound.unwrap_or_else(|| default.to_owned())),
    }
}

/// The credentials in a file, if the data knows them: a file may be older than the data.
fn kept(requests: &Requests, path: &Path) -> Result<Option<(Credentials, AccessKey)>> {
    let Some(credentials) = cli::read_json::<Credentials>(path)? else { return Ok(None) };
    let row = requests.view().get(ACCESS_KEYS, &key![&credentials.access_key_id]).cloned();
    Ok(row.map(|row| (credentials, row)))
}

fn own_caller(requests: &Requests, account: &str, region: &str) -> Caller {
    Caller {
        principal: Principal::Service { account: account.to_owned(), name: "first-start".to_owned() },
        account: account.to_owned(),
        region: region.to_owned(),
        access_key_id: None,
        request_id: requests.names().uuid(),
        source_ip: "127.0.0.1".to_owned(),
        user_agent: "longshore".to_owned(),
        endpoint: requests.installation().endpoint.clone(),
        log_batch: None,
    }
}
