//! Tokens of pages. A token says where a page ended, and of which list it was: whoever brings it to another list, or
//! asks for something else meanwhile, made a mistake, and would be given a page that means nothing.
//!
//! A token opens nothing: it is no secret, and what a page shows is asked of authorisation anew each time.

use crate::Caller;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

/// Members that choose a page of a list, not the list.
const PAGE_MEMBERS: [&str; 3] = ["nextToken", "maxResults", "limit"];

/// The 64-bit FNV-1a hash: <http://www.isthe.com/chongo/tech/comp/fnv/>.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// What a request asks a page of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    mark: u64,
}

impl List {
    /// The list that `operation` makes of `request` in the caller's account and region.
    pub fn of(caller: &Caller, operation: &str, request: &impl Serialize) -> Self {
        let mut asked = serde_json::to_value(request).unwrap_or_default();
        if let Some(members) = asked.as_object_mut() {
            members.retain(|name, _| !PAGE_MEMBERS.contains(&name.as_str()));
        }
        let text = format!("{operation} {} {} {asked}", caller.account, caller.region);
        let mark = text.bytes().fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
        Self { mark }
    }

    /// The token of the page that follows `position`.
    pub fn token(self, position: &str) -> String {
        URL_SAFE_NO_PAD.encode([&self.mark.to_be_bytes(), position.as_bytes()].concat())
    }

    /// What the page before ended with; nothing for a token that is none of this list's.
    pub fn position(self, token: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let position = bytes.strip_prefix(&self.mark.to_be_bytes())?;
        String::from_utf8(position.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::List;
    use crate::Caller;
    use base::Principal;
    use serde_json::{Value, json};

    fn caller(account: &str, region: &str) -> Caller {
        Caller {
            principal: Principal::Root { account: account.to_owned() },
            account: account.to_owned(),
            region: region.to_owned(),
            access_key_id: None,
            request_id: String::new(),
            source_ip: String::new(),
            user_agent: String::new(),
            endpoint: String::new(),
            log_batch: None,
        }
    }

    #[test]
    fn a_token_is_of_one_list() {
        let here = caller("000000000000", "us-east-1");
        let list = |operation: &str, request: Value| List::of(&here, operation, &request);
        let own = list("ListTasks", json!({ "cluster": "a" }));
        let token = own.token("0123 ü");
        assert_eq!(own.position(&token).as_deref(), Some("0123 ü"));
        assert_eq!(own.position(&own.token("")).as_deref(), Some(""));
        let page = json!({ "cluster": "a", "nextToken": token, "maxResults": 5, "limit": 1 });
        assert_eq!(list("ListTasks", page).position(&token).as_deref(), Some("0123 ü"));
        for other in [
            list("ListClusters", json!({ "cluster": "a" })),
            list("ListTasks", json!({ "cluster": "b" })),
            list("ListTasks", json!({ "cluster": "a", "family": "web" })),
            List::of(&caller("111111111111", "us-east-1"), "ListTasks", &json!({ "cluster": "a" })),
            List::of(&caller("000000000000", "eu-west-1"), "ListTasks", &json!({ "cluster": "a" })),
        ] {
            assert_eq!(other.position(&token), None);
        }
        for text in ["", "?", "MDEyMw", &token[1..]] {
            assert_eq!(own.position(text), None, "{text}");
        }
    }
}
