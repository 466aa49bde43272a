//! Linux capabilities: Docker's default set, with what a task adds and drops.

use std::collections::BTreeSet;

use crate::drivers::Error;

/// Every capability of capabilities(7), Linux 5.9 and later, each at its number.
const ALL: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// <https://docs.docker.com/engine/containers/run/#runtime-privilege-and-linux-capabilities>, first table.
const DEFAULT: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// What a privileged container holds, whatever it adds and drops, as in Docker: all that can be given.
pub(super) fn all(givable: u64) -> BTreeSet<&'static str> {
    let may_give = |(number, name): (usize, &'static str)| (givable >> number & 1 == 1).then_some(name);
    ALL.into_iter().enumerate().filter_map(may_give).collect()
}

/// What this process can give, a bit each: its own bounding set (proc(5), `status`). All, where that cannot be read.
pub(crate) fn givable() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    set.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(u64::MAX)
}

/// The capabilities of a container that adds `add` and drops `drop`. As in Docker, `ALL` stands for all that can be
/// given, and what is added by its name stays whatever is dropped.
pub(super) fn granted(add: &[String], drop: &[String], givable: u64) -> Result<BTreeSet<&'static str>, Error> {
    let (add_all, added) = named(add, "capabilities.add")?;
    let (drop_all, dropped) = named(drop, "capabilities.drop")?;
    let mut granted: BTreeSet<&str> = match (add_all, drop_all) {
        (true, _) => all(givable),
        (false, true) => BTreeSet::new(),
        (false, false) => DEFAULT.into(),
    };
    granted.retain(|cap| !dropped.contains(cap));
    granted.extend(added);
    Ok(granted)
}

/// Whether `ALL` is among `names`, and the others under their full names.
fn named(names: &[String], field: &'static str) -> Result<(bool, BTreeSet<&'static str>), Error> {
    let mut all = false;
    let mut found = BTreeSet::new();
    for name in names {
        let upper = name.to_ascii_uppercase();
        let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
        match ALL.into_iter().find(|known| &known[4..] == short) {
            Some(known) => {
                found.insert(known);
            }
            None if short == "ALL" => all = true,
            None => return Err(Error::Spec { field, problem: format!("unknown capability {name:?}") }),
        }
    }
    Ok((all, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_and_dropping() {
        fn check(add: &[&str], drop: &[&str], expect: usize, has: &str, lacks: &str) {
            let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            let caps = granted(&own(add), &own(drop), u64::MAX).expect("known capabilities");
            assert_eq!(caps.len(), expect, "{add:?} {drop:?}");
            assert!(has.is_empty() || caps.contains(has), "{add:?} {drop:?} lacks {has}");
            assert!(!caps.contains(lacks), "{add:?} {drop:?} has {lacks}");
        }
        check(&[], &[], 14, "CAP_CHOWN", "CAP_SYS_ADMIN");
        check(&["SYS_PTRACE"], &["CAP_MKNOD"], 14, "CAP_SYS_PTRACE", "CAP_MKNOD");
        check(&["net_admin"], &["ALL"], 1, "CAP_NET_ADMIN", "CAP_CHOWN");
        check(&["ALL"], &["SYS_MODULE"], 40, "CAP_SYS_ADMIN", "CAP_SYS_MODULE");
        check(&[], &["ALL"], 0, "", "CAP_CHOWN");
        check(&["CHOWN"], &["CHOWN"], 14, "CAP_CHOWN", "CAP_SYS_ADMIN");
    }

    #[test]
    fn all_is_what_can_be_given() {
        assert_eq!(all(0b10_0001), BTreeSet::from(["CAP_CHOWN", "CAP_KILL"]));
        let some = granted(&["ALL".to_owned()], &["KILL".to_owned()], 0b10_0001).expect("known");
        assert_eq!(some, BTreeSet::from(["CAP_CHOWN"]));
        assert_ne!(givable(), 0);
    }

    #[test]
    fn an_unknown_capability_is_named() {
        let error = granted(&["SYS_MAGIC".to_owned()], &[], u64::MAX).expect_err("unknown");
        assert_eq!(error.to_string(), "capabilities.add is not valid: unknown capability \"SYS_MAGIC\"");
        assert_eq!(error.ecs_name(), "CannotCreateContainerError");
    }
}
