//! Sums over the rows that share a key, kept with each change: reading one does not walk the rows.
//!
//! They are derived, never stored: every way by which a row comes or goes (a transaction, a load, another
//! server's batch) passes through the same place, so a sum is always that of the rows beside it.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use imbl::OrdMap;

use crate::{Key, Table};

/// What is added up over rows `R`. Cloned for each change: keep it small, or in shared parts.
pub trait Sum<R>: Clone + Default + Send + Sync + 'static {
    fn add(&mut self, row: &R);

    /// Undoes [`Sum::add`] of an equal row.
    fn subtract(&mut self, row: &R);
}

/// A sum that `T` keeps; pass it to [`View::sum`](crate::View::sum).
pub struct SumOf<T, S> {
    pub(crate) number: u8,
    kinds: PhantomData<(T, S)>,
}

impl<T: Table, S: Sum<T::Row>> SumOf<T, S> {
    /// The sum that [`Table::sums`] calls `number`.
    pub const fn new(number: u8) -> Self {
        Self { number, kinds: PhantomData }
    }
}

impl<T, S> Clone for SumOf<T, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, S> Copy for SumOf<T, S> {}

/// Whether a row comes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Plus,
    Minus,
}

/// All sums of one table, by number and key.
#[derive(Clone, Default)]
pub struct Sums(Vec<OrdMap<Key, Total>>);

#[derive(Clone)]
struct Total {
    /// How many rows are in it: with none it goes away.
    rows: usize,
    sum: Arc<dyn Any + Send + Sync>,
}

impl Sums {
    /// Counts `row` in or out of the sum `number` under `key`.
    pub fn change<R, S: Sum<R>>(&mut self, number: u8, key: Key, row: &R, sign: Sign) {
        let at = usize::from(number);
        if self.0.len() <= at {
            self.0.resize_with(at + 1, OrdMap::new);
        }
        let before = self.0[at].get(&key);
        let mut sum: S = before.and_then(|total| total.sum.downcast_ref()).cloned().unwrap_or_default();
        let rows = before.map_or(0, |total| total.rows);
        let rows = match sign {
            Sign::Plus => {
                sum.add(row);
                rows + 1
            }
            Sign::Minus => {
                sum.subtract(row);
                rows.saturating_sub(1)
            }
        };
        match rows {
            0 => drop(self.0[at].remove(&key)),
            _ => drop(self.0[at].insert(key, Total { rows, sum: Arc::new(sum) })),
        }
    }

    pub(crate) fn get<S: 'static>(&self, number: u8, key: &Key) -> Option<&S> {
        self.0.get(usize::from(number))?.get(key)?.sum.downcast_ref()
    }
}
