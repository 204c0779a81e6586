//! One image onto several machines with one command: those that have enrolled, and those that only now show a key.

use crate::fixture::{PATIENCE, Server};
use crate::management::json as asked;
use crate::support::{finish, small_disk};
use holotype_repo::core::secret::{Secret32, SecretBytes};
use holotype_repo::core::signature::{self, Signing};
use holotype_repo::core::{ImageId, hex, machine_proof};
use holotype_repo::disk::MemoryDisk;
use holotype_repo::https::{Endpoint, HttpsClient};
use holotype_repo::remote::HttpsStore;
use holotype_repo::{ErrorKind, Job, Receipt, Repository, RestoreOptions};
use http::{Method, Request};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A machine as its program on the boot medium is one: a key, and the library.
struct Machine {
    endpoint: Endpoint,
    seed: Secret32,
}

impl Machine {
    fn new(server: &Server, number: u8) -> Self {
        let endpoint = Endpoint { origin: server.url(), pin: Some(server.pin().parse().unwrap()), token: None };
        Self { endpoint, seed: Secret32::new([number; 32]) }
    }

    fn key(&self) -> Signing {
        Signing::from_seed(&self.seed)
    }

    fn ask(&self, method: Method, path: &str, body: &Value) -> (u16, Vec<u8>) {
        let client = HttpsClient::new(self.endpoint.clone()).unwrap();
        let request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        let response = match body {
            Value::Null => client.send(request.body(()).unwrap()),
            body => client.send(request.header("content-type", "application/json").body(body.to_string()).unwrap()),
        };
        let mut response = response.unwrap();
        (response.status().as_u16(), response.body_mut().read_to_vec().unwrap())
    }

    fn json(&self, method: Method, path: &str, body: &Value) -> Value {
        let (status, bytes) = self.ask(method, path, body);
        assert!(status < 300, "{path}: {status} {}", String::from_utf8_lossy(&bytes));
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Shows the key once.
    fn show_key(&self, mac: &str) -> Value {
        let key = self.key();
        let message = machine_proof::claim_message("default", &key.writer());
        let body = json!({
            "name": "unnamed", "public_key": key.writer().to_string(), "macs": [mac],
            "signature": hex::text(&key.sign(signature::MACHINE_CLAIM, &message)),
        });
        self.json(Method::POST, "/machine/claims", &body)
    }

    /// Shows the key until an operator has approved it; gives the machine's id.
    fn claim(&self, mac: &str) -> String {
        let started = Instant::now();
        loop {
            let claim = self.show_key(mac);
            if let Some(machine) = claim["machine"].as_str() {
                return machine.to_owned();
            }
            assert!(started.elapsed() < PATIENCE, "nobody approves {claim}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Opens a session with the key.
    fn session(&mut self, machine: &str) {
        let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let nonce = self.seed.expose()[..16].try_into().unwrap();
        let message = machine_proof::session_message(machine, at_ms, &nonce);
        let body = json!({
            "machine": machine, "at_ms": at_ms, "nonce": hex::text(&nonce),
            "signature": hex::text(&self.key().sign(signature::MACHINE_SESSION, &message)),
        });
        let session = self.json(Method::POST, "/machines/session", &body);
        let token = session["token"].as_str().unwrap().as_bytes().to_vec();
        self.endpoint.token = Some(SecretBytes::new(token));
    }

    /// Does the run that is queued: restores with the keys that it was granted.
    fn work(&self, bytes: usize) -> Vec<u8> {
        let jobs = self.json(Method::GET, "/machine/runs?wait_seconds=30", &Value::Null);
        let run = &jobs["items"][0];
        let (id, image) = (run["id"].as_str().unwrap(), run["image"].as_str().unwrap());
        self.json(Method::POST, &format!("/machine/runs/{id}/start"), &json!({}));
        let started = Instant::now();
        let keys = loop {
            match self.ask(Method::GET, &format!("/machine/grants/lab/{image}/keys"), &Value::Null) {
                (200, keys) => break keys,
                (status, _) => assert!(status == 404 && started.elapsed() < PATIENCE, "{status}"),
            }
            std::thread::sleep(Duration::from_millis(200));
        };
        let store = Arc::new(HttpsStore::open(self.endpoint.clone(), "lab").unwrap());
        let repository = Repository::open_granted(store, &keys, &self.seed, None).unwrap();
        let target = MemoryDisk::new(vec![7; bytes]);
        let image: ImageId = image.parse().unwrap();
        let report = repository.restore(image, &target, &RestoreOptions::default(), &Job::new()).unwrap();
        let end = json!({ "state": "done", "result": "restored", "receipt": repository.receipt(&report) });
        self.json(Method::POST, &format!("/machine/runs/{id}/end"), &end);
        target.into_bytes()
    }
}

fn add_machine(server: &Server, name: &str, mac: &str) -> String {
    server.client(["machine", "add", name]).expect(0);
    server.client(["group", "member", "add", "room", name]).expect(0);
    let id = asked(server, &["machine", "show", name])["id"].as_str().unwrap().to_owned();
    let token = String::from_utf8(server.workspace.read("token")).unwrap();
    let mut operator = Machine::new(server, 0);
    operator.endpoint.token = Some(SecretBytes::new(token.trim().as_bytes().to_vec()));
    operator.json(Method::PUT, &format!("/machines/{id}/inventory"), &json!({ "mac_addresses": [mac] }));
    id
}

#[test]
fn one_command_restores_a_room() {
    let server = Server::initialised();
    let gold = small_disk(31);
    server.workspace.write("gold", &gold);
    server.workspace.write("secret", small_disk(32));
    server.client(["backup", "gold", "--name", "gold"]).expect(0);
    let secret = server.client(["backup", "secret", "--name", "secret", "--json"]).expect(0).json();
    let secret: ImageId = secret["image"].as_str().unwrap().parse().unwrap();
    server.client(["group", "add", "room"]).expect(0);
    let ids = [add_machine(&server, "pc-1", "52:54:00:00:00:01"), add_machine(&server, "pc-2", "52:54:00:00:00:02")];

    // The first showed its key before, and an operator compared it.
    let mut first = Machine::new(&server, 1);
    let fingerprint = machine_proof::fingerprint(&first.key().writer());
    std::thread::scope(|scope| {
        let claiming = scope.spawn(|| first.claim("52:54:00:00:00:01"));
        let started = Instant::now();
        while !server.client(["machine", "claims"]).expect(0).text().contains(&fingerprint) {
            assert!(started.elapsed() < PATIENCE, "no claim is listed");
        }
        server.client(["machine", "refuse", "AAAA-BBBB-CCCC"]).refused(1, &["no machine with this fingerprint"]);
        let told = server.client(["machine", "approve", &fingerprint.to_lowercase()]).expect(0).text();
        assert!(told.contains(&fingerprint) && told.contains(&ids[0]), "{told}");
        assert_eq!(claiming.join().unwrap(), ids[0]);
    });
    first.session(&ids[0]);

    // The second showed another key before it was booted anew: that one asks no more.
    let gone = Machine::new(&server, 3);
    gone.show_key("52:54:00:00:00:02");
    let roll_out = ["task", "restore", "--image", "gold", "--repository", "lab", "--group", "room", "--approve"];
    server.client(["group", "add", "empty"]).expect(0);
    let empty = roll_out.map(|word| if word == "room" { "empty" } else { word });
    server.client(empty).refused(1, &["group empty: no machine is in it"]);
    let command = server.client_command(roll_out).spawn().unwrap();
    let second = std::thread::scope(|scope| {
        let one = scope.spawn(|| first.work(gold.len()));
        let mut second = Machine::new(&server, 2);
        assert_eq!(second.claim("52:54:00:00:00:02"), ids[1]);
        second.session(&ids[1]);
        assert!(second.work(gold.len()) == gold);
        assert!(one.join().unwrap() == gold);
        second
    });
    let told = finish(command).expect(0).text();
    let fingerprint = machine_proof::fingerprint(&second.key().writer());
    assert!(told.contains(&format!("pc-2  approved  key {fingerprint}")), "{told}");
    assert_eq!(told.matches("done  restored").count(), 2, "{told}");
    assert!(!told.contains(&machine_proof::fingerprint(&gone.key().writer())), "{told}");

    // Each has its receipt, signed by its own key; and no machine gets another image.
    let runs = asked(&server, &["task", "show", "restore room"])["runs"].clone();
    for run in runs.as_array().unwrap() {
        let receipt = Receipt::check(run["receipt"].as_str().unwrap()).unwrap();
        let machine = if run["machine"] == ids[0] { &first } else { &second };
        assert_eq!((receipt.signer, receipt.name.as_str()), (machine.key().writer(), "gold"));
    }
    assert_eq!(second.ask(Method::GET, &format!("/machine/grants/lab/{secret}/keys"), &Value::Null).0, 404);
    let runs: Vec<&str> = runs.as_array().unwrap().iter().filter_map(|run| run["image"].as_str()).collect();
    assert!(runs.is_empty() || !runs.contains(&secret.to_string().as_str()));
}

#[test]
fn keys_are_granted_one_by_one_too() {
    let server = Server::initialised();
    server.workspace.write("gold", small_disk(33));
    let image = server.client(["backup", "gold", "--name", "gold", "--json"]).expect(0).json()["image"].clone();
    server.client(["group", "add", "room"]).expect(0);
    let id = add_machine(&server, "pc-1", "52:54:00:00:00:01");
    server.client(["machine", "grant", "pc-1", "lab", "gold", "--keys"]).refused(1, &["pc-1", "no key of its own"]);
    // A task without keys for one that has none says what is left to do.
    let told = server.client(["task", "restore", "--image", "gold", "--repository", "lab", "--machine", "pc-1"]);
    assert!(told.expect(0).stderr.contains("machine pc-1 has no key yet"));
    let mut machine = Machine::new(&server, 1);
    std::thread::scope(|scope| {
        let claiming = scope.spawn(|| machine.claim("52:54:00:00:00:01"));
        let fingerprint = machine_proof::fingerprint(&machine.key().writer());
        let started = Instant::now();
        while server.client(["machine", "approve", &fingerprint]).code != 0 {
            assert!(started.elapsed() < PATIENCE, "it cannot be approved");
        }
        claiming.join().unwrap();
    });
    server.client(["machine", "grant", "pc-1", "lab", "gold", "--keys"]).expect(0);
    machine.session(&id);
    let path = format!("/machine/grants/lab/{}/keys", image.as_str().unwrap());
    let (status, keys) = machine.ask(Method::GET, &path, &Value::Null);
    assert_eq!(status, 200);
    let store = Arc::new(HttpsStore::open(machine.endpoint.clone(), "lab").unwrap());
    let other = Repository::open_granted(store.clone(), &keys, &Secret32::new([9; 32]), None).unwrap_err();
    assert_eq!(other.kind(), ErrorKind::NotAllowed);
    Repository::open_granted(store, &keys, &machine.seed, None).unwrap();
    // With a new key, what was sealed to the former one is no longer handed out.
    let renewed = Machine::new(&server, 2);
    std::thread::scope(|scope| {
        let claiming = scope.spawn(|| renewed.claim("52:54:00:00:00:01"));
        let fingerprint = machine_proof::fingerprint(&renewed.key().writer());
        let started = Instant::now();
        while server.client(["machine", "approve", &fingerprint]).code != 0 {
            assert!(started.elapsed() < PATIENCE, "it cannot be approved");
        }
        claiming.join().unwrap();
    });
    let mut renewed = renewed;
    renewed.session(&id);
    assert_eq!(renewed.ask(Method::GET, &path, &Value::Null).0, 404);
}
