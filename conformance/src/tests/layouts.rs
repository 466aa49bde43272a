//! Images as people have them, with everything that their layers hold, and layers that nobody should have.

use super::{Stage, push, text};
use crate::LayeredImage;
use anyhow::{Context, Result};
use rustix::fs::{XattrFlags, getxattr, setxattr};
use serde_json::{Value, json};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

/// `cap_net_bind_service=ep`, as the kernel keeps it (linux/capability.h, version 2).
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const HOLES_BYTES: u64 = 64 * 1024 * 1024;

impl Stage {
    /// Pushes an image, runs it and answers the stopped task.
    fn run_image(&self, name: &str, source: &str, command: &[&str]) -> Result<Value> {
        let client = self.client();
        client.aws(&["ecr", "create-repository", "--repository-name", name])?;
        let image = format!("{}/{name}:1", self.server.registry()?);
        push(&client, source, &image, &[])?;
        let mut container = json!({ "image": image });
        if !command.is_empty() {
            container["command"] = json!(command);
        }
        self.run_to_end("none", container)
    }

    /// The same for one that must succeed; answers what it said.
    fn said_by(&self, name: &str, source: &str, command: &[&str]) -> Result<Vec<String>> {
        let task = self.run_image(name, source, command)?;
        anyhow::ensure!(task["containers"][0]["exitCode"] == 0, "{name}: {task}\n{:?}", self.log(&task));
        self.log(&task)
    }

    /// Names in the folder of unpacked layers that begin so.
    fn layers(&self, prefix: &str) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.server.data().join("agent/layers"))?.collect::<Result<Vec<_>, _>>()?;
        let named = entries.iter().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
        Ok(named.map(fs::DirEntry::path).collect())
    }
}

/// A folder with its parents, and files of the content that is their name.
fn files(root: &Path, paths: &[&str]) -> Result<()> {
    for path in paths {
        let path = root.join(path);
        fs::create_dir_all(path.parent().context("a parent")?)?;
        fs::write(&path, path.file_name().context("a name")?.as_encoded_bytes())?;
    }
    Ok(())
}

fn busybox(root: &Path, to: &str) -> Result<PathBuf> {
    let path = root.join(to);
    fs::create_dir_all(path.parent().context("a parent")?)?;
    fs::copy("/bin/busybox", &path).context("busybox-static is missing")?;
    Ok(path)
}

/// The lowest layer: programs, and what those above take away or change.
fn alpine_base(root: &Path) -> Result<()> {
    let program = busybox(root, "bin/busybox")?;
    for applet in ["sh", "cat", "ls", "stat", "readlink", "test", "id", "md5sum"] {
        symlink("/bin/busybox", root.join("bin").join(applet))?;
    }
    fs::copy(&program, root.join("bin/bbsuid"))?;
    chown(root.join("bin/bbsuid"), Some(0), Some(10))?;
    fs::set_permissions(root.join("bin/bbsuid"), Permissions::from_mode(0o4711))?;
    fs::copy(&program, root.join("bin/capped"))?;
    setxattr(root.join("bin/capped"), "security.capability", &CAPABILITY, XattrFlags::empty())?;
    setxattr(root.join("bin/capped"), "user.origin", b"base", XattrFlags::empty())?;
    files(root, &["etc/alpine-release", "etc/removed", "var/cache/apk/x", "var/cache/apk/y", "usr/share/old/a"])?;
    files(root, &["usr/share/doc/deep/er/file", "usr/lib/libz.so.1.3", "srv/first"])?;
    fs::hard_link(root.join("srv/first"), root.join("srv/second"))?;
    symlink("libz.so.1.3", root.join("usr/lib/libz.so.1"))?;
    symlink("usr/lib", root.join("lib"))?;
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n")?;
    fs::create_dir(root.join("tmp"))?;
    fs::set_permissions(root.join("tmp"), Permissions::from_mode(0o1777))?;
    fs::create_dir(root.join("home"))?;
    chown(root.join("home"), Some(1000), Some(2000))?;
    let holes = File::create(root.join("srv/holes"))?;
    holes.set_len(HOLES_BYTES)?;
    holes.write_at(b"middle", HOLES_BYTES / 2)?;
    Ok(())
}

/// Whiteouts of a file, of a folder that is made anew, of all in a folder, and of a folder as a whole.
fn alpine_changes(root: &Path) -> Result<()> {
    files(root, &["etc/.wh.removed", "var/cache/apk/.wh..wh..opq", "var/cache/apk/z"])?;
    files(root, &["usr/share/.wh.old", "usr/share/old/new", "usr/share/.wh.doc", "srv/.wh.second", "etc/returns"])
}

/// On top: what was removed is there again, and what was added is gone.
fn alpine_top(root: &Path) -> Result<()> {
    files(root, &["etc/removed", "etc/.wh.returns", "usr/share/doc"])
}

const ALPINE_LOOK: &str = "cat /etc/alpine-release; echo; cat /etc/removed; echo; ls /etc /var/cache/apk \
    /usr/share/old /srv; cat /usr/share/doc; echo; readlink /lib; cat /lib/libz.so.1; echo; \
    stat -c '%n %a %u %g %s' /bin/bbsuid /tmp /home /srv/holes /; \
    test $(stat -c %b /srv/holes) -lt 1000 && echo sparse";

#[test]
fn an_alpine_like_image_of_several_layers_is_what_they_make_together() -> Result<()> {
    let stage = Stage::new()?;
    let mut image = LayeredImage::new()?;
    let base = image.pack(&["bin", "etc", "var", "usr", "srv", "lib", "tmp", "home"], alpine_base)?;
    // Neither lists the folders that its files are in, as some builders do not.
    image.pack(
        &["etc/.wh.removed", "etc/returns", "var/cache/apk/z", "var/cache/apk/.wh..wh..opq"]
            .into_iter()
            .chain(["usr/share/.wh.old", "usr/share/old/new", "usr/share/.wh.doc", "srv/.wh.second"])
            .collect::<Vec<_>>(),
        alpine_changes,
    )?;
    image.pack(&["etc/removed", "etc/.wh.returns", "usr/share/doc"], alpine_top)?;
    let source = image.finish(&json!({ "Env": ["PATH=/bin"], "Cmd": ["sh", "-c", ALPINE_LOOK] }))?;
    let said = stage.said_by("alpine", &source, &[])?;
    let expected = [
        "alpine-release",
        "removed", // contents
        "/etc:",
        "alpine-release",
        "hostname",
        "hosts",
        "mtab",
        "passwd",
        "removed",
        "resolv.conf",
        "",
        "/srv:",
        "first",
        "holes",
        "",
        "/usr/share/old:",
        "new",
        "",
        "/var/cache/apk:",
        "z",
        "doc",
        "usr/lib",
        "libz.so.1.3",
        "/bin/bbsuid 4711 0 10",
        "/tmp 1777 0 0",
        "/home 755 1000 2000",
        "/srv/holes 644 0 0 67108864",
        "/ 755 0 0",
        "sparse",
    ];
    let ignores = |line: &&String| !matches!(line.as_str(), "hostname" | "hosts" | "mtab" | "resolv.conf" | "");
    let expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
    let (said, expected): (Vec<_>, Vec<_>) =
        (said.iter().filter(ignores).collect(), expected.iter().filter(ignores).collect());
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.starts_with(expected.as_str()), "'{said}' is not '{expected}'");
    }
    let layer = stage.layers(&base)?.pop().context("the base layer")?;
    let mut value = [0; 64];
    let len = getxattr(layer.join("bin/capped"), "security.capability", &mut value)?;
    assert_eq!(value[..len], CAPABILITY);
    let len = getxattr(layer.join("bin/capped"), "user.origin", &mut value)?;
    assert_eq!(&value[..len], b"base");
    Ok(())
}

#[test]
fn a_distroless_like_image_runs_its_one_program_as_nobody_of_note() -> Result<()> {
    let stage = Stage::new()?;
    let mut image = LayeredImage::new()?;
    image.pack(&["etc", "srv", "app"], |root| {
        files(root, &["etc/os-release", "srv/nonroot/.keep"])?;
        fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/sbin/nologin\nnonroot:x:65532:65532::/srv/nonroot:/\n")?;
        fs::write(root.join("etc/group"), "root:x:0:\nnonroot:x:65532:\n")?;
        busybox(root, "app/id").map(drop)
    })?;
    let config = json!({ "Entrypoint": ["/app/id"], "User": "nonroot", "WorkingDir": "/srv/nonroot" });
    let source = image.finish(&config)?;
    let said = stage.said_by("distroless", &source, &[])?;
    assert_eq!(said, ["uid=65532(nonroot) gid=65532(nonroot) groups=65532(nonroot)"]);
    Ok(())
}

#[test]
fn a_debian_image_by_debootstrap_runs() -> Result<()> {
    let tar = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debootstrap.tar");
    anyhow::ensure!(tar.exists(), "{} is missing: scripts/debian-image makes it", tar.display());
    let stage = Stage::new()?;
    let mut image = LayeredImage::new()?;
    let layer = image.add(&tar)?;
    let source = image.finish(&json!({ "Cmd": ["bash"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"] }))?;
    let look = "set -e; dpkg --verify; dpkg-query -W -f '${Package}\\n' apt bash; stat -c '%n %A' /bin/su /tmp; \
        test -c /dev/null; perl -e 'print qq(perl\\n)'; getent passwd games | cut -d: -f3; readlink /bin";
    let said = stage.said_by("debian", &source, &["bash", "-c", look])?;
    assert_eq!(said, ["apt", "bash", "/bin/su -rwsr-xr-x", "/tmp drwxrwxrwt", "perl", "5", "usr/bin"]);
    let layer = stage.layers(&layer)?.pop().context("the layer")?;
    assert!(!layer.join("dev/null").exists(), "a container has a /dev of its own");
    Ok(())
}

#[test]
fn a_hostile_layer_stops_the_task_and_leaves_nothing() -> Result<()> {
    let stage = Stage::new()?;
    let kept = stage.layers("")?.len();
    let outside = tempfile::tempdir()?;
    fs::write(outside.path().join("file"), "untouched")?;
    // One that leaves its root, one that writes through a link, one that steers overlayfs.
    let cases: [(&str, &[&str], &str); 3] = [
        ("dotdot", &["--transform=s,^etc,../../../etc,", "-P", "etc/evil"], "'..'"),
        ("link", &["out", "--transform=s,^etc,out,", "etc/evil"], "lacks"),
        ("overlay", &["marked"], "steers overlayfs"),
    ];
    for (name, names, expect) in cases {
        let mut image = LayeredImage::new()?;
        image.pack(names, |root| {
            files(root, &["etc/evil"])?;
            symlink(outside.path(), root.join("out"))?;
            fs::create_dir(root.join("marked"))?;
            setxattr(root.join("marked"), "trusted.overlay.opaque", b"y", XattrFlags::empty())?;
            Ok(())
        })?;
        let task = stage.run_image(name, &image.finish(&json!({ "Cmd": ["x"] }))?, &[])?;
        let reason = text(&task["containers"][0]["reason"]);
        assert!(reason.starts_with("CannotPullContainerError: "), "{name}: {task}");
        assert!(reason.contains("is refused") && reason.contains(expect), "{name}: {reason}");
        assert_eq!(stage.layers(".")?, Vec::<PathBuf>::new(), "{name}");
        assert_eq!(stage.layers("")?.len(), kept, "{name}");
        assert_eq!(fs::read_dir(outside.path())?.count(), 1, "{name}");
    }
    Ok(())
}
