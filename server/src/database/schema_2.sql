-- Machines that show a key and no code: an operator approves them or not.
CREATE TABLE machine_claims (
    -- Made of organisation and key, so that asking again finds it.
    id            TEXT PRIMARY KEY NOT NULL,
    organisation  TEXT NOT NULL REFERENCES organisations(id),
    -- Ed25519 public key in hexadecimal digits.
    public_key    TEXT NOT NULL,
    -- What it says of itself; it may lie.
    name          TEXT NOT NULL,
    smbios_uuid   TEXT,
    serial        TEXT,
    -- A JSON array.
    macs          TEXT NOT NULL DEFAULT '[]',
    address       TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('waiting', 'approved', 'refused')),
    -- Whose key it became.
    machine       TEXT REFERENCES machines(id) ON DELETE CASCADE,
    created_ms    INTEGER NOT NULL,
    -- When the machine asked last.
    asked_ms      INTEGER NOT NULL
) STRICT;
CREATE INDEX machine_claims_by_state ON machine_claims (organisation, state, created_ms, id);

-- The keys of a granted image, sealed to the machine's own key; and to which.
ALTER TABLE image_grants ADD COLUMN keys BLOB;
ALTER TABLE image_grants ADD COLUMN public_key TEXT;
