#![allow(clippy::all, clippy::unwrap_used, clippy::expect_used)]
use agent::drivers::*;
use std::io::Read;
use std::path::PathBuf;
use std::process::*;
use std::time::*;
fn wait_fifo(p: PathBuf) -> std::sync::mpsc::Receiver<Instant> {
    let (tx, rx) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut f = std::fs::File::options().read(true).write(true).open(p).unwrap();
        let mut b = [0; 1];
        while f.read(&mut b).unwrap() == 1 {
            tx.send(Instant::now()).unwrap();
        }
    });
    rx
}
fn stats(name: &str, mut v: Vec<f64>) {
    v.sort_by(|a, b| a.total_cmp(b));
    println!(
        "{name}: median {:.1} p90 {:.1} min {:.1} max {:.1} ms",
        v[v.len() / 2],
        v[v.len() * 9 / 10],
        v[0],
        v[v.len() - 1]
    );
}
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).map(String::as_str) == Some("shim") {
        return agent::shim::main(args[2].as_ref());
    }
    let base = PathBuf::from("/tmp/exp/measure");
    let fifo = base.join("fifo/f");
    if args.get(1).map(String::as_str) == Some("bare") {
        let rx = wait_fifo(fifo);
        let mut v = vec![];
        let mut all = vec![];
        for i in 0..30 {
            let t = Instant::now();
            let mut c = Command::new("crun")
                .args(["--root", "/tmp/exp/measure/rt", "run", "--bundle", &args[2], &format!("bare{i}")])
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            v.push((rx.recv().unwrap() - t).as_secs_f64() * 1e3);
            c.wait().unwrap();
            all.push(t.elapsed().as_secs_f64() * 1e3);
        }
        stats("bare crun run -> first", v);
        stats("bare crun run -> exit", all);
        return ExitCode::SUCCESS;
    }
    let _ = std::fs::create_dir_all(base.join("fifo"));
    let _ = Command::new("mkfifo").arg(&fifo).status();
    let layer = base.join("layer");
    let _ = std::fs::create_dir_all(layer.join("bin"));
    if !layer.join("bin/sh").exists() {
        std::fs::copy("/usr/bin/busybox", layer.join("bin/sh")).unwrap();
    }
    let data = base.join("data");
    let runtime =
        runtime::Runtime::probe(&[args.get(2).map(String::as_str).unwrap_or("crun")], &base, "/lsmeasure").unwrap();
    println!("{runtime:?}");
    let rt = tokio::runtime::Runtime::new().unwrap();
    rt.block_on(async {
        let containers = Containers::open(Config {
            shim: ShimCommand { program: std::env::current_exe().unwrap(), args: vec!["shim".into()] },
            data: data.clone(),
            runtime,
            cgroup_root: "/lsmeasure".into(),
            network: network::NetworkConfig { bridge: "lsmeas0".into(), ..Default::default() },
        })
        .unwrap();
        containers.adopt().await.unwrap();
        let rx = if args[1] == "run" { wait_fifo(fifo.clone()) } else { std::sync::mpsc::channel().1 };
        let spec = |net| ContainerSpec {
            args: ["/bin/sh", "-c", "echo > /mnt/f"].map(String::from).into(),
            layers: vec![layer.clone()],
            hostname: "m".into(),
            network: net,
            mounts: vec![BindMount { source: base.join("fifo"), target: "/mnt".into(), read_only: false }],
            memory_limit_bytes: Some(64 << 20),
            cpu_shares: Some(128),
            pids_limit: Some(100),
            ..Default::default()
        };
        if args.get(1).map(String::as_str) == Some("run") {
            let modes = [
                ("none", NetworkMode::None),
                ("bridge", NetworkMode::Bridge { ports: vec![] }),
                (
                    "bridge+port",
                    NetworkMode::Bridge {
                        ports: vec![PortMapping { container_port: 80, host_port: None, protocol: Protocol::Tcp }],
                    },
                ),
            ];
            for (name, net) in modes {
                let (mut first, mut create, mut run, mut stop, mut rm) = (vec![], vec![], vec![], vec![], vec![]);
                for i in 0..(std::env::var("N").map_or(30, |n| n.parse().unwrap())) {
                    let id: ContainerId = format!("{name}{i}").replace('+', "-").parse().unwrap();
                    let t = Instant::now();
                    containers.create(&id, &spec(net.clone())).await.unwrap();
                    let t1 = Instant::now();
                    containers.start(&id).await.unwrap();
                    let t2 = Instant::now();
                    first.push((rx.recv().unwrap() - t).as_secs_f64() * 1e3);
                    create.push((t1 - t).as_secs_f64() * 1e3);
                    run.push((t2 - t).as_secs_f64() * 1e3);
                    containers.wait(&id).await.unwrap();
                    let t3 = Instant::now();
                    stop.push((t3 - t).as_secs_f64() * 1e3);
                    containers.remove(&id).await.unwrap();
                    rm.push(t3.elapsed().as_secs_f64() * 1e3);
                }
                stats(&format!("{name} create"), create);
                stats(&format!("{name} -> first instruction"), first);
                stats(&format!("{name} -> Running known"), run);
                stats(&format!("{name} -> Exited known"), stop);
                stats(&format!("{name} remove"), rm);
            }
            containers.dismantle().await.unwrap();
        } else {
            // hold one container
            let id: ContainerId = "held".parse().unwrap();
            if args[1] == "hold" {
                let mut s = spec(NetworkMode::None);
                s.args[2] = "read x < /mnt/f".into();
                containers.create(&id, &s).await.unwrap();
                containers.start(&id).await.unwrap();
                std::thread::sleep(Duration::from_millis(300));
                let l = std::fs::read_to_string(data.join("containers/held/shim.lock")).unwrap();
                println!("{l}");
                let pid: String =
                    l.chars().skip_while(|c| !c.is_ascii_digit()).take_while(|c| c.is_ascii_digit()).collect();
                print!(
                    "{}",
                    std::fs::read_to_string(format!("/proc/{pid}/status"))
                        .unwrap()
                        .lines()
                        .filter(|l| l.starts_with("Vm") || l.starts_with("Rss") || l.starts_with("Threads"))
                        .collect::<Vec<_>>()
                        .join("\n")
                );
                println!("{}", std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap());
                containers.stop(&id, Duration::ZERO).await.unwrap();
                containers.remove(&id).await.unwrap();
            } else {
                containers.create(&id, &spec(NetworkMode::None)).await.unwrap();
                println!("created");
                let me = std::env::current_exe().unwrap();
                Command::new("unshare")
                    .arg("-m")
                    .arg("sh")
                    .arg("-c")
                    .arg(format!(
                        "umount /sys/fs/cgroup/unified; {} bare {}",
                        me.display(),
                        data.join("containers/held").display()
                    ))
                    .status()
                    .unwrap();
                containers.remove(&id).await.unwrap();
            }
        }
    });
    ExitCode::SUCCESS
}
