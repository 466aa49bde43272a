//! Real containers on this host. They need root, crun or runc, nftables and busybox-static; each test has a
//! data directory and a control group of its own, and those of the bridge a network namespace as their host.

mod again;
mod bridge;
mod given;
mod lifecycle;
mod limits;
mod node;
mod output;
