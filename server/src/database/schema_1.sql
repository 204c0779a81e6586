-- Version 1. Times are milliseconds since 1970 (UTC) by the server's clock. Ids are 32 hexadecimal
-- digits, random, so that nobody can guess or count another organisation's.

CREATE TABLE organisations (
    id          TEXT PRIMARY KEY NOT NULL,
    name        TEXT NOT NULL UNIQUE,
    created_ms  INTEGER NOT NULL,
    -- Number of the next event: events count for each organisation alone.
    next_event  INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE TABLE users (
    id            TEXT PRIMARY KEY NOT NULL,
    organisation  TEXT NOT NULL REFERENCES organisations(id),
    name          TEXT NOT NULL,
    role          TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'viewer')),
    -- Argon2id in PHC form.
    password      TEXT NOT NULL,
    created_ms    INTEGER NOT NULL,
    disabled_ms   INTEGER,
    UNIQUE (organisation, name)
) STRICT;

CREATE TABLE machines (
    id            TEXT PRIMARY KEY NOT NULL,
    organisation  TEXT NOT NULL REFERENCES organisations(id),
    name          TEXT NOT NULL,
    -- Ed25519 public key in hexadecimal digits; a machine is its key.
    public_key    TEXT UNIQUE,
    smbios_uuid   TEXT,
    serial        TEXT,
    notes         TEXT NOT NULL DEFAULT '',
    created_ms    INTEGER NOT NULL,
    seen_ms       INTEGER,
    UNIQUE (organisation, name)
) STRICT;
CREATE INDEX machines_by_uuid ON machines (organisation, smbios_uuid);

-- Attributes that may change or collide; they identify nobody.
CREATE TABLE machine_addresses (
    machine  TEXT NOT NULL REFERENCES machines(id) ON DELETE CASCADE,
    kind     TEXT NOT NULL CHECK (kind IN ('ip', 'mac')),
    address  TEXT NOT NULL,
    PRIMARY KEY (machine, kind, address)
) STRICT, WITHOUT ROWID;
CREATE INDEX machine_addresses_by_address ON machine_addresses (kind, address);

CREATE TABLE machine_disks (
    machine              TEXT NOT NULL REFERENCES machines(id) ON DELETE CASCADE,
    number               INTEGER NOT NULL,
    path                 TEXT NOT NULL,
    model                TEXT,
    serial               TEXT,
    bytes                INTEGER NOT NULL,
    logical_sector_bytes INTEGER NOT NULL,
    physical_sector_bytes INTEGER NOT NULL,
    PRIMARY KEY (machine, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE groups (
    id            TEXT PRIMARY KEY NOT NULL,
    organisation  TEXT NOT NULL REFERENCES organisations(id),
    name          TEXT NOT NULL,
    created_ms    INTEGER NOT NULL,
    UNIQUE (organisation, name)
) STRICT;

CREATE TABLE group_machines (
    group_id  TEXT NOT NULL REFERENCES groups(id) ON DELETE CASCADE,
    machine   TEXT NOT NULL REFERENCES machines(id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, machine)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_machines_by_machine ON group_machines (machine);

CREATE TABLE repositories (
    id             TEXT PRIMARY KEY NOT NULL,
    organisation   TEXT NOT NULL REFERENCES organisations(id),
    -- In URLs: 1 to 64 of [a-z0-9-].
    name           TEXT NOT NULL,
    -- Which kind of store, and where: ('directory', path).
    store_kind     TEXT NOT NULL,
    store_location TEXT NOT NULL,
    created_ms     INTEGER NOT NULL,
    -- Kept by triggers on images: counting a million takes too long.
    images         INTEGER NOT NULL DEFAULT 0,
    last_image_ms  INTEGER,
    UNIQUE (organisation, name),
    UNIQUE (store_kind, store_location)
) STRICT;

-- Destinations that machines may be told of besides repositories: shares, disks, sticks.
CREATE TABLE storages (
    id            TEXT PRIMARY KEY NOT NULL,
    organisation  TEXT NOT NULL REFERENCES organisations(id),
    name          TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('repository', 'nfs', 'smb', 'local')),
    location      TEXT NOT NULL,
    created_ms    INTEGER NOT NULL,
    UNIQUE (organisation, name)
) STRICT;

-- Sessions of users, tokens of users and of machines. The secret is 256 random bits, so one hash is enough.
CREATE TABLE tokens (
    id            TEXT PRIMARY KEY NOT NULL,
    organisation  TEXT NOT NULL REFERENCES organisations(id),
    user_id       TEXT REFERENCES users(id) ON DELETE CASCADE,
    machine       TEXT REFERENCES machines(id) ON DELETE CASCADE,
    kind          TEXT NOT NULL CHECK (kind IN ('session', 'token')),
    name          TEXT NOT NULL,
    -- BLAKE3 of the secret.
    hash          BLOB NOT NULL UNIQUE,
    created_ms    INTEGER NOT NULL,
    expires_ms    INTEGER NOT NULL,
    revoked_ms    INTEGER,
    used_ms       INTEGER,
    CHECK ((user_id IS NULL) <> (machine IS NULL))
) STRICT;
CREATE INDEX tokens_by_user ON tokens (user_id, created_ms, id);
CREATE INDEX tokens_by_machine ON tokens (machine);
CREATE INDEX tokens_by_organisation ON tokens (organisation, created_ms, id);

-- What a machine may do in a repository. Adding and reading are apart: a PC that is only backed up reads no data.
CREATE TABLE machine_repositories (
    machine     TEXT NOT NULL REFERENCES machines(id) ON DELETE CASCADE,
    repository  TEXT NOT NULL REFERENCES repositories(id) ON DELETE CASCADE,
    may_add     INTEGER NOT NULL DEFAULT 1 CHECK (may_add IN (0, 1)),
    -- 'none'; 'own': images that this machine added; 'granted': also those in image_grants; 'all'.
    may_restore TEXT NOT NULL DEFAULT 'own' CHECK (may_restore IN ('none', 'own', 'granted', 'all')),
    PRIMARY KEY (machine, repository)
) STRICT, WITHOUT ROWID;

-- Narrows one token to some of its machine's repositories; a token without rows has them all.
CREATE TABLE token_repositories (
    token       TEXT NOT NULL REFERENCES tokens(id) ON DELETE CASCADE,
    repository  TEXT NOT NULL REFERENCES repositories(id) ON DELETE CASCADE,
    PRIMARY KEY (token, repository)
) STRICT, WITHOUT ROWID;

CREATE TABLE enrolment_codes (
    id            TEXT PRIMARY KEY NOT NULL,
    organisation  TEXT NOT NULL REFERENCES organisations(id),
    hash          BLOB NOT NULL UNIQUE,
    -- The machine it is for, or none: then it makes one.
    machine       TEXT REFERENCES machines(id) ON DELETE CASCADE,
    repository    TEXT REFERENCES repositories(id) ON DELETE CASCADE,
    group_id      TEXT REFERENCES groups(id) ON DELETE SET NULL,
    created_ms    INTEGER NOT NULL,
    expires_ms    INTEGER NOT NULL,
    used_ms       INTEGER
) STRICT;

-- Image objects as they were received. What they are called is sealed; the one who backed up may tell it.
CREATE TABLE images (
    number         INTEGER PRIMARY KEY,
    organisation   TEXT NOT NULL REFERENCES organisations(id),
    repository     TEXT NOT NULL REFERENCES repositories(id),
    -- Name of the object in the repository.
    image          TEXT NOT NULL,
    machine        TEXT REFERENCES machines(id) ON DELETE SET NULL,
    user_id        TEXT REFERENCES users(id) ON DELETE SET NULL,
    name           TEXT,
    -- The name's row in image_names; none where it was deleted.
    name_id        INTEGER,
    received_ms    INTEGER NOT NULL,
    object_bytes   INTEGER NOT NULL,
    source_bytes   INTEGER,
    stored_bytes   INTEGER,
    -- What the server signed about its receiving.
    receipt        TEXT NOT NULL,
    deleted_ms     INTEGER,
    UNIQUE (repository, image)
) STRICT;
-- Lists show what was not deleted.
CREATE INDEX images_by_time ON images (organisation, received_ms, number) WHERE deleted_ms IS NULL;
CREATE INDEX images_by_machine ON images (machine, received_ms, number);
CREATE INDEX images_by_repository ON images (repository, received_ms, number) WHERE deleted_ms IS NULL;
CREATE INDEX images_by_name ON images (name_id, received_ms, number) WHERE name_id IS NOT NULL;
CREATE TRIGGER images_counted AFTER INSERT ON images WHEN new.deleted_ms IS NULL BEGIN
    UPDATE repositories SET images = images + 1, last_image_ms = max(coalesce(last_image_ms, 0), new.received_ms)
        WHERE id = new.repository;
END;
CREATE TRIGGER images_uncounted AFTER DELETE ON images WHEN old.deleted_ms IS NULL BEGIN
    UPDATE repositories SET images = images - 1 WHERE id = old.repository;
END;
CREATE TRIGGER images_recounted AFTER UPDATE OF deleted_ms ON images
WHEN (old.deleted_ms IS NULL) <> (new.deleted_ms IS NULL) BEGIN
    UPDATE repositories SET images = images + (new.deleted_ms IS NULL) - (old.deleted_ms IS NULL)
        WHERE id = new.repository;
END;

-- Each name once for its repository, while an image that was not deleted has it: a machine's images are called
-- the same for years, so a search looks through far fewer names than images. The triggers keep it in step.
CREATE TABLE image_names (
    id            INTEGER PRIMARY KEY,
    organisation  TEXT NOT NULL REFERENCES organisations(id),
    repository    TEXT NOT NULL REFERENCES repositories(id),
    name          TEXT NOT NULL,
    -- Images that have it.
    images        INTEGER NOT NULL,
    -- One word for each organisation and repository: 36 bits of the id as three characters, which is what the
    -- index below is made of. So a search meets no names of others.
    organisation_word TEXT NOT NULL GENERATED ALWAYS AS (char(
        19968 + 256 * instr('123456789abcdef', substr(organisation, 1, 1))
            + 16 * instr('123456789abcdef', substr(organisation, 2, 1)) + instr('123456789abcdef', substr(organisation, 3, 1)),
        19968 + 256 * instr('123456789abcdef', substr(organisation, 4, 1))
            + 16 * instr('123456789abcdef', substr(organisation, 5, 1)) + instr('123456789abcdef', substr(organisation, 6, 1)),
        19968 + 256 * instr('123456789abcdef', substr(organisation, 7, 1))
            + 16 * instr('123456789abcdef', substr(organisation, 8, 1)) + instr('123456789abcdef', substr(organisation, 9, 1))
    )) VIRTUAL,
    repository_word   TEXT NOT NULL GENERATED ALWAYS AS (char(
        19968 + 256 * instr('123456789abcdef', substr(repository, 1, 1))
            + 16 * instr('123456789abcdef', substr(repository, 2, 1)) + instr('123456789abcdef', substr(repository, 3, 1)),
        19968 + 256 * instr('123456789abcdef', substr(repository, 4, 1))
            + 16 * instr('123456789abcdef', substr(repository, 5, 1)) + instr('123456789abcdef', substr(repository, 6, 1)),
        19968 + 256 * instr('123456789abcdef', substr(repository, 7, 1))
            + 16 * instr('123456789abcdef', substr(repository, 8, 1)) + instr('123456789abcdef', substr(repository, 9, 1))
    )) VIRTUAL
) STRICT;
CREATE UNIQUE INDEX image_names_by_repository ON image_names (repository, name);
CREATE INDEX image_names_by_organisation ON image_names (organisation, name);
-- Finds parts of names.
CREATE VIRTUAL TABLE image_name_parts USING fts5(organisation, repository, name,
    tokenize = 'trigram', content = '', contentless_delete = 1);
CREATE TRIGGER image_name_parts_insert AFTER INSERT ON image_names BEGIN
    INSERT INTO image_name_parts (rowid, organisation, repository, name)
        VALUES (new.id, new.organisation_word, new.repository_word, new.name);
END;
CREATE TRIGGER image_name_parts_delete AFTER DELETE ON image_names BEGIN
    DELETE FROM image_name_parts WHERE rowid = old.id;
END;
CREATE TRIGGER image_named AFTER INSERT ON images WHEN new.name IS NOT NULL AND new.deleted_ms IS NULL BEGIN
    INSERT INTO image_names (organisation, repository, name, images)
        VALUES (new.organisation, new.repository, new.name, 1)
        ON CONFLICT (repository, name) DO UPDATE SET images = images + 1;
    UPDATE images SET name_id = (SELECT id FROM image_names WHERE repository = new.repository AND name = new.name)
        WHERE number = new.number;
END;
CREATE TRIGGER image_unnamed AFTER DELETE ON images WHEN old.name_id IS NOT NULL BEGIN
    UPDATE image_names SET images = images - 1 WHERE id = old.name_id;
    DELETE FROM image_names WHERE id = old.name_id AND images = 0;
END;
CREATE TRIGGER image_renamed AFTER UPDATE OF name, deleted_ms ON images
WHEN old.name IS NOT new.name OR (old.deleted_ms IS NULL) <> (new.deleted_ms IS NULL) BEGIN
    UPDATE images SET name_id = NULL WHERE number = new.number;
    UPDATE image_names SET images = images - 1 WHERE id = old.name_id;
    DELETE FROM image_names WHERE id = old.name_id AND images = 0;
    INSERT INTO image_names (organisation, repository, name, images)
        SELECT new.organisation, new.repository, new.name, 1 WHERE new.name IS NOT NULL AND new.deleted_ms IS NULL
        ON CONFLICT (repository, name) DO UPDATE SET images = images + 1;
    UPDATE images SET name_id = (SELECT id FROM image_names WHERE repository = new.repository AND name = new.name)
        WHERE number = new.number AND new.name IS NOT NULL AND new.deleted_ms IS NULL;
END;

CREATE TABLE image_grants (
    repository  TEXT NOT NULL REFERENCES repositories(id) ON DELETE CASCADE,
    image       TEXT NOT NULL,
    machine     TEXT NOT NULL REFERENCES machines(id) ON DELETE CASCADE,
    granted_ms  INTEGER NOT NULL,
    expires_ms  INTEGER,
    PRIMARY KEY (machine, repository, image)
) STRICT, WITHOUT ROWID;

-- Whose a lease is: only its owner takes its heartbeats away.
CREATE TABLE leases (
    repository  TEXT NOT NULL REFERENCES repositories(id) ON DELETE CASCADE,
    lease       TEXT NOT NULL,
    machine     TEXT REFERENCES machines(id) ON DELETE CASCADE,
    user_id     TEXT REFERENCES users(id) ON DELETE CASCADE,
    created_ms  INTEGER NOT NULL,
    PRIMARY KEY (repository, lease)
) STRICT, WITHOUT ROWID;

-- What is to be done, once or by a rule.
CREATE TABLE tasks (
    id            TEXT PRIMARY KEY NOT NULL,
    organisation  TEXT NOT NULL REFERENCES organisations(id),
    name          TEXT NOT NULL,
    action        TEXT NOT NULL CHECK (action IN ('backup', 'restore')),
    machine       TEXT REFERENCES machines(id) ON DELETE CASCADE,
    group_id      TEXT REFERENCES groups(id) ON DELETE CASCADE,
    repository    TEXT REFERENCES repositories(id) ON DELETE CASCADE,
    -- Restore: which image. Both: which disk, and other choices, as a JSON object.
    image         TEXT,
    options       TEXT NOT NULL DEFAULT '{}',
    -- Neither: now. at_ms: once, then. rule: again and again, in time_zone.
    at_ms         INTEGER,
    rule          TEXT,
    time_zone     TEXT,
    next_ms       INTEGER,
    enabled       INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    created_ms    INTEGER NOT NULL,
    created_by    TEXT REFERENCES users(id) ON DELETE SET NULL,
    CHECK ((machine IS NULL) <> (group_id IS NULL))
) STRICT;
CREATE INDEX tasks_by_organisation ON tasks (organisation, created_ms, id);
CREATE INDEX tasks_by_machine ON tasks (machine, created_ms, id) WHERE machine IS NOT NULL;
CREATE INDEX tasks_by_group ON tasks (group_id, created_ms, id) WHERE group_id IS NOT NULL;
CREATE INDEX tasks_by_next ON tasks (next_ms) WHERE next_ms IS NOT NULL AND enabled = 1;

-- A task's work on one machine.
CREATE TABLE task_runs (
    id            TEXT PRIMARY KEY NOT NULL,
    organisation  TEXT NOT NULL REFERENCES organisations(id),
    task          TEXT NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,
    machine       TEXT NOT NULL REFERENCES machines(id) ON DELETE CASCADE,
    state         TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    created_ms    INTEGER NOT NULL,
    started_ms    INTEGER,
    ended_ms      INTEGER,
    -- Last progress: bytes of bytes.
    done_bytes    INTEGER NOT NULL DEFAULT 0,
    total_bytes   INTEGER,
    progress_ms   INTEGER,
    -- What it is doing, in a word.
    stage         TEXT,
    image         TEXT,
    result        TEXT,
    receipt       TEXT
) STRICT;
CREATE INDEX task_runs_by_machine ON task_runs (machine, state, created_ms);
CREATE INDEX task_runs_by_task ON task_runs (task, created_ms, id);
CREATE INDEX task_runs_by_organisation ON task_runs (organisation, created_ms, id);
CREATE INDEX task_runs_by_state ON task_runs (organisation, state, created_ms, id);
CREATE INDEX task_runs_running ON task_runs (coalesce(progress_ms, started_ms)) WHERE state = 'running';
-- A machine does one thing at a time.
CREATE UNIQUE INDEX task_runs_one_running ON task_runs (machine) WHERE state = 'running';

CREATE TABLE kernel_images (
    id            TEXT PRIMARY KEY NOT NULL,
    organisation  TEXT NOT NULL REFERENCES organisations(id),
    name          TEXT NOT NULL,
    -- BLAKE3 of the bytes, which lie in a file of that name.
    hash          TEXT NOT NULL,
    bytes         INTEGER NOT NULL,
    version       TEXT NOT NULL DEFAULT '',
    created_ms    INTEGER NOT NULL,
    -- When its bytes were there and synced; none before.
    stored_ms     INTEGER,
    UNIQUE (organisation, name)
) STRICT;

CREATE TABLE boot_profiles (
    id            TEXT PRIMARY KEY NOT NULL,
    organisation  TEXT NOT NULL REFERENCES organisations(id),
    name          TEXT NOT NULL,
    kernel_image  TEXT REFERENCES kernel_images(id) ON DELETE SET NULL,
    -- A JSON object.
    settings      TEXT NOT NULL DEFAULT '{}',
    created_ms    INTEGER NOT NULL,
    UNIQUE (organisation, name)
) STRICT;

-- What happened, and the audit trail: who did what to which object, from where, and whether it was allowed.
CREATE TABLE events (
    organisation  TEXT NOT NULL REFERENCES organisations(id),
    number        INTEGER NOT NULL,
    at_ms         INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    -- 'user ID', 'machine ID', 'server' or 'nobody'.
    actor         TEXT NOT NULL,
    machine       TEXT,
    subject       TEXT NOT NULL DEFAULT '',
    address       TEXT,
    -- 'done', 'refused' or 'failed'.
    outcome       TEXT NOT NULL,
    detail        TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (organisation, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_by_kind ON events (organisation, kind, number);
CREATE INDEX events_by_machine ON events (machine, number) WHERE machine IS NOT NULL;
