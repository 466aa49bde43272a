//! What must not be removed: images and layers that somebody needs.
//!
//! A hold lasts as long as its owner lives. For an image that is an order: the machine has it for as long as it
//! knows the task, and every job of the task has it, too.

use oci::Digest;
use parking_lot::Mutex;
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Weak;

/// Who needs something: as long as it can be upgraded.
pub type Owner = Weak<dyn Any + Send + Sync>;

/// By digests of manifests, and by layers' diff ids.
#[derive(Default)]
pub(super) struct Holds(Mutex<BTreeMap<Digest, Vec<Owner>>>);

impl Holds {
    /// From now on until the owner is gone, `digests` stay.
    pub fn hold<'a>(&self, digests: impl IntoIterator<Item = &'a Digest>, owner: &Owner) {
        let mut held = self.0.lock();
        held.retain(|_, owners| {
            owners.retain(|owner| owner.strong_count() > 0);
            !owners.is_empty()
        });
        for digest in digests {
            let owners = held.entry(digest.clone()).or_default();
            if !owners.iter().any(|known| known.ptr_eq(owner)) {
                owners.push(owner.clone());
            }
        }
    }

    /// Does `work` on something that nobody holds, and that nobody can come to hold meanwhile: it must be short.
    pub fn unless_held<T>(&self, digest: &Digest, work: impl FnOnce() -> T) -> Option<T> {
        let held = self.0.lock();
        let is_held = held.get(digest).is_some_and(|owners| owners.iter().any(|owner| owner.strong_count() > 0));
        if is_held { None } else { Some(work()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_hold_lasts_as_long_as_its_owners() {
        let (holds, digest) = (Holds::default(), Digest::of(b"x"));
        let (one, other) = (Arc::new(1), Arc::new(2));
        let owner = |it: &Arc<i32>| -> Owner { Arc::downgrade(it) as Owner };
        for it in [&one, &one, &other] {
            holds.hold([&digest], &owner(it));
        }
        assert_eq!(holds.unless_held(&digest, || ()), None);
        assert_eq!(holds.unless_held(&Digest::of(b"y"), || ()), Some(()));
        drop(one);
        assert_eq!(holds.unless_held(&digest, || ()), None);
        drop(other);
        assert_eq!(holds.unless_held(&digest, || ()), Some(()));
    }
}
