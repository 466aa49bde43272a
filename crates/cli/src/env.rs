//! `longshore env`: lines for a shell to evaluate.

use crate::paths::{Credentials, DATA_DIR, Endpoint, Paths, server};
use anyhow::Result;
use std::path::Path;

/// What to type so that a shell's AWS clients use the installation in `data`.
pub fn env_line(data: &Path) -> Result<String> {
    let binary = std::env::current_exe()?;
    Ok(format!("eval \"$({} env{})\"", quoted(&binary), data_option(data)?))
}

/// ` --data DIR` as a shell wants it, from wherever; nothing for the default folder.
pub fn data_option(data: &Path) -> Result<String> {
    let default = data == Path::new(DATA_DIR);
    Ok(if default { String::new() } else { format!(" --data {}", quoted(&std::path::absolute(data)?)) })
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

pub fn run(paths: &Paths) -> Result<()> {
    let (endpoint, credentials) = server(paths)?;
    crate::say(lines(&endpoint, &credentials).trim_end())
}

/// `AWS_ENDPOINT_URL` is read by AWS CLI 2.13 and 1.29, boto3 1.28, Terraform's
/// provider 5.x and newer SDKs; older ones take `--endpoint-url`.
fn lines(endpoint: &Endpoint, credentials: &Credentials) -> String {
    let variables = [
        ("AWS_ENDPOINT_URL", &endpoint.url),
        ("AWS_ACCESS_KEY_ID", &credentials.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &credentials.secret_access_key),
        ("AWS_REGION", &endpoint.region),
        ("AWS_DEFAULT_REGION", &endpoint.region),
    ];
    let mut lines: String = variables.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    if let Some(file) = &endpoint.ca_bundle {
        lines.push_str(&format!("export AWS_CA_BUNDLE={}\n", quoted(file)));
    }
    // A token or profile left over from another account would be sent with these keys.
    lines.push_str("unset AWS_SESSION_TOKEN AWS_PROFILE\n");
    lines
}

#[cfg(test)]
mod tests {
    use super::{data_option, lines};
    use crate::paths::{Credentials, Endpoint};

    #[test]
    fn a_data_folder_is_named_so_that_any_shell_finds_it() {
        let option = |data: &str| data_option(data.as_ref()).expect("an option");
        assert_eq!(option("/var/lib/longshore"), "");
        assert_eq!(option("/srv/data-1"), " --data /srv/data-1");
        assert_eq!(option("/srv/my data"), " --data '/srv/my data'");
        assert!(option("here").starts_with(" --data /"), "not of this folder alone");
    }

    #[test]
    fn the_lines_name_endpoint_keys_and_region() {
        let endpoint = Endpoint {
            url: "http://127.0.0.1:4566".into(),
            address: None,
            account: "000000000000".into(),
            region: "eu-west-1".into(),
            cluster: "default".into(),
            pid: 1,
            certificate: None,
            ca_bundle: None,
        };
        let credentials = Credentials { access_key_id: "AKIA1".into(), secret_access_key: "s3cr/t+".into() };
        assert_eq!(
            lines(&endpoint, &credentials),
            "export AWS_ENDPOINT_URL='http://127.0.0.1:4566'\n\
             export AWS_ACCESS_KEY_ID='AKIA1'\n\
             export AWS_SECRET_ACCESS_KEY='s3cr/t+'\n\
             export AWS_REGION='eu-west-1'\n\
             export AWS_DEFAULT_REGION='eu-west-1'\n\
             unset AWS_SESSION_TOKEN AWS_PROFILE\n"
        );
        let secured = Endpoint { ca_bundle: Some("/it's/cert.pem".into()), ..endpoint };
        let lines = lines(&secured, &credentials);
        assert!(lines.contains("export AWS_CA_BUNDLE='/it'\\''s/cert.pem'\n"), "{lines}");
    }
}
