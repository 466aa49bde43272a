//! What tests start beside us, each for one test and ended with it. No part of the product.

mod etcd;

pub use etcd::Etcd;
