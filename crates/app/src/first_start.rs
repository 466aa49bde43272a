//! What a new installation is given: the account's access key and the local node's.

use anyhow::{Result, anyhow};
use base::{ApiError, Principal};
use cli::Credentials;
use request::{Call, Caller, Requests};
use serde_json::json;
use state::{ACCESS_KEYS, AccessKey, KeyOwner};
use store::key;

/// Access key ids: `AKIA` and 16 of these (IAM user guide, unique ids).
const ID_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const ID_RANDOM_LEN: usize = 16;

/// Secret access keys: 40 of these.
const SECRET_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const SECRET_LEN: usize = 40;

/// Makes a key for `owner`, commits it sealed, and answers it in the clear, once.
pub async fn make_key(requests: &Requests, account: &str, region: &str, owner: KeyOwner) -> Result<Credentials> {
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
    Ok(Credentials { access_key_id: id, secret_access_key: secret })
}

/// True while the store has this key: a credentials file may be older than the data.
pub fn knows(requests: &Requests, credentials: &Credentials) -> bool {
    requests.view().get(ACCESS_KEYS, &key![&credentials.access_key_id]).is_some()
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
