//! GetCallerIdentity: answered to every authenticated caller, whatever policies say.
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>

use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use store::View;
use wire::types::sts::{GetCallerIdentityRequest, GetCallerIdentityResponse};

pub fn checks(_view: &View, _input: &GetCallerIdentityRequest, _caller: &Caller) -> Checks {
    Ok(vec![Check::any("sts:GetCallerIdentity")])
}

pub fn run(_view: &View, _input: GetCallerIdentityRequest, cx: &mut Cx) -> Result<GetCallerIdentityResponse, ApiError> {
    let principal = &cx.caller.principal;
    Ok(GetCallerIdentityResponse {
        user_id: Some(principal.user_id()),
        account: Some(principal.account().to_owned()),
        arn: Some(principal.arn()),
    })
}

#[cfg(test)]
mod tests {
    use base::{Arn, Principal};

    /// The three members agree for every kind of principal.
    #[test]
    fn arns_name_the_account() {
        let account = "123456789012".to_owned();
        let node = Principal::Node {
            account: account.clone(),
            region: "us-east-1".into(),
            cluster: "default".into(),
            access_key_id: "AKIA1".into(),
            instance: None,
        };
        for principal in [Principal::Root { account: account.clone() }, node] {
            let arn: Arn = principal.arn().parse().expect("an ARN");
            assert_eq!(arn.account, principal.account());
        }
        assert_eq!(Principal::Root { account }.arn(), "arn:aws:iam::123456789012:root");
    }
}
