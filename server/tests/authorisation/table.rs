//! The table: a line for every path and method, and where it matters for several objects of a path.
//!
//! Columns: nobody, garbage, expired, revoked, disabled | viewer, operator, admin | owner, another, granted, all,
//! unentitled, narrowed | foreign admin, foreign machine. See `actors.rs` for who they are.
//!
//! P: done for everyone; A: done; N: 403; F: 404, as if it were not there; U: 401.

use crate::fixture::Fixture;
use serde_json::Value;

/// What a request carries.
#[derive(Clone, Copy)]
pub enum Sends {
    Nothing,
    /// JSON; `$name` stands for a value of the fixture.
    Json(&'static str),
    /// Bytes of the fixture, and how many of them are a pack's footer.
    Bytes(&'static str),
    /// What is made for the moment, as proofs are.
    Made(fn(&Fixture) -> Value),
}

/// A line of the table.
#[derive(Clone)]
pub struct Line {
    /// Method and path; `{parameter=value}` gives a parameter a value of the fixture, or this word itself.
    pub request: String,
    pub cells: &'static str,
    pub query: &'static str,
    pub sends: Sends,
    /// What is done to the database before.
    pub sql: &'static str,
    /// An object that is taken away before.
    pub gone: &'static str,
    /// Whether it comes from this host.
    pub local: bool,
}

impl Line {
    fn json(self, text: &'static str) -> Self {
        Self { sends: Sends::Json(text), ..self }
    }

    fn made(self, make: fn(&Fixture) -> Value) -> Self {
        Self { sends: Sends::Made(make), ..self }
    }

    fn bytes(self, name: &'static str) -> Self {
        Self { sends: Sends::Bytes(name), ..self }
    }

    fn sql(self, sql: &'static str) -> Self {
        Self { sql, ..self }
    }

    fn query(self, query: &'static str) -> Self {
        Self { query, ..self }
    }
}

fn line(request: impl Into<String>, cells: &'static str) -> Line {
    Line { request: request.into(), cells, query: "", sends: Sends::Nothing, sql: "", gone: "", local: false }
}

const EVERYONE: &str = "PPPPP PPP PPPPPP PP";
/// Any good token.
const KNOWN: &str = "UUUUU AAA AAAAAA AA";
// What is asked of users alone: of the list, and of one thing, which another organisation does not have.
const VIEWERS: &str = "UUUUU AAA NNNNNN AN";
const VIEWERS_ONE: &str = "UUUUU AAA NNNNNN FN";
const OPERATORS: &str = "UUUUU NAA NNNNNN AN";
const OPERATORS_ONE: &str = "UUUUU NAA NNNNNN FN";
const ADMINS: &str = "UUUUU NNA NNNNNN AN";
const ADMINS_ONE: &str = "UUUUU NNA NNNNNN FN";
/// A machine's own run.
const OWN_RUN: &str = "UUUUU NNN AFFFFA NF";

/// Keys that were granted to the machine `granted`.
const KEYS_OF_GRANTED: &str =
    "UPDATE image_grants SET keys = x'00', public_key = (SELECT public_key FROM machines m WHERE m.id = machine)";

/// All lines.
pub fn table() -> Vec<Line> {
    let mut lines = accounts();
    lines.extend(management());
    lines.extend(machine_side());
    lines.extend(objects());
    lines.extend([
        line("GET /openapi.json", EVERYONE),
        line("GET /healthz", EVERYONE),
        line("GET /metrics", "FFFFF FFF FFFFFF FF"),
        Line { local: true, ..line("GET /metrics", EVERYONE) },
    ]);
    lines
}

fn accounts() -> Vec<Line> {
    let own_password = r#"{"password":"another horse battery","old_password":"correct horse battery"}"#;
    vec![
        line("GET /time", EVERYONE),
        line("POST /login", EVERYONE)
            .json(r#"{"organisation":"test","user":"victim","password":"correct horse battery"}"#),
        line("POST /enrol", EVERYONE).made(Fixture::enrolment),
        line("POST /machines/session", EVERYONE).made(Fixture::session),
        line("POST /machine/claims", EVERYONE).made(Fixture::claim),
        line("GET /machine-claims", OPERATORS),
        line("POST /machine-claims/{id=claim}/approve", OPERATORS_ONE).json("{}"),
        line("POST /machine-claims/{id=claim}/approve", OPERATORS_ONE)
            .json(r#"{"machine":"$owner","repository":"$lab","group":"$group"}"#),
        line("POST /machine-claims/{id=claim}/refuse", OPERATORS_ONE),
        line("GET /me", KNOWN),
        line("POST /logout", KNOWN),
        line("GET /users", ADMINS),
        line("POST /users", ADMINS).json(r#"{"name":"new","role":"viewer","password":"correct horse battery"}"#),
        line("GET /users/{id=victim}", ADMINS_ONE),
        line("GET /users/{id=viewer}", "UUUUU ANA NNNNNN FN"),
        line("PATCH /users/{id=victim}", ADMINS_ONE).json(r#"{"role":"admin"}"#),
        line("PATCH /users/{id=viewer}", ADMINS_ONE).json(r#"{"role":"admin"}"#),
        line("DELETE /users/{id=victim}", ADMINS_ONE),
        line("PUT /users/{id=victim}/password", ADMINS_ONE).json(r#"{"password":"another horse battery"}"#),
        line("PUT /users/{id=viewer}/password", "UUUUU ANA NNNNNN FN").json(own_password),
        line("GET /tokens", VIEWERS),
        line("POST /tokens", VIEWERS).json(r#"{"name":"new"}"#),
        line("POST /tokens", OPERATORS_ONE).json(r#"{"name":"new","machine":"$owner","repositories":["$lab"]}"#),
        line("DELETE /tokens/{id=token-of-viewer}", "UUUUU AFA NNNNNN FN"),
        line("DELETE /tokens/{id=token-of-owner}", "UUUUU FAA NNNNNN FN"),
        line("GET /enrolment-codes", OPERATORS),
        line("POST /enrolment-codes", OPERATORS).json(r#"{"name":"new"}"#),
        line("POST /enrolment-codes", OPERATORS_ONE).json(r#"{"machine":"$owner"}"#),
        line("POST /enrolment-codes", OPERATORS_ONE).json(r#"{"repository":"$lab","group":"$group"}"#),
        line("DELETE /enrolment-codes/{id=code}", OPERATORS_ONE),
        line("GET /machines/{id=owner}/repositories", OPERATORS_ONE),
        line("GET /machines/{id=owner}/repositories/{repository=lab}", OPERATORS_ONE),
        line("PUT /machines/{id=owner}/repositories/{repository=lab}", OPERATORS_ONE)
            .json(r#"{"may_add":true,"may_restore":"all"}"#),
        line("DELETE /machines/{id=owner}/repositories/{repository=lab}", OPERATORS_ONE),
        line("GET /machines/{id=granted}/grants", OPERATORS_ONE),
        line("POST /machines/{id=owner}/grants", OPERATORS_ONE)
            .json(r#"{"repository":"$lab","image":"$image-of-operator"}"#),
        line("DELETE /machines/{id=granted}/grants/{repository=lab}/{image=image}", OPERATORS_ONE),
        line("PUT /machines/{id=granted}/grants/{repository=lab}/{image=image}/keys", OPERATORS_ONE).bytes("grant"),
        line("GET /machine/grants/{repository=lab}/{image=image}/keys", "UUUUU NNN FFAFFF NF").sql(KEYS_OF_GRANTED),
    ]
}

fn management() -> Vec<Line> {
    const IMAGE: &str = "UUUUU AAA AFAAFF FF";
    let task = r#"{"name":"new","action":"backup","machine":"$owner","repository":"$lab"}"#;
    let restore = r#"{"name":"new","action":"restore","machine":"$granted","repository":"$lab","image":"$image"}"#;
    let kernel = r#"{"name":"new","hash":"$kernel-hash","bytes":9}"#;
    vec![
        line("GET /machines", VIEWERS),
        line("GET /machines", VIEWERS_ONE).query("?group=$group"),
        line("POST /machines", OPERATORS).json(r#"{"name":"new"}"#),
        line("GET /machines/{id=owner}", "UUUUU AAA AFFFFA FF"),
        line("PATCH /machines/{id=owner}", OPERATORS_ONE).json(r#"{"notes":"new"}"#),
        line("DELETE /machines/{id=owner}", ADMINS_ONE),
        line("PUT /machines/{id=owner}/inventory", "UUUUU NAA AFFFFA FF").json(r#"{"serial":"new"}"#),
        line("POST /machines/{id=owner}/media", OPERATORS_ONE)
            .json(r#"{"product":"uki","url":"https://backup.example:7443"}"#),
        line("GET /groups", VIEWERS),
        line("POST /groups", OPERATORS).json(r#"{"name":"new"}"#),
        line("GET /groups/{id=group}", VIEWERS_ONE),
        line("PATCH /groups/{id=group}", OPERATORS_ONE).json(r#"{"name":"new"}"#),
        line("DELETE /groups/{id=group}", ADMINS_ONE),
        line("PUT /groups/{id=group}/machines/{machine=owner}", OPERATORS_ONE),
        line("DELETE /groups/{id=group}/machines/{machine=another}", OPERATORS_ONE),
        line("GET /storages", KNOWN),
        line("POST /storages", ADMINS).json(r#"{"name":"new","kind":"nfs","location":"host:/share"}"#),
        line("GET /storages/{id=storage}", VIEWERS_ONE),
        line("PATCH /storages/{id=storage}", ADMINS_ONE).json(r#"{"name":"new"}"#),
        line("DELETE /storages/{id=storage}", ADMINS_ONE),
        line("GET /repositories", KNOWN),
        line("GET /repositories/{name=lab}/summary", "UUUUU AAA AAAAFF FF"),
        line("GET /repositories/{name=lab-id}/summary", "UUUUU AAA AAAAFF FF"),
        line("GET /images", KNOWN),
        line("GET /images", "UUUUU AAA AAAAFF FF").query("?repository=$lab"),
        line("GET /images/{repository=lab}/{image=image}", IMAGE),
        line("GET /images/{repository=lab-id}/{image=image}", IMAGE),
        line("GET /images/{repository=lab}/{image=image-of-operator}", "UUUUU AAA FFFAFF FF"),
        line("POST /images/{repository=lab}/{image=image}/report", "UUUUU NNN AFNNFF FF").json(r#"{"name":"new"}"#),
        line("POST /images/{repository=lab}/{image=image-of-operator}/report", "UUUUU NAN FFFNFF FF")
            .json(r#"{"name":"new"}"#),
        line("GET /tasks", VIEWERS),
        line("POST /tasks", OPERATORS_ONE).json(task),
        line("POST /tasks", OPERATORS_ONE).json(restore),
        line("GET /tasks/{id=task}", VIEWERS_ONE),
        line("PATCH /tasks/{id=task}", OPERATORS_ONE).json(r#"{"enabled":false}"#),
        line("DELETE /tasks/{id=task}", ADMINS_ONE),
        line("POST /tasks/{id=busy-task}/cancel", OPERATORS_ONE),
        line("GET /runs", VIEWERS),
        line("GET /runs/{id=run}", VIEWERS_ONE),
        line("POST /runs/{id=run}/cancel", OPERATORS_ONE),
        line("GET /kernel-images", VIEWERS),
        line("POST /kernel-images", ADMINS).json(kernel),
        line("GET /kernel-images/{id=kernel}", VIEWERS_ONE),
        line("PATCH /kernel-images/{id=kernel}", ADMINS_ONE).json(r#"{"version":"new"}"#),
        line("DELETE /kernel-images/{id=kernel}", ADMINS_ONE),
        line("GET /kernel-images/{id=kernel}/content", "UUUUU AAA AAAAAA FF"),
        line("PUT /kernel-images/{id=new-kernel}/content", ADMINS_ONE).bytes("new kernel"),
        line("GET /boot-profiles", VIEWERS),
        line("POST /boot-profiles", OPERATORS).json(r#"{"name":"new"}"#),
        line("POST /boot-profiles", OPERATORS_ONE).json(r#"{"name":"new","kernel_image":"$kernel"}"#),
        line("GET /boot-profiles/{id=profile}", VIEWERS_ONE),
        line("PUT /boot-profiles/{id=profile}", OPERATORS_ONE).json(r#"{"name":"new"}"#),
        line("DELETE /boot-profiles/{id=profile}", ADMINS_ONE),
        line("GET /events", VIEWERS),
        line("GET /events/stream", KNOWN),
    ]
}

fn machine_side() -> Vec<Line> {
    const RUNNING: &str = "UPDATE task_runs SET state = 'running', started_ms = 1";
    vec![
        line("GET /machine/runs", "UUUUU NNN AAAAAA NA"),
        line("POST /machine/runs/{id=run}/start", OWN_RUN),
        line("POST /machine/runs/{id=run}/progress", OWN_RUN).json(r#"{"done_bytes":1}"#).sql(RUNNING),
        line("POST /machine/runs/{id=run}/end", OWN_RUN).json(r#"{"state":"done","result":"done"}"#).sql(RUNNING),
    ]
}

/// A repository's folders: list; length; read; add; how far an upload is; delete.
#[rustfmt::skip]
const FOLDERS: [(&str, &str, [&str; 5]); 11] = {
    const READ: &str = "UUUUU NAA AAAAFF FF";
    const NO: &str = "UUUUU NAA NNNNFF FF";
    // What a machine that does not add may not add.
    const ADD: &str = "UUUUU NAA AANAFF FF";
    // Who may restore anything reads packs.
    const DATA: &str = "UUUUU NAA ANAAFF FF";
    const SEEN: &str = "UUUUU NAA AFAAFF FF";
    const ALL: &str = "UUUUU NAA NNNAFF FF";
    //                              length  read    add     upload  delete
    [
        ("config",     "config",     [READ, READ, NO,   NO,   NO]),
        ("keys",       "key",        [READ, READ, NO,   NO,   NO]),
        ("packs",      "pack",       [READ, DATA, ADD,  ADD,  NO]),
        ("meta",       "meta",       [READ, DATA, ADD,  ADD,  NO]),
        ("index",      "segment",    [ALL,  ALL,  ADD,  ADD,  NO]),
        ("images",     "image",      [SEEN, SEEN, ADD,  ADD,  NO]),
        ("receipts",   "receipt",    [ALL,  ALL,  ADD,  ADD,  NO]),
        // Nobody beats for another, but operators end any lease.
        ("leases",     "lease",      [READ, READ, "UUUUU NNN ANNNFF FF", "UUUUU NAA AAAAFF FF", "UUUUU NAA ANNNFF FF"]),
        ("leases",     "new-lease",  [READ, READ, READ, READ, NO]),
        ("leases",     "revocation", [READ, READ, "UUUUU NAA ANNNFF FF", "UUUUU NAA ANNNFF FF", NO]),
        ("tombstones", "tombstone",  [READ, READ, NO,   NO,   NO]),
    ]
};

fn objects() -> Vec<Line> {
    const REPOSITORY: &str = "/repositories/{name=lab}";
    const SEES: &str = "UUUUU AAA AAAAFF FF";
    const READ: &str = "UUUUU NAA AAAAFF FF";
    let mut lines = vec![
        line(format!("GET {REPOSITORY}"), SEES),
        line(format!("POST {REPOSITORY}/chunks/locate"), READ).bytes("chunk ids"),
    ];
    for folder in ["config", "keys", "packs", "meta", "index", "images", "receipts", "leases", "tombstones"] {
        let cells = if matches!(folder, "index" | "receipts") { "UUUUU NAA NNNAFF FF" } else { READ };
        lines.push(line(format!("GET {REPOSITORY}/objects/{{folder={folder}}}"), cells));
    }
    for (folder, object, [length, read, add, upload, delete]) in FOLDERS {
        let path = format!("{REPOSITORY}/objects/{{folder={folder}}}/{{object={object}}}");
        lines.push(line(format!("HEAD {path}"), length));
        lines.push(line(format!("GET {path}"), read));
        lines.push(Line { gone: object, ..line(format!("PUT {path}"), add).bytes(object) });
        lines.push(line(format!("DELETE {path}"), delete));
        let uploads = format!("{REPOSITORY}/uploads/{{folder={folder}}}/{{object={object}}}");
        lines.push(line(format!("HEAD {uploads}"), upload));
        if matches!(folder, "packs" | "meta") {
            lines.push(line(format!("GET {path}"), READ).query("?part=footer"));
        }
    }
    lines
}
