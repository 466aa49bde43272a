//! What is removed, and what never is.

use super::*;
use crate::images::cleanup::Extent;
use oci::builder::BuiltImage as Built;
use std::time::Duration;

/// A registry with the images `NAME:1` of several names, each of a layer of its own and, if it is named, a
/// shared one.
struct World {
    fake: Fake,
    registry: Arc<Mutex<Registry>>,
    dir: tempfile::TempDir,
    images: Images,
}

fn layer_of(content: &str) -> Built {
    let file = ImageFile { path: "x".to_owned(), content: content.into(), mode: 0o644 };
    build(&[file], ContainerConfig::default(), &here()).expect("an image")
}

impl World {
    async fn new() -> Self {
        let (fake, registry) = serve(Registry::default()).await;
        let dir = tempfile::tempdir().expect("temp dir");
        let images = open(&fake, dir.path());
        Self { fake, registry, dir, images }
    }

    /// Pulls an image of these layers, for `owner`; its digest.
    async fn pull(&self, layers: &[&str], owner: &Owner) -> Digest {
        let built: Vec<Built> = layers.iter().map(|content| layer_of(content)).collect();
        let mut config: serde_json::Value = serde_json::from_slice(&built[0].config.bytes).expect("a config");
        let diff_ids = built.iter().map(|image| {
            let config: serde_json::Value = serde_json::from_slice(&image.config.bytes).expect("a config");
            config["rootfs"]["diff_ids"][0].clone()
        });
        config["rootfs"]["diff_ids"] = diff_ids.collect();
        let config = config.to_string().into_bytes();
        let mut manifest: serde_json::Value = serde_json::from_slice(&built[0].manifest.bytes).expect("a manifest");
        manifest["config"]["digest"] = json!(Digest::of(&config));
        manifest["config"]["size"] = json!(config.len());
        let layers = built.iter().map(|image| {
            let manifest: serde_json::Value = serde_json::from_slice(&image.manifest.bytes).expect("a manifest");
            manifest["layers"][0].clone()
        });
        manifest["layers"] = layers.collect();
        {
            let mut registry = self.registry.lock();
            registry.content.insert(format!("blobs/{}", Digest::of(&config)), (String::new(), config));
            for image in &built {
                let blob = (String::new(), image.layer.bytes.to_vec());
                registry.content.insert(format!("blobs/{}", image.layer.digest), blob);
            }
            registry.manifest(OCI_MANIFEST, manifest.to_string().into_bytes());
        }
        self.images.prepare(&name(&self.fake), owner, &|_| ()).await.expect("pulled").digest.clone()
    }

    fn layers(&self) -> usize {
        let entries = fs::read_dir(self.dir.path().join("layers")).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.starts_with('.')).count()
    }

    async fn is_here(&self, digest: &Digest) -> bool {
        self.images.cached(digest).await.expect("read").is_some()
    }

    fn remove(&self, extent: Extent) -> usize {
        self.images.0.remove(extent).expect("removed")
    }
}

/// Of any age: what was pulled in this second, too.
fn old(count: usize) -> Extent {
    Extent::Old { before: client::now().plus_secs(60), count }
}

#[tokio::test]
async fn what_somebody_needs_stays_and_shared_layers_do() {
    let world = World::new().await;
    let task = Arc::new(());
    let owner: Owner = Arc::downgrade(&task) as Owner;
    let held = world.pull(&["shared", "held"], &owner).await;
    let free = world.pull(&["shared", "free"], &nobody()).await;
    assert_eq!(world.layers(), 3);
    assert_eq!(world.remove(old(9)), 2, "an image and its own layer");
    assert!(world.is_here(&held).await && !world.is_here(&free).await);
    assert_eq!(world.layers(), 2);
    drop(task);
    assert_eq!(world.remove(old(9)), 3);
    assert_eq!((world.layers(), world.is_here(&held).await), (0, false));
    // What was removed is pulled again.
    world.pull(&["shared", "held"], &nobody()).await;
    assert_eq!(world.layers(), 2);
}

#[tokio::test]
async fn a_cycle_removes_so_many_and_none_that_is_young() {
    let world = World::new().await;
    let first = world.pull(&["first"], &nobody()).await;
    let second = world.pull(&["second"], &nobody()).await;
    assert_eq!(world.remove(Extent::Old { before: client::now().plus_secs(-60), count: 9 }), 0);
    // The first was used last.
    std::thread::sleep(Duration::from_millis(20));
    world.is_here(&first).await;
    assert_eq!(world.remove(old(1)), 2);
    assert_eq!((world.is_here(&first).await, world.is_here(&second).await), (true, false));
}

#[tokio::test]
async fn a_full_disk_needs_room_whatever_the_age() {
    let world = World::new().await;
    world.pull(&["one"], &nobody()).await;
    world.pull(&["two"], &nobody()).await;
    assert_eq!(world.remove(Extent::Full { percent: 100 }), 0, "it is not that full");
    assert_eq!(world.remove(Extent::Full { percent: 0 }), 4);
}

#[tokio::test]
async fn a_kill_in_the_middle_leaves_nothing_that_counts() {
    let world = World::new().await;
    let digest = world.pull(&["one", "two"], &nobody()).await;
    let layers = world.images.0.layers.all().expect("listed");
    // Its record is gone, and one layer lost its name: the rest did not come to pass.
    world.images.0.catalog.forget(&digest).expect("forgotten");
    world.images.0.layers.retire(&layers[0].0).expect("retired");
    let retired = |name: &str| name.starts_with(".removed-");
    let names = || {
        let entries = fs::read_dir(world.dir.path().join("layers")).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    assert!(names().iter().any(|name| retired(name)));
    let images = open(&world.fake, world.dir.path());
    assert!(!names().iter().any(|name| retired(name)));
    assert!(images.cached(&digest).await.expect("read").is_none());
    assert_eq!(images.0.remove(old(0)).expect("removed"), 1, "the layer of no image");
    assert_eq!(content(&images, &name(&world.fake)).await, "one");
}

#[tokio::test]
async fn files_that_a_power_cut_emptied_are_not_believed() {
    let world = World::new().await;
    let digest = world.pull(&["one"], &nobody()).await;
    for file in ["names.json", &format!("{}.json", digest.hex())] {
        fs::write(world.dir.path().join("images").join(file), "").expect("emptied");
    }
    let images = open(&world.fake, world.dir.path());
    assert!(images.cached(&digest).await.expect("read").is_none());
    assert_eq!(content(&images, &name(&world.fake)).await, "one");
}

#[tokio::test]
async fn stopped_containers_go_where_the_disk_fills_up_and_not_with_old_images() {
    let world = World::new().await;
    let container = world.dir.path().join("container");
    fs::create_dir(&container).expect("made");
    world.images.0.remains.keep(&"stopped".parse().expect("an id"), &container).expect("kept");
    assert_eq!(world.images.remove(old(1)).await, 0);
    assert_eq!(world.images.remove(Extent::Full { percent: 0 }).await, 1);
    assert_eq!(world.images.remove(Extent::Full { percent: 0 }).await, 0);
}
