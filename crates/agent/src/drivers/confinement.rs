//! What confines containers beside namespaces and seccomp, where the host has it.

use std::fs;

use super::Error;
use super::spec::Security;

/// Says `Y` where the kernel has AppArmor and uses it.
const APPARMOR: &str = "/sys/module/apparmor/parameters/enabled";
/// The profile that is none.
const UNCONFINED: &str = "unconfined";

pub(crate) fn apparmor_is_on() -> bool {
    fs::read_to_string(APPARMOR).is_ok_and(|text| text.starts_with('Y'))
}

/// Refuses a profile that this host cannot put a container under; `unconfined` is what it then has anyway.
pub(crate) fn check(security: &Security) -> Result<(), Error> {
    let profile = security.apparmor.as_deref().filter(|profile| *profile != UNCONFINED);
    match profile {
        Some(profile) if !apparmor_is_on() => {
            Err(Error::Unsupported { what: format!("dockerSecurityOptions apparmor:{profile}, without AppArmor,") })
        }
        _ => Ok(()),
    }
}
