//! The AWS protocols that services here speak, one file each.

pub(crate) mod json;
pub(crate) mod query;
