//! The server is killed again and again while clients back up: nothing that was published is lost, and
//! the clients finish.

use crate::fixture::Server;
use crate::support::{finish, noise};
use std::time::{Duration, Instant};

/// More by HOLOTYPE_KILL_ROUNDS.
const ROUNDS: u64 = 4;
const CLIENTS: u64 = 3;
const DISK_BYTES: usize = 48 << 20;

#[test]
fn a_server_that_is_killed_at_random_loses_nothing() {
    let rounds = std::env::var("HOLOTYPE_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let seed = std::env::var("HOLOTYPE_KILL_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
    });
    eprintln!("HOLOTYPE_KILL_SEED={seed}");
    let mut server = Server::initialised();
    let mut published: Vec<(String, u64)> = Vec::new();
    for round in 0..rounds {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let seed = round * CLIENTS + client;
                let disk = format!("disk-{client}");
                server.workspace.write(&disk, noise(seed, DISK_BYTES));
                let name = format!("pc-{round}-{client}");
                let arguments = ["backup", &disk, "--name", &name, "--cache-dir", &format!("cache-{client}"), "--json"];
                (name.clone(), seed, server.client_command(arguments).spawn().unwrap())
            })
            .collect();
        // Two to four deaths a round, at random times of a backup.
        let random = noise(seed ^ round, 64);
        let deaths = 2 + usize::from(random[0] % 3);
        for death in 0..deaths {
            let pause = u64::from(u16::from_le_bytes([random[2 + 2 * death], random[3 + 2 * death]])) % 900;
            std::thread::sleep(Duration::from_millis(50 + pause));
            server.kill();
            std::thread::sleep(Duration::from_millis(u64::from(random[20 + death])));
            server.start();
        }
        let started = Instant::now();
        for (name, seed, client) in clients {
            let run = finish(client).expect(0);
            // Resumed uploads keep what a client sends near what it stores.
            let report = run.json();
            assert!(report["stored_bytes"].as_u64().unwrap() >= DISK_BYTES as u64 / 2, "{report}");
            published.push((name, seed));
        }
        eprintln!("round {round}: {deaths} deaths, clients done {:?} after the last", started.elapsed());
    }
    server.client(["verify", "--read-data"]).expect(0);
    for (name, seed) in published.iter().rev().take(6) {
        assert!(server.client(["restore", name, "-"]).expect(0).stdout == noise(*seed, DISK_BYTES), "{name}");
    }
    let images = server.client(["images", "--json"]).expect(0).json();
    assert_eq!(images.as_array().unwrap().len(), published.len(), "each is there, and once");
}

#[test]
fn a_graceful_stop_lets_a_backup_go_on_later() {
    let mut server = Server::initialised();
    server.workspace.write("disk", noise(7, 2 * DISK_BYTES));
    let client = server.client_command(["backup", "disk", "--name", "pc"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(server.stop(), 0);
    server.start();
    finish(client).expect(0);
    server.client(["verify", "--read-data"]).expect(0);
}
