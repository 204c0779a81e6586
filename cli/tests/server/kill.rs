//! The server is killed again and again while clients back up: nothing that was published is lost, and
//! the clients finish.

use crate::fixture::{Relay, Server};
use crate::support::{finish, noise};
use std::time::{Duration, Instant};

/// More by HOLOTYPE_KILL_ROUNDS.
const ROUNDS: u64 = 4;
const CLIENTS: u64 = 3;
const DISK_BYTES: usize = 80 << 20;
/// What may stand in the sockets between a client and the server when it dies.
const IN_FLIGHT_BYTES: u64 = 8 << 20;

#[test]
fn a_server_that_is_killed_at_random_loses_nothing() {
    let rounds = std::env::var("HOLOTYPE_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let seed = std::env::var("HOLOTYPE_KILL_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
    });
    eprintln!("HOLOTYPE_KILL_SEED={seed}");
    let mut server = Server::initialised();
    let relay = Relay::to(server.port);
    let (mut stored_bytes, mut all_deaths) = (0, 0);
    let mut published: Vec<(String, u64)> = Vec::new();
    for round in 0..rounds {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let seed = round * CLIENTS + client;
                let disk = format!("disk-{client}");
                server.workspace.write(&disk, noise(seed, DISK_BYTES));
                let name = format!("pc-{round}-{client}");
                let arguments = ["backup", &disk, "--name", &name, "--cache-dir", &format!("cache-{client}"), "--json"];
                let mut command = server.client_command(arguments);
                command.env("HOLOTYPE_REPO", format!("https://127.0.0.1:{}/lab", relay.port));
                (name.clone(), seed, command.spawn().unwrap())
            })
            .collect();
        // Two to four deaths a round, at random times of a backup.
        let random = noise(seed ^ round, 64);
        let deaths = 2 + usize::from(random[0] % 3);
        for death in 0..deaths {
            let pause = u64::from(u16::from_le_bytes([random[2 + 2 * death], random[3 + 2 * death]])) % 600;
            std::thread::sleep(Duration::from_millis(50 + pause));
            server.kill();
            std::thread::sleep(Duration::from_millis(u64::from(random[20 + death])));
            server.start();
        }
        let started = Instant::now();
        for (name, seed, client) in clients {
            let run = finish(client).expect(0);
            stored_bytes += run.json()["stored_bytes"].as_u64().unwrap();
            published.push((name, seed));
        }
        all_deaths += deaths as u64;
        eprintln!("round {round}: {deaths} deaths, clients done {:?} after the last", started.elapsed());
    }
    // A pack that was cut goes on where it was: only what stood in sockets is sent again.
    let sent_bytes = relay.sent_bytes();
    let lost_bytes = all_deaths * CLIENTS * IN_FLIGHT_BYTES;
    eprintln!("{all_deaths} deaths: {} MiB stored, {} MiB sent", stored_bytes >> 20, sent_bytes >> 20);
    assert!(sent_bytes < stored_bytes * 21 / 20 + lost_bytes, "{sent_bytes} sent for {stored_bytes}");
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
