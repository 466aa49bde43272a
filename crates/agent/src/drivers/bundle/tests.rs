use std::collections::BTreeSet;

use super::*;
use crate::drivers::{Device, Overflow, Security, Tmpfs, devices};

fn host<'a>(layout: Layout, netns: Option<&str>) -> Host<'a> {
    Host {
        user: ProcessUser { uid: 0, gid: 0, groups: vec![10] },
        netns: netns.map(PathBuf::from),
        etc: vec![BindMount { source: "/data/c/hosts".into(), target: "/etc/hosts".into(), read_only: false }],
        volumes: Vec::new(),
        recursively_read_only: false,
        cgroup: "/longshore/c",
        layout,
        counts_swap: true,
        nofile_max: 20_000,
        givable_caps: u64::MAX,
        init: Path::new("/data/init"),
        sandbox: None,
        devices: Vec::new(),
    }
}

/// Without the seccomp profile, which has tests of its own.
fn shown(spec: &ContainerSpec, host: &Host<'_>) -> Value {
    let mut config = config(spec, host).expect("valid");
    assert!(config["linux"]["seccomp"].is_object());
    config["linux"]["seccomp"] = json!("elsewhere");
    config
}

fn full() -> ContainerSpec {
    ContainerSpec {
        args: vec!["/bin/app".into(), "--serve".into()],
        env: BTreeMap::from([("PATH".to_owned(), "/bin".to_owned()), ("A".to_owned(), "1".to_owned())]),
        cwd: "/srv".into(),
        hostname: "web".into(),
        layers: vec!["/layer".into()],
        network: NetworkMode::Bridge { ports: Vec::new() },
        cpu_shares: Some(1),
        memory_limit_bytes: Some(64 << 20),
        memory_reservation_bytes: Some(32 << 20),
        pids_limit: Some(100),
        readonly_rootfs: true,
        cap_add: vec!["SYS_PTRACE".into()],
        cap_drop: vec!["ALL".into()],
        ulimits: vec![Ulimit { name: "core".into(), soft: 0, hard: 1 }],
        tmpfs: vec![Tmpfs { target: "/run".into(), size_bytes: 4096, options: vec!["exec".into()] }],
        shm_bytes: Some(1 << 20),
        mounts: vec![BindMount { source: "/srv/data".into(), target: "/run/deep/data".into(), read_only: true }],
        security: Security { no_new_privileges: true, ..Security::default() },
        pid: Sharing::Group,
        ipc: Sharing::Group,
        memory_swap_bytes: Some(96 << 20),
        swappiness: Some(10),
        terminal: true,
        init: true,
        sysctls: BTreeMap::from([("net.core.somaxconn".to_owned(), "512".to_owned())]),
        output: crate::drivers::OutputSpec::Spool { overflow: Overflow::Block, bytes_max: 1 },
        ..ContainerSpec::default()
    }
}

#[test]
fn everything_asked_for() {
    let mut host = host(Layout::Hybrid, Some("/data/netns/c"));
    host.sandbox = Some(Sandbox { pid: 7, shm: "/data/sandboxes/t/shm".into() });
    let asked = Device { source: "/dev/full".into(), target: "/dev/never".into(), access: "r".into() };
    host.devices = devices::resolve(&[asked]).expect("every host has it");
    insta::assert_json_snapshot!(shown(&full(), &host));
}

fn mounted(spec: &ContainerSpec, host: &Host<'_>) -> Vec<(String, String)> {
    let config = config(spec, host).expect("valid");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mounts = config["mounts"].as_array().expect("mounts").iter();
    mounts.map(|mount| (text(&mount["destination"]), text(&mount["source"]))).collect()
}

#[test]
fn a_containers_own_mounts_stand_in_for_those_that_every_container_has() {
    let bind = |target: &str| BindMount { source: "/srv".into(), target: target.into(), read_only: true };
    let mut host = host(Layout::Unified, None);
    let spec = ContainerSpec { mounts: vec![bind("/dev"), bind("/etc/hosts")], ..ContainerSpec::default() };
    host.volumes = vec![bind("/sys")];
    let mounts = mounted(&spec, &host);
    let sources = |target: &str| {
        let there = mounts.iter().filter(|(at, _)| at == target);
        there.map(|(_, source)| source.as_str()).collect::<Vec<_>>()
    };
    assert_eq!((sources("/dev"), sources("/sys"), sources("/etc/hosts")), (vec!["/srv"], vec!["/srv"], vec!["/srv"]));
    assert_eq!((sources("/dev/pts"), sources("/proc")), (Vec::<&str>::new(), vec!["proc"]));
}

#[test]
fn read_only_is_all_that_is_mounted_beneath_where_that_can_be() {
    fn check(source: &str, recursively_read_only: bool, expect: &str) {
        let bind = BindMount { source: source.into(), target: "/there".into(), read_only: true };
        let spec = ContainerSpec { mounts: vec![bind], ..ContainerSpec::default() };
        let host = Host { recursively_read_only, ..host(Layout::Unified, None) };
        let config = config(&spec, &host).expect("valid");
        let mount = config["mounts"].as_array().expect("mounts").iter().find(|mount| mount["destination"] == "/there");
        assert_eq!(mount.expect("there")["options"], json!(["rbind", "rprivate", expect]));
    }
    check("/etc", false, "ro");
    check("/etc", true, "rro");
    check("/etc/passwd", true, "ro");
}

#[test]
fn a_privileged_container_has_nothing_hidden_or_forbidden() {
    let privileged = ContainerSpec { privileged: true, cap_drop: vec!["ALL".into()], ..ContainerSpec::default() };
    let config = config(&privileged, &host(Layout::Unified, None)).expect("valid");
    for hidden in ["seccomp", "maskedPaths", "readonlyPaths"] {
        assert!(config["linux"][hidden].is_null(), "{hidden}");
    }
    assert_eq!(config["linux"]["resources"]["devices"], json!([{ "allow": true, "access": "rwm" }]));
    assert_eq!(config["process"]["capabilities"]["bounding"].as_array().map(Vec::len), Some(41));
    assert!(config["mounts"].to_string().contains(r#"["nosuid","noexec","nodev","rw"]"#));
}

#[test]
fn version_2_knows_no_swappiness() {
    let spec = ContainerSpec { swappiness: Some(1), memory_limit_bytes: Some(1), ..ContainerSpec::default() };
    let config = config(&spec, &host(Layout::Unified, None)).expect("valid");
    assert!(config["linux"]["resources"]["memory"]["swappiness"].is_null());
}

#[test]
fn nothing_asked_for() {
    let spec = ContainerSpec { args: vec!["sh".into()], hostname: "c".into(), ..ContainerSpec::default() };
    insta::assert_json_snapshot!(shown(&spec, &host(Layout::Hybrid, None)));
}

/// The specification's own types take every field, and none is lost in them.
#[test]
fn the_configuration_is_of_the_specification() {
    for (spec, layout) in [(full(), Layout::Unified), (full(), Layout::Legacy)] {
        let ours = config(&spec, &host(layout, None)).expect("valid");
        let typed: oci_spec::runtime::Spec = serde_json::from_value(ours.clone()).expect("of the specification");
        assert_eq!(paths(&ours), paths(&serde_json::to_value(typed).expect("json")));
    }
}

/// All paths to scalars, without the positions in lists, since the types keep capabilities as sets.
fn paths(value: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, at: String, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(name, value)| walk(value, format!("{at}/{name}"), into)),
            Value::Array(list) => list.iter().for_each(|value| walk(value, format!("{at}/*"), into)),
            scalar => {
                into.insert(format!("{at}={scalar}"));
            }
        }
    }
    let mut all = BTreeSet::new();
    walk(value, String::new(), &mut all);
    all
}

#[test]
fn the_host_s_network_has_no_namespace_and_no_sysctls() {
    let spec = ContainerSpec { network: NetworkMode::Host, ..ContainerSpec::default() };
    let config = config(&spec, &host(Layout::Unified, None)).expect("valid");
    assert_eq!(config["linux"]["sysctl"], json!({}));
    assert!(!config["linux"]["namespaces"].to_string().contains("network"));
}

#[test]
fn others_than_root_hold_no_capabilities_from_the_start() {
    let mut host = host(Layout::Unified, None);
    host.user.uid = 33;
    let config = config(&ContainerSpec::default(), &host).expect("valid");
    let sets = config["process"]["capabilities"].as_object().expect("sets");
    assert_eq!(sets.keys().collect::<Vec<_>>(), ["bounding"]);
}

#[test]
fn ulimits_are_checked() {
    fn check(name: &str, soft: u64, hard: u64, expect: &str) {
        let error = rlimits(&[Ulimit { name: name.into(), soft, hard }], 1024).expect_err(expect);
        assert_eq!(error.to_string(), format!("ulimits is not valid: {expect}"));
    }
    check("nofiles", 1, 1, "no limit is named \"nofiles\"");
    check("nproc", 2, 1, "the soft limit of nproc is above the hard limit");
}

#[test]
fn a_zero_byte_is_refused_wherever_it_is() {
    let text = || "a\0b".to_owned();
    for (spec, field) in [
        (ContainerSpec { args: vec!["true".into(), text()], ..full() }, "command"),
        (ContainerSpec { env: BTreeMap::from([("A".to_owned(), text())]), ..full() }, "environment"),
        (ContainerSpec { env: BTreeMap::from([(text(), "1".to_owned())]), ..full() }, "environment"),
        (ContainerSpec { cwd: text(), ..full() }, "workingDirectory"),
        (
            ContainerSpec { hostname: text(), env: BTreeMap::from([("HOSTNAME".into(), "a".into())]), ..full() },
            "configuration",
        ),
        (ContainerSpec { sysctls: BTreeMap::from([(text(), "1".to_owned())]), ..full() }, "configuration"),
    ] {
        let refused = config(&spec, &host(Layout::Unified, None)).expect_err("refused").to_string();
        assert_eq!(refused, format!("{field} is not valid: it has a zero byte"));
    }
}
