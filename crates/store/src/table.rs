//! Tables: declared once with key, row, kind number and indexes.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use crate::row::TableInfo;
use crate::{Key, Row, RowError, Sign, StoreError, Sum, Sums};

/// A table, as the type of its name. Declare one with [`table!`](crate::table!).
pub trait Table: Copy + Send + Sync + 'static {
    type Row: Row;

    /// The table's number in stored keys. Never reused, never 0.
    const KIND: u16;
    const NAME: &'static str;
    /// The version that rows are written with.
    const VERSION: u8;

    /// The primary key, made of the row alone.
    fn key(row: &Self::Row) -> Key;

    /// Pushes the row's entries: the index's number and the key to be found by.
    fn indexes(row: &Self::Row, entries: &mut Vec<(u8, Key)>);

    /// Counts the row in or out of the sums that the table keeps.
    fn sums(_row: &Self::Row, _sign: Sign, _sums: &mut Sums) {}

    /// Reads a row that was written with another version than [`Table::VERSION`].
    ///
    /// # Errors
    /// [`RowError::Version`] unless the table says how.
    fn migrate(from_version: u8, _cbor: &[u8]) -> Result<Self::Row, RowError> {
        Err(RowError::Version { found: from_version, current: Self::VERSION })
    }
}

/// One way to find rows of `T` other than by key; pass it to [`View::by`](crate::View::by).
pub struct Index<T> {
    pub(crate) number: u8,
    table: PhantomData<T>,
}

impl<T> Index<T> {
    /// The index that [`Table::indexes`] calls `number`.
    pub const fn new(number: u8) -> Self {
        Self { number, table: PhantomData }
    }
}

impl<T> Clone for Index<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Index<T> {}

/// Every table that a store may hold rows of. Repeated kinds are refused by
/// [`Store::open`](crate::Store::open).
#[derive(Clone, Default)]
pub struct Schema {
    tables: Vec<TableInfo>,
}

impl Schema {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn with<T: Table>(mut self, _table: T) -> Self {
        self.tables.push(TableInfo::of::<T>());
        self
    }

    /// Kind to table.
    pub(crate) fn by_kind(&self) -> Result<BTreeMap<u16, TableInfo>, StoreError> {
        let mut tables = BTreeMap::new();
        for table in &self.tables {
            if table.kind == crate::engine::OWN_KIND {
                return Err(StoreError::ReservedKind { name: table.name });
            }
            if let Some(first) = tables.insert(table.kind, *table) {
                let (first, second) = (first.name, table.name);
                return Err(StoreError::DuplicateKind { kind: table.kind, first, second });
            }
        }
        Ok(tables)
    }
}

/// Declares a table, a unit type of that name which implements [`Table`]:
///
/// ```text
/// table! {
///     /// Tasks, running and lately stopped.
///     pub TASKS: (account, region, cluster, id) => Task, kind = 0x0103, version = 1,
///     by NODE(|task| task.node.as_ref().map(|node| key![task.account, task.region, node])),
///     by SERVICE(|task| ...)
/// }
/// ```
/// The names in parentheses are the fields of the row that make its key, in order. An index is a
/// function from the row to the keys it is found by, an `Option<Key>` or any other
/// `IntoIterator<Item = Key>`, and becomes a constant: `view.by(TASKS::NODE, &key![..])`.
/// Behind the indexes may stand sums, such as `sum HELD(|task| task.place()) => Held`: a [`Sum`](crate::Sum)
/// over all rows with the same `Option<Key>`, read by `view.sum(TASKS::HELD, &key![..])`.
/// After the version may stand `migrate = path,` for a function as [`Table::migrate`].
#[macro_export]
macro_rules! table {
    (
        $(#[$meta:meta])*
        $vis:vis $name:ident: ($($field:ident),+ $(,)?) => $row:ty,
        kind = $kind:expr, version = $version:expr
        $(, migrate = $migrate:path)?
        $(, by $index:ident($keys:expr))*
        $(, sum $sum:ident($sum_key:expr) => $total:ty)* $(,)?
    ) => {
        $(#[$meta])*
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "tables are named as constants are")]
        #[derive(Clone, Copy, Debug)]
        $vis struct $name;

        const _: () = {
            // `None` is never made; it is there for tables with no index, since `repr` refuses an empty enum.
            #[allow(non_camel_case_types, clippy::upper_case_acronyms, dead_code, reason = "named as the index is")]
            #[repr(u8)]
            enum Number { $($index,)* None }
            #[allow(non_camel_case_types, clippy::upper_case_acronyms, dead_code, reason = "named as the index is")]
            #[repr(u8)]
            enum SumNumber { $($sum,)* None }

            #[allow(dead_code, reason = "an index may have its readers in another crate")]
            impl $name {
                $($vis const $index: $crate::Index<$name> = $crate::Index::new(Number::$index as u8);)*
                $($vis const $sum: $crate::SumOf<$name, $total> = $crate::SumOf::new(SumNumber::$sum as u8);)*
            }

            impl $crate::Table for $name {
                type Row = $row;
                const KIND: u16 = $kind;
                const NAME: &'static str = stringify!($name);
                const VERSION: u8 = $version;

                fn key(row: &$row) -> $crate::Key {
                    $crate::key![$(row.$field),+]
                }

                #[allow(unused_variables, reason = "a table may have no index")]
                fn indexes(row: &$row, entries: &mut Vec<(u8, $crate::Key)>) {
                    $($crate::index_entries(Number::$index as u8, row, $keys, entries);)*
                }

                #[allow(unused_variables, reason = "a table may have no sum")]
                fn sums(row: &$row, sign: $crate::Sign, sums: &mut $crate::Sums) {
                    $($crate::sum_row::<$row, $total>(SumNumber::$sum as u8, row, $sum_key, sign, sums);)*
                }

                $(fn migrate(from_version: u8, cbor: &[u8]) -> Result<$row, $crate::RowError> {
                    $migrate(from_version, cbor)
                })?
            }
        };
    };
}

/// What [`table!`](crate::table!) makes of one `by`; a function so that closures need no types.
#[doc(hidden)]
pub fn index_entries<R, K: IntoIterator<Item = Key>>(
    number: u8,
    row: &R,
    keys: impl Fn(&R) -> K,
    entries: &mut Vec<(u8, Key)>,
) {
    entries.extend(keys(row).into_iter().map(|key| (number, key)));
}

/// What [`table!`](crate::table!) makes of one `sum`.
#[doc(hidden)]
pub fn sum_row<R, S: Sum<R>>(number: u8, row: &R, key: impl Fn(&R) -> Option<Key>, sign: Sign, sums: &mut Sums) {
    if let Some(key) = key(row) {
        sums.change::<R, S>(number, key, row, sign);
    }
}
