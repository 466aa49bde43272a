//! A real etcd, and which of its rows are a test's.

use rustix::process::Signal;

use crate::{EtcdEngine, EtcdPlace};

pub struct Etcd {
    process: testbed::Etcd,
    prefixes: u32,
}

impl Etcd {
    pub fn start() -> Self {
        Self { process: testbed::Etcd::start().expect("etcd starts"), prefixes: 0 }
    }

    /// Kills it and starts it on what it kept, at the same port.
    pub fn restart(&mut self) {
        self.process.restart().expect("it starts again");
    }

    /// From now on engines have other rows.
    pub fn next_prefix(&mut self) {
        self.prefixes += 1;
    }

    pub fn prefix(&self) -> String {
        format!("test{}", self.prefixes)
    }

    pub fn place(&self) -> EtcdPlace {
        format!("etcd://{}/{}", self.process.address(), self.prefix()).parse().expect("a place")
    }

    /// The engine of a server at `address`.
    pub fn engine(&self, address: &str) -> EtcdEngine {
        EtcdEngine::new(self.place(), address).expect("a runtime")
    }

    /// Runs etcd's own client; answers what it printed.
    pub fn ctl(&self, args: &[&str]) -> String {
        self.process.ctl(args).expect("etcdctl")
    }

    /// Stops or continues the process.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal).expect("it runs");
    }
}
