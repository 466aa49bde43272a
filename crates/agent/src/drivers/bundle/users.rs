//! Who a container's process is: `user[:group]` looked up in the image's own passwd and group files.

use std::collections::BTreeSet;
use std::io::{self, Read};

use crate::drivers::Error;
use crate::drivers::rootfs::Rootfs;

/// An image's passwd or group file larger than this is not read whole: 1 MiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Numeric identity of a container's process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessUser {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups, sorted. The primary one is among them, or else a process could shed it and pass
    /// where files are closed to that group (CVE-2022-36109).
    pub groups: Vec<u32>,
}

impl ProcessUser {
    /// Looks `text` up in the image below `rootfs`; empty is root. A number needs no entry, a name does.
    pub(crate) fn resolve(text: &str, rootfs: &Rootfs) -> Result<Self, Error> {
        let passwd = read_image_file(rootfs, "etc/passwd")?;
        let group = read_image_file(rootfs, "etc/group")?;
        resolve(text, &passwd, &group)
    }
}

fn read_image_file(rootfs: &Rootfs, path: &str) -> Result<String, Error> {
    let mut bytes = Vec::new();
    match rootfs.open_file(path) {
        Ok(file) => file.take(FILE_BYTES_MAX).read_to_end(&mut bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
    .map_err(Error::io(format!("read /{path} of the image")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn resolve(text: &str, passwd: &str, group: &str) -> Result<ProcessUser, Error> {
    let (user, named_group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|name| !name.is_empty())),
        None => (text, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let entry = passwd.lines().filter_map(User::parse).find(|entry| entry.name == user || is_number(user, entry.uid));
    let (uid, primary) = match (&entry, user.parse()) {
        (Some(entry), _) => (entry.uid, entry.gid),
        (None, Ok(uid)) => (uid, 0),
        (None, Err(_)) => return Err(unknown("user", user, "/etc/passwd")),
    };
    let Some(named_group) = named_group else {
        // As login does: a user who is known by name belongs to the groups that list it.
        let name = entry.as_ref().map_or("", |entry| entry.name);
        let listing = group.lines().filter_map(Group::parse).filter(|group| group.has(name));
        let groups: BTreeSet<u32> = listing.map(|group| group.gid).chain([primary]).collect();
        return Ok(ProcessUser { uid, gid: primary, groups: groups.into_iter().collect() });
    };
    let found = group.lines().filter_map(Group::parse).find(|entry| entry.name == named_group);
    let gid = found.map(|entry| entry.gid).or_else(|| named_group.parse().ok());
    let gid = gid.ok_or_else(|| unknown("group", named_group, "/etc/group"))?;
    Ok(ProcessUser { uid, gid, groups: vec![gid] })
}

fn is_number(text: &str, number: u32) -> bool {
    text.parse() == Ok(number)
}

fn unknown(kind: &'static str, name: &str, file: &'static str) -> Error {
    Error::NoSuchUser { kind, name: name.to_owned(), file }
}

/// A line of passwd(5): name, password, uid, gid, ...
struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
}

impl<'a> User<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        Some(Self { name, uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    }
}

/// A line of group(5): name, password, gid, members.
struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl<'a> Group<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        Some(Self { name, gid: fields.next()?.parse().ok()?, members: fields.next()? })
    }

    fn has(&self, user: &str) -> bool {
        !user.is_empty() && self.members.split(',').any(|member| member == user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbad line\nweb:x:33:34:Web:/srv:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nwww:x:34:web\nlogs:x:90:web,root\nops:x:80:root\n";

    #[test]
    fn users_and_groups_by_name_and_number() {
        fn check(text: &str, uid: u32, gid: u32, groups: &[u32]) {
            let expect = ProcessUser { uid, gid, groups: groups.to_vec() };
            assert_eq!(resolve(text, PASSWD, GROUP).expect(text), expect, "{text:?}");
        }
        check("", 0, 0, &[0, 80, 90]);
        check("0", 0, 0, &[0, 80, 90]);
        check("web", 33, 34, &[34, 90]);
        check("33", 33, 34, &[34, 90]);
        check("web:ops", 33, 80, &[80]);
        check("web:7", 33, 7, &[7]);
        check("1234", 1234, 0, &[0]);
        check("1234:5678", 1234, 5678, &[5678]);
        check(":ops", 0, 80, &[80]);
    }

    #[test]
    fn a_name_without_an_entry_is_refused() {
        fn check(text: &str, expect: &str) {
            assert_eq!(resolve(text, PASSWD, GROUP).expect_err("unknown").to_string(), expect);
        }
        check("nobody", "unable to find user nobody: no matching entry in the image's /etc/passwd");
        check("web:crew", "unable to find group crew: no matching entry in the image's /etc/group");
    }
}
