//! What every engine promises: one suite, over each of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;

use super::etcd::Etcd;
use crate::{
    Batch, CHANGED_BYTES_MAX, CHANGED_ROWS_MAX, Engine, EngineError, EtcdEngine, FjallEngine, Followed, Loaded,
    MemoryEngine, Standing, Write,
};

/// How long anything may take to come about.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Where engines of a kind are opened.
pub trait Place {
    type Engine: Engine;

    /// Histories that a property is tried with.
    const CASES: u32;

    fn new() -> Self;

    /// From now on, rows that nobody has written to yet.
    fn clear(&mut self);

    /// One more server's engine on the rows.
    fn server(&self) -> Self::Engine;

    /// Ends the lead of whoever leads as if that one had fallen silent.
    fn depose(&self);
}

pub struct Memory(MemoryEngine);

impl Place for Memory {
    type Engine = MemoryEngine;
    const CASES: u32 = 200;

    fn new() -> Self {
        Self(MemoryEngine::default())
    }

    fn clear(&mut self) {
        self.0 = MemoryEngine::default();
    }

    fn server(&self) -> MemoryEngine {
        self.0.standby()
    }

    fn depose(&self) {
        self.0.depose();
    }
}

struct Fjall(TempDir);

impl Place for Fjall {
    type Engine = FjallEngine;
    const CASES: u32 = 8;

    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn clear(&mut self) {
        *self = Self::new();
    }

    fn server(&self) -> FjallEngine {
        FjallEngine::open(self.0.path().join("state")).expect("it opens")
    }

    fn depose(&self) {
        unreachable!("a folder has one server");
    }
}

impl Place for Etcd {
    type Engine = EtcdEngine;
    const CASES: u32 = 12;

    fn new() -> Self {
        Self::start()
    }

    fn clear(&mut self) {
        self.next_prefix();
    }

    fn server(&self) -> EtcdEngine {
        self.engine("http://server")
    }

    fn depose(&self) {
        self.ctl(&["del", &format!("{}/leader", self.prefix())]);
    }
}

type Model = BTreeMap<(u16, Vec<u8>), Vec<u8>>;

/// Loads and checks that the engine leads; answers its epoch.
pub fn lead(engine: &mut impl Engine) -> u64 {
    match engine.load(&mut |_| {}).expect("it loads").standing {
        Standing::Leads { epoch, .. } => epoch,
        follows @ Standing::Follows { .. } => panic!("{follows:?}"),
    }
}

fn load(engine: &mut impl Engine) -> (Loaded, Model) {
    let mut rows = Model::new();
    let loaded = engine.load(&mut |row| {
        let double = rows.insert((row.kind, row.key.to_vec()), row.value.to_vec());
        assert_eq!(double, None, "a row is handed over once");
    });
    (loaded.expect("it loads"), rows)
}

fn write(kind: u16, key: &[u8], value: Option<&[u8]>) -> Write {
    Write { kind, key: Arc::from(key), value: value.map(<[u8]>::to_vec) }
}

fn put(key: &[u8]) -> Vec<Write> {
    vec![write(1, key, Some(b"value"))]
}

fn apply(model: &mut Model, writes: &[Write]) {
    for write in writes {
        let key = (write.kind, write.key.to_vec());
        match &write.value {
            Some(value) => drop(model.insert(key, value.clone())),
            None => drop(model.remove(&key)),
        }
    }
}

fn any_write() -> impl Strategy<Value = Write> {
    let key = proptest::sample::select(vec![&b""[..], b"\0", b"a", b"a/", b"\xFF\xFF"]);
    let kind = proptest::sample::select(vec![1, 2, 0x6100, u16::MAX]);
    let value = proptest::option::weighted(0.7, proptest::collection::vec(any::<u8>(), 0..4));
    (kind, key, value).prop_map(|(kind, key, value)| write(kind, key, value.as_deref()))
}

/// Batches, some of which write a key twice, and whether the server starts anew after each.
fn any_history() -> impl Strategy<Value = Vec<(Vec<Write>, bool)>> {
    let batch = proptest::collection::vec(any_write(), 1..6);
    proptest::collection::vec((batch, proptest::bool::weighted(0.2)), 0..10)
}

fn each_history<P: Place>(check: impl Fn(&P, Vec<(Vec<Write>, bool)>)) {
    let place = std::cell::RefCell::new(P::new());
    let mut runner = TestRunner::new(Config { cases: P::CASES, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&any_history(), |history| {
        place.borrow_mut().clear();
        check(&place.borrow(), history);
        Ok(())
    });
    outcome.expect("every history");
}

/// Asks until there is something, or a load is wanted.
fn next(engine: &mut impl Engine) -> Result<Followed, EngineError> {
    let begun = Instant::now();
    while begun.elapsed() < SETTLE_TIMEOUT {
        match engine.follow(Duration::from_millis(50)) {
            Ok(Followed::Nothing) => {}
            other => return other,
        }
    }
    panic!("nothing happened");
}

fn loads_what_was_committed<P: Place>() {
    each_history::<P>(|place, history| {
        let (mut engine, mut model) = (place.server(), Model::new());
        let mut epoch = lead(&mut engine);
        for (version, (writes, restarts)) in (1..).zip(history) {
            apply(&mut model, &writes);
            engine.commit(&Batch { epoch, version, writes }).expect("it is kept");
            if restarts {
                drop(engine);
                engine = place.server();
                let (loaded, rows) = load(&mut engine);
                assert_eq!((loaded.version, &rows), (version, &model));
                epoch = lead(&mut engine);
            }
        }
        assert_eq!(load(&mut engine).1, model, "it may be loaded at any time");
    });
}

fn fences_every_epoch_but_the_last<P: Place>() {
    let place = P::new();
    let mut engine = place.server();
    let old = lead(&mut engine);
    let current = lead(&mut engine);
    assert_ne!(old, current);
    let mut commit = |epoch, key| engine.commit(&Batch { epoch, version: 1, writes: put(key) });
    assert!(matches!(commit(old, b"old"), Err(EngineError::Fenced { .. })));
    commit(current, b"current").expect("it is the current epoch");
    assert!(matches!(commit(old, b"old"), Err(EngineError::Fenced { .. })));
    assert!(matches!(engine.follow(Duration::ZERO), Ok(Followed::Nothing)), "it leads");
    let keys: Vec<_> = load(&mut engine).1.into_keys().map(|(_, key)| key).collect();
    assert_eq!(keys, [b"current"]);
}

fn takes_whatever_its_limits_say<P: Place>() {
    let place = P::new();
    let mut engine = place.server();
    let (epoch, limits) = (lead(&mut engine), engine.limits());
    assert!(limits.writes >= CHANGED_ROWS_MAX && limits.bytes >= CHANGED_BYTES_MAX, "a transaction fits");
    let many: Vec<_> = (0..limits.writes).map(|n| write(1, &n.to_be_bytes(), Some(b""))).collect();
    engine.commit(&Batch { epoch, version: 1, writes: many }).expect("as many as may be");
    let mut large: Vec<_> = (0..CHANGED_ROWS_MAX).map(|n| write(2, &n.to_be_bytes(), Some(b""))).collect();
    let bytes: usize = large.iter().map(Write::bytes).sum();
    large[0].value = Some(vec![7; limits.bytes - bytes]);
    engine.commit(&Batch { epoch, version: 2, writes: large }).expect("as much as may be");
    assert_eq!(load(&mut engine).1.len(), limits.writes + CHANGED_ROWS_MAX);
}

fn gives_the_lead_back_when_it_ends<P: Place>() {
    let place = P::new();
    for version in 1..=3 {
        let begun = Instant::now();
        let mut engine = place.server();
        let epoch = lead(&mut engine);
        engine.commit(&Batch { epoch, version, writes: put(b"key") }).expect("it is kept");
        drop(engine);
        assert!(begun.elapsed() < Duration::from_secs(3), "nobody waits for a lease");
    }
}

fn followers_get_every_batch_whole_and_in_order<P: Place>() {
    each_history::<P>(|place, history| {
        let mut leader = place.server();
        let epoch = lead(&mut leader);
        let (mut follower, mut model) = (place.server(), Model::new());
        let (loaded, mut seen) = load(&mut follower);
        assert!(matches!(loaded.standing, Standing::Follows { .. }), "{loaded:?}");
        for (version, (writes, loads)) in (1..).zip(history) {
            apply(&mut model, &writes);
            leader.commit(&Batch { epoch, version, writes }).expect("it is kept");
            if loads {
                seen = load(&mut follower).1;
            } else {
                let Ok(Followed::Batch(batch)) = next(&mut follower) else { panic!("no batch of {version}") };
                assert_eq!(batch.version, version);
                apply(&mut seen, &batch.writes);
            }
            assert_eq!(seen, model);
        }
        drop(leader);
        assert!(matches!(next(&mut follower), Ok(Followed::Load)));
        lead(&mut follower);
    });
}

fn one_leads_and_the_one_before_is_fenced<P: Place>() {
    let place = P::new();
    let (mut first, mut second) = (place.server(), place.server());
    let epoch = lead(&mut first);
    let mut commit_as_first = |version| first.commit(&Batch { epoch, version, writes: put(b"first") });
    commit_as_first(1).expect("it leads");
    let (loaded, rows) = load(&mut second);
    assert!(matches!(loaded.standing, Standing::Follows { .. }) && rows.len() == 1);
    let early = second.commit(&Batch { epoch, version: 2, writes: put(b"second") });
    assert!(matches!(early, Err(EngineError::Fenced { .. })), "a follower commits nothing: {early:?}");
    load(&mut second);

    place.depose();
    assert!(matches!(commit_as_first(2), Err(EngineError::Fenced { .. })), "nobody leads");
    assert!(matches!(next(&mut second), Ok(Followed::Load)));
    let second_epoch = lead(&mut second);
    second.commit(&Batch { epoch: second_epoch, version: 2, writes: put(b"second") }).expect("it leads");
    assert!(matches!(commit_as_first(3), Err(EngineError::Fenced { .. })), "another leads");
    let (loaded, rows) = load(&mut first);
    assert!(matches!(loaded.standing, Standing::Follows { .. }), "{loaded:?}");
    assert_eq!((loaded.version, rows.len()), (2, 2));
}

/// Makes a module of tests, each of which is a function beside it, over a place.
macro_rules! suite {
    ($module:ident, $place:ty: $($test:ident),+ $(,)?) => {
        mod $module {
            use super::*;

            $(#[test]
            fn $test() {
                super::$test::<$place>();
            })+
        }
    };
}
pub(super) use suite;

suite!(memory, Memory:
    loads_what_was_committed,
    fences_every_epoch_but_the_last,
    takes_whatever_its_limits_say,
    gives_the_lead_back_when_it_ends,
    followers_get_every_batch_whole_and_in_order,
    one_leads_and_the_one_before_is_fenced,
);

suite!(fjall, Fjall:
    loads_what_was_committed,
    fences_every_epoch_but_the_last,
    takes_whatever_its_limits_say,
    gives_the_lead_back_when_it_ends,
);

suite!(etcd, Etcd:
    loads_what_was_committed,
    fences_every_epoch_but_the_last,
    takes_whatever_its_limits_say,
    gives_the_lead_back_when_it_ends,
    followers_get_every_batch_whole_and_in_order,
    one_leads_and_the_one_before_is_fenced,
);
