//! Figures: a directory against a server on loopback, over the same disk.
//!
//! `cargo run --release -p holotype-server --features testing --example network_figures -- DIRECTORY [MIB]`

use holotype_repo::os::{Overwrite, open_source, open_target};
use holotype_repo::remote::HttpsStore;
use holotype_repo::store::LocalStore;
use holotype_repo::{BackupOptions, Credentials, InitOptions, Job, Repository, RestoreOptions, Store};
use holotype_server::access::Role;
use holotype_server::testing::TestServer;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

const TOKEN: &str = "figures";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().expect("a directory for everything"));
    let mib: usize = arguments.next().map_or(2048, |text| text.parse().expect("a number of MiB"));
    let disk = directory.join("disk");
    make_disk(&disk, mib);
    let server = TestServer::start(&directory);
    server.add_user(TOKEN, Role::Admin);
    for round in 0..3 {
        let local_path = directory.join(format!("local-{round}"));
        let name = format!("round-{round}");
        let remote_path = server.add_repository(&name);
        LocalStore::create(&local_path).unwrap();
        run("directory", mib, &disk, &|| Arc::new(LocalStore::open(&local_path).unwrap()));
        run("server", mib, &disk, &|| Arc::new(HttpsStore::open(server.endpoint(TOKEN), &name).unwrap()));
        std::fs::remove_dir_all(local_path).unwrap();
        std::fs::remove_dir_all(remote_path).unwrap();
    }
}

fn run(what: &str, mib: usize, disk: &Path, store: &dyn Fn() -> Arc<dyn Store>) {
    let password = Credentials::password("figures");
    let options = InitOptions { fast_derivation: true, ..InitOptions::new(password.clone()) };
    let repository = Repository::init_shared(store(), &options, None).unwrap();
    let rate = |started: Instant| mib as f64 / started.elapsed().as_secs_f64();
    let backup = |repository: &Repository| {
        let started = Instant::now();
        let source = open_source(disk).unwrap();
        let report = repository.backup(&*source, &BackupOptions::named("pc"), &Job::new()).unwrap();
        (rate(started), report)
    };
    let (first, report) = backup(&repository);
    let stored_mib = report.stored_bytes >> 20;
    let again = Repository::open_shared(store(), &password, None).unwrap();
    let (unchanged, report) = backup(&again);
    let resent = report.stored_bytes;
    let target_path = disk.with_extension("restored");
    let target = open_target(&target_path, Overwrite::Refused).unwrap();
    let started = Instant::now();
    let fresh = Repository::open_shared(store(), &password, None).unwrap();
    fresh.restore(report.image.unwrap(), &*target, &RestoreOptions::default(), &Job::new()).unwrap();
    let restore = rate(started);
    std::fs::remove_file(target_path).unwrap();
    println!(
        "{what:9} first {first:6.0} MiB/s ({stored_mib} MiB stored), unchanged {unchanged:6.0} MiB/s \
         ({resent} bytes stored), restore {restore:6.0} MiB/s"
    );
}

/// Half noise, half repeated words: compresses to about half.
fn make_disk(path: &Path, mib: usize) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..mib << 20 >> 4 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes()).unwrap();
        file.write_all(&(state % 8).to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
}
