//! What the server holds: an organisation with one of everything, a repository with real backups in it, and another
//! organisation. It is made once; every test of a cell works on a copy.

use holotype_repo::core::hex;
use holotype_repo::core::machine_proof::{self, CODE_CHARACTERS};
use holotype_repo::core::secret::Secret32;
use holotype_repo::core::signature::{self, Signing};
use holotype_repo::disk::MemoryDisk;
use holotype_repo::remote::HttpsStore;
use holotype_repo::store::LocalStore;
use holotype_repo::store::{Folder, ObjectKey};
use holotype_repo::{BackupOptions, Credentials, InitOptions, Job, Repository, Store};
use holotype_server::access::Role;
use holotype_server::clock::now_ms;
use holotype_server::provider;
use holotype_server::testing::{ORGANISATION, TestServer, secret_of};
use holotype_server::text::Name;
use rusqlite::{Transaction, params};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

pub const FOREIGN: &str = "ffffffffffffffffffffffffffffffff";
const PASSWORD: &str = "correct horse battery";

/// The directory that is copied, and what is in it.
pub struct Fixture {
    pub directory: TempDir,
    /// What stands behind a name in the table, and what is nothing but looks the same.
    pub values: BTreeMap<&'static str, (String, String)>,
    /// Bytes of objects.
    pub bytes: BTreeMap<&'static str, Vec<u8>>,
    pub folders: BTreeMap<&'static str, Folder>,
}

fn enrolment(key: &Signing) -> Value {
    let message = machine_proof::enrolment_message(&machine_proof::normal_code(&code()).unwrap(), &key.writer());
    json!({
        "code": code(), "name": "enrolled", "public_key": key.writer().to_string(),
        "signature": hex::text(&key.sign(signature::MACHINE_ENROLMENT, &message)),
    })
}

/// 32 hexadecimal digits, as ids are.
pub fn id(name: &str) -> String {
    blake3::hash(name.as_bytes()).to_hex()[..32].to_owned()
}

fn key(number: u8) -> Signing {
    Signing::from_seed(&Secret32::new([number; 32]))
}

fn machine_key() -> Signing {
    key(7)
}

/// Key of the machine `granted`.
fn granted_key() -> Signing {
    key(9)
}

fn code() -> String {
    machine_proof::code_text(&[5; CODE_CHARACTERS * 5 / 8])
}

/// `like` with other digits; names of repositories with other letters.
fn nothing_like(text: &str) -> String {
    let other = |letter: char| match letter {
        '0'..='9' => char::from(b'9' - (letter as u8 - b'0')),
        'a'..='f' => char::from(b'f' - (letter as u8 - b'a')),
        other => other,
    };
    text.chars().map(other).collect()
}

impl Fixture {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut fixture = Self { directory, values: BTreeMap::new(), bytes: BTreeMap::new(), folders: BTreeMap::new() };
        let path = fixture.directory.path().to_owned();
        let mut server = TestServer::start(&path);
        for name in ["lab", "other", "far"] {
            server.add_repository(name);
        }
        let database = &server.state().database;
        for (name, role) in [("victim", Role::Viewer), ("viewer", Role::Viewer)] {
            let (name, password) = (Name::try_from(name.to_owned()).unwrap(), PASSWORD.to_owned().try_into().unwrap());
            let organisation = Name::try_from("test".to_owned()).unwrap();
            provider::add_user(database, &organisation, &name, role, &password).unwrap();
        }
        database
            .write_blocking(|transaction| {
                people(transaction);
                Ok(())
            })
            .unwrap();
        fixture.back_up(&server);
        let database = &server.state().database;
        database
            .write_blocking(|transaction| {
                fixture.things(transaction);
                Ok(())
            })
            .unwrap();
        server.stop();
        let kernels = path.join("kernels");
        std::fs::create_dir_all(&kernels).unwrap();
        std::fs::write(kernels.join(blake3::hash(b"a kernel").to_hex().as_str()), b"a kernel").unwrap();
        let boot = path.join("boot");
        let unpacked = tempfile::tempdir().unwrap();
        holotype_boot::testing::kernel_folder(unpacked.path());
        let store = holotype_boot::kernel::KernelStore::new(boot.join("kernels"));
        holotype_boot::kernel::import(&store, unpacked.path()).unwrap();
        std::fs::write(boot.join("agent"), holotype_boot::testing::agent()).unwrap();
        fixture
    }

    fn value(&mut self, name: &'static str, value: impl Into<String>) {
        let value = value.into();
        let fake = nothing_like(&value);
        self.values.insert(name, (value, fake));
    }

    pub fn store_path(&self) -> PathBuf {
        self.directory.path().join("stores").join("lab")
    }

    /// Backups by the operator and by the machine, over the network.
    fn back_up(&mut self, server: &TestServer) {
        let password = || Credentials::password(b"correct horse".to_vec());
        let open = |token: &str| HttpsStore::open(server.endpoint(token), "lab").unwrap();
        let options = InitOptions { fast_derivation: true, ..InitOptions::new(password()) };
        Repository::init(open("operator"), &options).unwrap();
        let mut leases = Vec::new();
        for (token, image, lease) in [("owner", "image", "lease"), ("operator", "image-of-operator", "new-lease")] {
            let repository = Repository::open(open(token), &password()).unwrap();
            let seen = Arc::new(Mutex::new(None));
            let (path, found) = (self.store_path(), Arc::clone(&seen));
            // Heartbeats go when the backup ends; one is kept.
            let job = Job::new().on_event(move |_| {
                let store = LocalStore::open(&path).unwrap();
                let Some(lease) = store.list(Folder::Leases).unwrap().pop() else { return };
                if let Ok(bytes) = store.get(&lease.key) {
                    *found.lock().unwrap() = Some((lease.key.name().to_owned(), bytes));
                }
            });
            let source: Vec<u8> = token.bytes().cycle().take(1 << 20).collect();
            let report = repository.backup(&MemoryDisk::new(source), &BackupOptions::named(token), &job).unwrap();
            self.value(image, report.image.unwrap().to_string());
            let (name, bytes) = seen.lock().unwrap().take().expect("a backup holds a lease");
            leases.push((lease, name, bytes));
        }
        let repository = Repository::open(open("operator"), &password()).unwrap();
        let granted: holotype_repo::core::ImageId = self.values["image"].0.parse().unwrap();
        let grant = repository.prepare_grant(granted, None, &Job::new()).unwrap();
        self.bytes.insert("grant", grant.for_machine(&granted_key().writer()).unwrap());
        for (lease, name, bytes) in leases {
            self.object(lease, Folder::Leases, name, bytes);
        }
        let revoked = format!("{}-revoked", self.values["lease"].0.split_once('-').unwrap().0);
        let store = LocalStore::open(self.store_path()).unwrap();
        let lease = holotype_repo::core::LeaseId([9; 16]);
        holotype_repo::lease::revoke(&store, &lease).unwrap();
        let made = ObjectKey::of(Folder::Leases, format!("{lease}-revoked"));
        let revocation = store.get(&made).unwrap();
        store.delete(&made).unwrap();
        self.object("revocation", Folder::Leases, revoked, revocation);
        self.object("tombstone", Folder::Tombstones, "ab".repeat(32), Vec::new());
        self.object("receipt", Folder::Receipts, "cd".repeat(16), b"a receipt".to_vec());
        for (name, folder) in [
            ("config", Folder::Config),
            ("key", Folder::Keys),
            ("pack", Folder::Packs),
            ("meta", Folder::Meta),
            ("segment", Folder::Index),
        ] {
            let key = store.list(folder).unwrap().remove(0).key;
            self.object(name, folder, key.name().to_owned(), store.get(&key).unwrap());
        }
        let image = self.values["image"].0.clone();
        let bytes = store.get(&ObjectKey::of(Folder::Images, &image)).unwrap();
        self.object("image", Folder::Images, image, bytes);
        self.bytes.insert("chunk ids", vec![1; 64]);
        self.bytes.insert("new kernel", b"new kernel".to_vec());
    }

    /// Notes an object, and puts it where it is not.
    fn object(&mut self, name: &'static str, folder: Folder, object: String, bytes: Vec<u8>) {
        let store = LocalStore::open(self.store_path()).unwrap();
        store.put(&ObjectKey::new(folder, object.clone()).unwrap(), &[&bytes]).unwrap();
        self.value(name, object);
        self.bytes.insert(name, bytes);
        self.folders.insert(name, folder);
    }

    pub fn key(&self, object: &str) -> ObjectKey {
        ObjectKey::new(self.folders[object], self.values[object].0.clone()).unwrap()
    }

    /// One of everything that an organisation may have.
    fn things(&mut self, transaction: &Transaction<'_>) {
        let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| transaction.execute(sql, values).unwrap();
        let lab: String =
            transaction.query_row("SELECT id FROM repositories WHERE name = 'lab'", [], |row| row.get(0)).unwrap();
        let normal = machine_proof::normal_code(&code()).unwrap();
        let hash = *blake3::hash(normal.as_bytes()).as_bytes();
        let (later_ms, image) = (now_ms() + 3_600_000_000, self.values["image"].0.clone());
        let kernels = [("kernel", b"a kernel".as_slice(), Some(1_i64)), ("new-kernel", b"new kernel", None)];
        for (name, bytes, stored_ms) in kernels {
            run(
                "INSERT INTO kernel_images (id, organisation, name, hash, bytes, created_ms, stored_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)",
                params![
                    id(name),
                    ORGANISATION,
                    name,
                    blake3::hash(bytes).to_hex().as_str(),
                    bytes.len() as i64,
                    stored_ms
                ],
            );
        }
        run(
            "INSERT INTO image_grants (repository, image, machine, granted_ms) VALUES (?1, ?2, ?3, 0)",
            params![lab, image, id("granted")],
        );
        run(
            "INSERT INTO enrolment_codes (id, organisation, hash, created_ms, expires_ms) VALUES (?1, ?2, ?3, 0, ?4)",
            params![id("code"), ORGANISATION, hash, later_ms],
        );
        run(
            "INSERT INTO machine_claims (id, organisation, public_key, name, address, state, created_ms, asked_ms)
             VALUES (?1, ?2, ?3, 'claimed', '192.0.2.7', 'waiting', 0, ?4)",
            params![id("claim"), ORGANISATION, key(11).writer().to_string(), later_ms],
        );
        run("INSERT INTO groups VALUES (?1, ?2, 'group', 0)", params![id("group"), ORGANISATION]);
        run("INSERT INTO group_machines VALUES (?1, ?2)", params![id("group"), id("another")]);
        run("INSERT INTO storages VALUES (?1, ?2, 's', 'nfs', 'h:/x', 0)", params![id("storage"), ORGANISATION]);
        for task in ["task", "busy-task"] {
            run(
                "INSERT INTO tasks (id, organisation, name, action, machine, repository, at_ms, next_ms, created_ms)
                 VALUES (?1, ?2, ?3, 'backup', ?4, ?5, ?6, ?6, 0)",
                params![id(task), ORGANISATION, task, id("owner"), lab, later_ms],
            );
        }
        run(
            "INSERT INTO task_runs (id, organisation, task, machine, state, created_ms)
             VALUES (?1, ?2, ?3, ?4, 'queued', 0)",
            params![id("run"), ORGANISATION, id("busy-task"), id("owner")],
        );
        run(
            "INSERT INTO boot_profiles (id, organisation, name, created_ms) VALUES (?1, ?2, 'profile', 0)",
            params![id("profile"), ORGANISATION],
        );
        let new_lease = self.values["new-lease"].0.split_once('-').unwrap().0.to_owned();
        assert_eq!(run("DELETE FROM leases WHERE lease = ?1", params![new_lease]), 1);
        self.value("lab-id", lab);
        self.values.insert("lab", ("lab".to_owned(), "nil".to_owned()));
        self.value("kernel-hash", "12".repeat(32));
        for name in [
            "victim",
            "viewer",
            "owner",
            "another",
            "granted",
            "code",
            "claim",
            "group",
            "storage",
            "task",
            "busy-task",
            "run",
            "kernel",
            "new-kernel",
            "profile",
            "token-of-viewer",
            "token-of-owner",
        ] {
            self.value(name, id(name));
        }
    }

    /// A request to enrol a new machine.
    pub fn enrolment(&self) -> Value {
        enrolment(&Signing::from_seed(&Secret32::new([8; 32])))
    }

    /// A claim of a machine that nobody knows.
    pub fn claim(&self) -> Value {
        let message = machine_proof::claim_message("test", &key(10).writer());
        json!({
            "organisation": "test", "name": "claims", "public_key": key(10).writer().to_string(),
            "signature": hex::text(&key(10).sign(signature::MACHINE_CLAIM, &message)),
        })
    }

    /// The same for a machine that is there: it has its key.
    pub fn enrolment_of_owner(&self) -> Value {
        enrolment(&machine_key())
    }

    /// A machine's request for a session.
    pub fn session(&self) -> Value {
        let (machine, at_ms, nonce) = (id("owner"), now_ms(), [3; 16]);
        let message = machine_proof::session_message(&machine, at_ms, &nonce);
        json!({
            "machine": machine, "at_ms": at_ms, "nonce": hex::text(&nonce),
            "signature": hex::text(&machine_key().sign(signature::MACHINE_SESSION, &message)),
        })
    }

    /// `text` with the fixture's values for `$name`, or with what is nothing.
    pub fn fill(&self, text: &str, fake: bool) -> String {
        // Longer names first: one may begin with another.
        let mut names: Vec<_> = self.values.iter().collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        names.into_iter().fold(text.to_owned(), |text, (name, (real, other))| {
            text.replace(&format!("${name}"), if fake { other } else { real })
        })
    }

    /// `text` with every value taken for what is nothing.
    pub fn disguise(&self, text: &str) -> String {
        self.values
            .values()
            .filter(|(real, _)| real.len() >= 32)
            .fold(text.to_owned(), |text, (real, other)| text.replace(real, other))
    }
}

/// Two organisations, who is in them, and their tokens.
fn people(transaction: &Transaction<'_>) {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| transaction.execute(sql, values).unwrap();
    run("INSERT INTO organisations (id, name, created_ms) VALUES (?1, 'foreign', 0)", params![FOREIGN]);
    run("UPDATE repositories SET organisation = ?1 WHERE name = 'far'", params![FOREIGN]);
    for name in ["victim", "viewer"] {
        run("UPDATE users SET id = ?1 WHERE name = ?2", params![id(name), name]);
    }
    let user = "INSERT INTO users (id, organisation, name, role, password, created_ms, disabled_ms)
                VALUES (?1, ?2, ?3, ?4, '', 0, ?5)";
    for (name, organisation, role, disabled_ms) in [
        ("operator", ORGANISATION, "operator", None),
        ("admin", ORGANISATION, "admin", None),
        ("disabled", ORGANISATION, "admin", Some(1)),
        ("foreign-admin", FOREIGN, "admin", None),
    ] {
        run(user, params![id(name), organisation, name, role, disabled_ms]);
    }
    for (name, organisation, rights) in [
        ("owner", ORGANISATION, [("lab", true, "own"), ("other", true, "own")].as_slice()),
        ("another", ORGANISATION, &[("lab", true, "none")]),
        ("granted", ORGANISATION, &[("lab", false, "granted")]),
        ("all", ORGANISATION, &[("lab", true, "all")]),
        ("unentitled", ORGANISATION, &[]),
        ("foreign-machine", FOREIGN, &[("far", true, "all")]),
    ] {
        let key = match name {
            "owner" => Some(machine_key()),
            "granted" => Some(granted_key()),
            _ => None,
        };
        let key = key.map(|key| key.writer().to_string());
        let machine =
            "INSERT INTO machines (id, organisation, name, public_key, created_ms) VALUES (?1, ?2, ?3, ?4, 0)";
        run(machine, params![id(name), organisation, name, key]);
        for (repository, may_add, may_restore) in rights {
            run(
                "INSERT INTO machine_repositories (machine, repository, may_add, may_restore)
                 SELECT ?1, id, ?3, ?4 FROM repositories WHERE name = ?2",
                params![id(name), repository, may_add, may_restore],
            );
        }
    }
    let users = ["viewer", "operator", "admin", "disabled", "foreign-admin"];
    let machines = ["owner", "another", "granted", "all", "unentitled", "foreign-machine"];
    let owners = users.map(|user| (user, user, true)).into_iter();
    let owners = owners.chain(machines.map(|machine| (machine, machine, false)));
    let special = [
        ("expired", "admin", true),
        ("revoked", "admin", true),
        ("narrowed", "owner", false),
        ("token-of-viewer", "viewer", true),
        ("token-of-owner", "owner", false),
    ];
    for (token, owner, is_user) in owners.chain(special) {
        let organisation = if owner.starts_with("foreign") { FOREIGN } else { ORGANISATION };
        let name = if users.contains(&token) || machines.contains(&token) {
            format!("first of {token}")
        } else {
            token.into()
        };
        run(
            "INSERT INTO tokens (id, organisation, user_id, machine, kind, name, hash, created_ms, expires_ms, revoked_ms)
             VALUES (?1, ?2, ?3, ?4, 'token', ?5, ?6, 0, ?7, ?8)",
            params![
                id(&name),
                organisation,
                is_user.then(|| id(owner)),
                (!is_user).then(|| id(owner)),
                name,
                blake3::hash(secret_of(token).as_bytes()).as_bytes(),
                if token == "expired" { 1 } else { i64::MAX },
                (token == "revoked").then_some(1),
            ],
        );
    }
    run("INSERT INTO token_repositories SELECT ?1, id FROM repositories WHERE name = 'other'", params![id("narrowed")]);
}
