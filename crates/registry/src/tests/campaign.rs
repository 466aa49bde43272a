//! Pushes, pulls, deletions and the collector at once: every image that was acknowledged stays whole.

use super::{World, digest, image};
use control::Collector;
use plan::garbage::GRACE_MS;
use state::{IMAGES, Image};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::key;
use tokio::task::JoinSet;

const SEEDS: u64 = 3;
const CLIENTS: u64 = 5;
const ROUNDS: u64 = 5;
const STEPS: u64 = 8;
/// Few, so that clients share them.
const LAYERS: u64 = 6;

/// A stream of numbers from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// One who pushes, pulls and deletes under tags of its own, of layers that all share.
struct Client {
    dice: Dice,
    name: u64,
    /// What was acknowledged: repository and tag, with layers.
    images: BTreeMap<(String, String), Vec<String>>,
}

fn layer(n: u64) -> String {
    format!("layer {n} ").repeat(3_000)
}

impl Client {
    async fn step(&mut self, world: &World) {
        match self.dice.roll(10) {
            0..5 => self.push(world).await,
            5..8 => self.delete(world).await,
            _ => self.pull_all(world).await,
        }
    }

    async fn push(&mut self, world: &World) {
        let repository = ["web", "other"][self.dice.roll(2) as usize].to_owned();
        let tag = format!("c{}-{}", self.name, self.dice.roll(3));
        let layers: Vec<String> = (0..=self.dice.roll(2)).map(|_| layer(self.dice.roll(LAYERS))).collect();
        for content in layers.iter().map(String::as_str).chain(["config"]) {
            self.send_layer(world, &repository, content).await;
        }
        let manifest = image(&layers.iter().map(String::as_str).collect::<Vec<_>>());
        // All that it names was sent, or said to be here: it must be taken.
        world.put_manifest(&repository, &tag, &manifest).await.expect(201, "");
        self.images.insert((repository, tag), layers);
    }

    /// As clients do: not at all where it is there, by mounting, whole, or in chunks.
    async fn send_layer(&mut self, world: &World, repository: &str, content: &str) {
        let digest = digest(content);
        if self.dice.roll(4) > 0 {
            let head = world.send(&format!("HEAD /v2/{repository}/blobs/{digest}"), &[], "").await;
            if head.status == 200 {
                return;
            }
        }
        let from = if repository == "web" { "other" } else { "web" };
        let mount = format!("POST /v2/{repository}/blobs/uploads/?mount={digest}&from={from}");
        let begun = world.send(&mount, &[], "").await;
        if begun.status == 201 {
            return;
        }
        let address = begun.expect(202, "").header("location").to_owned();
        let half = self.dice.roll(content.len() as u64) as usize;
        world.send(&format!("PATCH {address}"), &[], content[..half].to_owned()).await.expect(202, "");
        let line = format!("PUT {address}?digest={digest}");
        world.send(&line, &[], content[half..].to_owned()).await.expect(201, "");
    }

    async fn delete(&mut self, world: &World) {
        let Some(((repository, tag), _)) = self.images.pop_first() else { return };
        world.send(&format!("DELETE /v2/{repository}/manifests/{tag}"), &[], "").await.expect(202, "");
    }

    async fn pull_all(&self, world: &World) {
        for ((repository, tag), layers) in &self.images {
            let contents: Vec<&str> = layers.iter().map(String::as_str).collect();
            let manifest = world.send(&format!("GET /v2/{repository}/manifests/{tag}"), &[], "").await;
            assert_eq!(manifest.expect(200, "").text(), image(&contents));
            for content in contents.iter().chain(&["config"]) {
                let blob = world.send(&format!("GET /v2/{repository}/blobs/{}", digest(content)), &[], "").await;
                assert!(blob.expect(200, "").text() == **content);
            }
        }
    }
}

/// One round: all clients and the collector at once, while the clock stands.
async fn round(world: &Arc<World>, clients: Vec<Client>, collector: &mut Collector) -> Vec<Client> {
    let mut running = JoinSet::new();
    for mut client in clients {
        let world = world.clone();
        running.spawn(async move {
            for _ in 0..STEPS {
                client.step(&world).await;
            }
            client.pull_all(&world).await;
            client
        });
    }
    let mut done = Vec::new();
    while !running.is_empty() {
        tokio::select! {
            Some(client) = running.join_next() => done.push(client.expect("a client's round")),
            turn = collector.turn() => drop(turn.expect("a turn")),
        }
    }
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_acknowledged_image_stays_whole() {
    for seed in 0..SEEDS {
        let mut world = World::start().await;
        let mut collector = world.collector();
        let client = |name| Client { dice: Dice(seed * 1_000 + name), name, images: BTreeMap::new() };
        let mut clients: Vec<Client> = (0..CLIENTS).map(client).collect();
        for _ in 0..ROUNDS {
            let shared = Arc::new(world);
            clients = round(&shared, clients, &mut collector).await;
            world = Arc::into_inner(shared).expect("nobody else has it");
            // Whatever was unneeded in a round before is due in the next.
            world.pass(GRACE_MS / 1000);
            world.token = world.token_for("AKIAEXAMPLE", super::REGION);
        }
        // After a crash too, and once all is deleted nothing is left.
        world = world.restart().await;
        for client in &mut clients {
            client.pull_all(&world).await;
            while !client.images.is_empty() {
                client.delete(&world).await;
            }
        }
        // What a later push took the tag from is an image still.
        let untagged: Vec<Image> = world.requests.view().scan(IMAGES, &key![]).cloned().collect();
        for Image { repository, digest, .. } in untagged {
            world.send(&format!("DELETE /v2/{repository}/manifests/{digest}"), &[], "").await.expect(202, "");
        }
        let mut collector = world.collector();
        for _ in 0..3 {
            collector.turn().await.expect("a turn");
            world.pass(GRACE_MS / 1000);
        }
        assert!(world.requests.blobs().digests().await.expect("listed").is_empty(), "seed {seed}");
    }
}
