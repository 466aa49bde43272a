use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use super::*;
use crate::drivers::rootfs::ROOTFS;

/// A node's data folder, and a container's root with files at `/srv`.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temp dir");
        fs::create_dir_all(dir.path().join(ROOTFS).join("srv/deep")).expect("root");
        fs::write(dir.path().join(ROOTFS).join("srv/deep/file"), "image").expect("file");
        Self(dir)
    }

    fn root(&self) -> Rootfs {
        Rootfs::open(self.0.path()).expect("open")
    }

    fn image(&self) -> PathBuf {
        self.0.path().join(ROOTFS).join("srv")
    }

    fn volumes(&self) -> Volumes {
        Volumes::new(self.0.path())
    }

    fn join(&self, volumes: &Volumes, mounts: Vec<VolumeMount>) -> Result<Vec<BindMount>, Error> {
        let spec = ContainerSpec { volumes: mounts, ..ContainerSpec::default() };
        volumes.join(&"c".parse().expect("an id"), &spec, &self.root())
    }

    /// Where the only mount's files are.
    fn joined(&self, volumes: &Volumes, mount: VolumeMount) -> PathBuf {
        self.join(volumes, vec![mount]).expect("ready").remove(0).source
    }
}

fn mount(name: &str, scope: VolumeScope, backing: Backing) -> VolumeMount {
    let volume = Volume { name: name.to_owned(), scope, backing, labels: BTreeMap::new() };
    VolumeMount { volume, target: "/srv".to_owned(), read_only: false, filled: true }
}

fn of_task(name: &str) -> VolumeMount {
    mount(name, VolumeScope::Task("t".to_owned()), Backing::Directory)
}

fn shared(name: &str, made: bool) -> VolumeMount {
    mount(name, VolumeScope::Shared { made }, Backing::Directory)
}

#[test]
fn an_empty_volume_takes_the_images_files_once() {
    let place = Place::new();
    let volumes = place.volumes();
    let data = place.joined(&volumes, of_task("v"));
    assert_eq!(fs::read_to_string(data.join("deep/file")).expect("copied"), "image");
    fs::write(data.join("deep/file"), "task").expect("write");
    assert_eq!(place.joined(&volumes, of_task("v")), data);
    assert_eq!(fs::read_to_string(data.join("deep/file")).expect("kept"), "task");
    let unfilled = place.joined(&volumes, VolumeMount { filled: false, ..of_task("w") });
    assert_eq!(fs::read_dir(unfilled).expect("read").count(), 0);
    let elsewhere = place.joined(&volumes, VolumeMount { target: "/nowhere".to_owned(), ..of_task("x") });
    assert_eq!(fs::read_dir(elsewhere).expect("read").count(), 0);
    let file = place.join(&volumes, vec![VolumeMount { target: "/srv/deep/file".to_owned(), ..of_task("y") }]);
    let error = file.expect_err("no directory");
    assert_eq!(error.ecs_name(), "CannotCreateVolumeError");
    assert!(error.to_string().starts_with("volume y: could not copy the image's files at /srv/deep/file"), "{error}");
}

#[test]
fn a_copying_that_was_cut_off_is_done_again() {
    let place = Place::new();
    let volumes = place.volumes();
    let data = place.joined(&volumes, shared("v", true));
    fs::write(data.join("deep/file"), "half").expect("write");
    fs::write(data.join("theirs"), "kept").expect("write");
    File::create(data.parent().expect("a directory").join(FILLING)).expect("marker");
    place.joined(&volumes, shared("v", true));
    assert_eq!(fs::read_to_string(data.join("deep/file")).expect("copied"), "image");
    assert_eq!(fs::read_to_string(data.join("theirs")).expect("there"), "kept");
    assert!(!data.parent().expect("a directory").join(FILLING).exists());
}

#[test]
fn files_are_copied_as_they_are() {
    let place = Place::new();
    let image = place.image();
    fs::write(image.join("tool"), "x").expect("file");
    std::os::unix::fs::chown(image.join("tool"), Some(7), Some(8)).expect("as root");
    fs::set_permissions(image.join("tool"), fs::Permissions::from_mode(0o4755)).expect("mode");
    rustix::fs::setxattr(image.join("tool"), "user.a", b"b", rustix::fs::XattrFlags::empty()).expect("attribute");
    fs::hard_link(image.join("tool"), image.join("deep/same")).expect("link");
    symlink("/etc/shadow", image.join("link")).expect("link");
    let sparse = File::create(image.join("sparse")).expect("file");
    sparse.set_len(64 << 20).expect("long");
    std::os::unix::fs::FileExt::write_at(&sparse, b"end", (64 << 20) - 3).expect("write");
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::open(image.join("deep")).expect("open").set_modified(then).expect("time");
    std::os::unix::fs::chown(&image, Some(33), Some(33)).expect("as root");
    fs::set_permissions(&image, fs::Permissions::from_mode(0o1777)).expect("mode");

    let data = place.joined(&place.volumes(), of_task("v"));
    let tool = fs::metadata(data.join("tool")).expect("tool");
    assert_eq!((tool.uid(), tool.gid(), tool.mode() & 0o7777, tool.nlink()), (7, 8, 0o4755, 2));
    assert_eq!(fs::metadata(data.join("deep/same")).expect("same").ino(), tool.ino());
    let mut value = [0; 8];
    assert_eq!(rustix::fs::getxattr(data.join("tool"), "user.a", &mut value), Ok(1));
    assert_eq!(fs::read_link(data.join("link")).expect("link"), Path::new("/etc/shadow"));
    let sparse = fs::metadata(data.join("sparse")).expect("sparse");
    assert!(sparse.len() == 64 << 20 && sparse.blocks() * 512 < 1 << 20, "{} blocks", sparse.blocks());
    assert!(fs::read(data.join("sparse")).expect("read").ends_with(b"end"));
    assert_eq!(fs::metadata(data.join("deep")).expect("deep").modified().expect("time"), then);
    let own = fs::metadata(&data).expect("data");
    assert_eq!((own.uid(), own.gid(), own.mode() & 0o7777), (33, 33, 0o1777));
}

#[test]
fn links_of_an_image_lead_no_further_than_it() {
    let place = Place::new();
    let root = place.0.path().join(ROOTFS);
    let outside = tempfile::tempdir().expect("temp dir");
    fs::write(outside.path().join("secret"), "host").expect("file");
    symlink(outside.path(), root.join("out")).expect("link");
    symlink("/srv", root.join("in")).expect("link");
    let volumes = place.volumes();
    let out = place.joined(&volumes, VolumeMount { target: "/out".to_owned(), ..of_task("v") });
    assert_eq!(fs::read_dir(out).expect("read").count(), 0, "nothing of the host");
    let within = place.joined(&volumes, VolumeMount { target: "/in".to_owned(), ..of_task("w") });
    assert!(within.join("deep/file").exists());
}

#[test]
fn volumes_of_a_task_go_with_it_and_shared_ones_stay() {
    let place = Place::new();
    let volumes = place.volumes();
    let own = place.joined(&volumes, of_task("v"));
    let kept = place.joined(&volumes, shared("v", true));
    assert!(volumes.has_task("t") && !volumes.has_task("u"));
    volumes.keep_only(&BTreeSet::from(["t"])).expect("nothing to do");
    assert!(own.exists());
    volumes.remove_of_task("t").expect("removed");
    volumes.remove_of_task("t").expect("removed twice");
    assert!(!own.exists() && kept.exists());
    place.joined(&volumes, of_task("v"));
    volumes.keep_only(&BTreeSet::new()).expect("removed");
    assert!(!volumes.has_task("t") && kept.exists());
    assert_eq!(place.joined(&place.volumes(), shared("v", false)), kept, "another agent knows it by its name");
    let error = place.join(&volumes, vec![shared("w", false)]).expect_err("nobody made it");
    assert_eq!(error.ecs_name(), "ResourceInitializationError");
    assert!(error.to_string().contains("volume 'w' does not exist"), "{error}");
}

#[test]
fn a_volume_of_a_directory_is_that_directory() {
    let place = Place::new();
    let outside = tempfile::tempdir().expect("temp dir");
    let bind = |path: &Path, read_only| {
        let backing = Backing::Bind { path: path.to_owned(), read_only };
        mount("v", VolumeScope::Task(format!("t-{read_only}")), backing)
    };
    let volumes = place.volumes();
    let readable = place.join(&volumes, vec![bind(outside.path(), true)]).expect("ready").remove(0);
    assert!(readable.source == outside.path() && readable.read_only);
    assert_eq!(fs::read_dir(outside.path()).expect("read").count(), 0, "nothing is copied into it");
    place.joined(&volumes, bind(outside.path(), false));
    assert!(outside.path().join("deep/file").exists());
    volumes.keep_only(&BTreeSet::new()).expect("removed");
    assert!(outside.path().join("deep/file").exists(), "the directory stays");
    let gone = bind(&outside.path().join("gone"), false);
    let error = place.join(&place.volumes(), vec![gone]).expect_err("not there").to_string();
    assert!(error.starts_with("volume v: could not mount ") && error.ends_with("(os error 2)"), "{error}");
}

#[test]
fn memory_is_mounted_once_and_goes_with_its_last_user() {
    let place = Place::new();
    let volumes = place.volumes();
    let options = || Backing::Tmpfs("size=1m,mode=700".to_owned());
    let all = || mount("m", VolumeScope::Shared { made: true }, options());
    let data = place.joined(&volumes, all());
    assert_eq!(place.joined(&volumes, all()), data);
    assert_eq!(mounts_below(place.0.path()).expect("mounts"), std::slice::from_ref(&data));
    assert!(data.join("deep/file").exists());
    let (first, second) = ("c".parse().expect("an id"), "d".parse().expect("an id"));
    volumes.rejoin(&second, &["m".to_owned()]);
    volumes.leave(&first).expect("left");
    assert_eq!(mounts_below(place.0.path()).expect("mounts").len(), 1);
    volumes.leave(&second).expect("left");
    assert_eq!(mounts_below(place.0.path()).expect("mounts").len(), 0);

    place.joined(&volumes, mount("m", VolumeScope::Task("t".to_owned()), options()));
    volumes.leave(&first).expect("left");
    assert_eq!(mounts_below(place.0.path()).expect("mounts").len(), 1, "as long as the task");
    volumes.remove_of_task("t").expect("removed");
    assert_eq!(mounts_below(place.0.path()).expect("mounts").len(), 0);

    place.joined(&volumes, all());
    place.volumes().unmount_unused().expect("nobody has it after a restart");
    assert_eq!(mounts_below(place.0.path()).expect("mounts").len(), 0);
    let bad = mount("b", VolumeScope::Task("t".to_owned()), Backing::Tmpfs("speed=9".to_owned()));
    let error = place.join(&volumes, vec![bad]).expect_err("no such option").to_string();
    assert!(error.starts_with("volume b: could not mount its tmpfs"), "{error}");
}

#[test]
fn host_paths_are_made_as_directories() {
    let place = Place::new();
    let (new, file) = (place.0.path().join("a/b"), place.image().join("deep/file"));
    let bind = |source: &Path| BindMount { source: source.to_owned(), target: "/x".to_owned(), read_only: false };
    let spec = ContainerSpec { mounts: vec![bind(&new), bind(&file)], ..ContainerSpec::default() };
    place.volumes().join(&"c".parse().expect("an id"), &spec, &place.root()).expect("ready");
    assert!(new.is_dir() && file.is_file());
}
