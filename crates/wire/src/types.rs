//! Typed requests and responses of the operations that are implemented.
//!
//! They are read from and written to canonical documents (see [`crate::codec`]); `cargo xtask
//! codegen` generates them. They go no further than an operation's file: state has rows of its own.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Deref;

/// A value that is never shown in logs: its `Debug` says only «sensitive».
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sensitive<T>(pub T);

impl<T> fmt::Debug for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("«sensitive»")
    }
}

impl<T> Deref for Sensitive<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Sensitive<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}
