-- A journal as version 6 of its schema wrote it: what version 5 knew, by which boot's clock entries have their times, and
-- ids of the vendor that are not shown.
PRAGMA application_id = 1447315279;
PRAGMA user_version = 6;
CREATE TABLE entries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    family TEXT NOT NULL,
    variation INTEGER NOT NULL,
    model TEXT NOT NULL,
    prompt TEXT NOT NULL,
    size TEXT NOT NULL,
    tier TEXT NOT NULL,
    quality TEXT NOT NULL,
    credits INTEGER NOT NULL,
    reference_ids TEXT NOT NULL,
    state TEXT NOT NULL,
    holder TEXT NOT NULL,
    created_at REAL NOT NULL,
    sent_at REAL,
    task_id TEXT,
    status TEXT,
    progress INTEGER,
    image_urls TEXT NOT NULL DEFAULT '[]',
    saved_paths TEXT NOT NULL DEFAULT '[]',
    ended_at REAL,
    error TEXT,
    delivered INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX entries_by_fingerprint ON entries (owner, fingerprint);
CREATE INDEX entries_by_task ON entries (owner, task_id);
CREATE INDEX entries_by_owner ON entries (owner);
CREATE INDEX entries_by_sending ON entries (owner, sent_at);
CREATE INDEX entries_by_urls ON entries (owner, image_urls) WHERE image_urls != '[]';
CREATE INDEX entries_by_state ON entries (state, quality, tier);
CREATE INDEX entries_by_age ON entries (created_at);
CREATE TABLE consents (
    owner TEXT NOT NULL,
    consent TEXT NOT NULL,
    used_at REAL NOT NULL,
    PRIMARY KEY (owner, consent)
) WITHOUT ROWID;
CREATE INDEX consents_by_age ON consents (used_at);
ALTER TABLE entries ADD COLUMN saved_digest TEXT;
CREATE TABLE uploads (
    account TEXT NOT NULL,
    digest TEXT NOT NULL,
    url TEXT NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (account, digest)
) WITHOUT ROWID;
CREATE INDEX uploads_by_age ON uploads (until);
ALTER TABLE entries RENAME COLUMN family TO request_key;
ALTER TABLE entries RENAME COLUMN holder TO process;
ALTER TABLE entries ADD COLUMN answer TEXT;
CREATE INDEX entries_by_request_key ON entries (owner, request_key);
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    process TEXT NOT NULL,
    until REAL NOT NULL,
    length REAL NOT NULL
);
ALTER TABLE entries ADD COLUMN compared INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entries ADD COLUMN straddled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entries ADD COLUMN charged INTEGER;
ALTER TABLE entries ADD COLUMN finding TEXT;
ALTER TABLE entries ADD COLUMN pixels TEXT;
CREATE INDEX entries_to_compare ON entries (owner) WHERE compared = 0;
CREATE INDEX entries_misquoted ON entries (owner) WHERE credits != charged;
CREATE TABLE balances (
    account TEXT PRIMARY KEY, credits REAL NOT NULL, read_at REAL NOT NULL, shared_at REAL
);
CREATE TABLE observed_prices (
    account TEXT NOT NULL, price_table TEXT NOT NULL, quality TEXT NOT NULL, tier TEXT NOT NULL,
    charged INTEGER, seen INTEGER, PRIMARY KEY (account, price_table, quality, tier)
) WITHOUT ROWID;
ALTER TABLE entries ADD COLUMN boot TEXT NOT NULL DEFAULT '';
CREATE INDEX entries_by_boot ON entries (boot);
CREATE TABLE boots (boot TEXT PRIMARY KEY, zero REAL NOT NULL, confirmed INTEGER NOT NULL) WITHOUT ROWID;
ALTER TABLE entries ADD COLUMN vendor_id TEXT;
ALTER TABLE entries ADD COLUMN named_task TEXT;
CREATE INDEX entries_named ON entries (state) WHERE named_task IS NOT NULL;
INSERT INTO entries (id, owner, fingerprint, request_key, variation, model, prompt, size, tier, quality, credits, reference_ids, state, process, created_at, sent_at, task_id, status, progress, image_urls, saved_paths, saved_digest, ended_at, error, delivered) VALUES
    ('e1', 'me', 'f1', 'family', 1, 'gpt-image-2', 'a boat, ünder
sail', '1:1', '1K', 'low', 2, '["sha256:1", "task:t0"]', 'finished', 'host:1:2', 1799999900.0, 1799999901.0, 't1', 'finished', 100, '["https://storage.vidgo.ai/a.png"]', '["/pictures/\u00e4 boat.png"]', '5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e', 1799999940.0, NULL, 1);
INSERT INTO entries (id, owner, fingerprint, request_key, variation, model, prompt, size, tier, quality, credits, reference_ids, state, process, created_at, sent_at, task_id, status, progress, image_urls, ended_at, error, delivered) VALUES
    ('e2', 'me', 'f2', 'family', 2, 'gpt-image-2', 'a boat', '1:1', '1K', 'low', 2, '[]', 'unknown', 'host:1:2', 1799999950.0, 1799999951.0, NULL, NULL, NULL, '[]', NULL, 'the answer was lost', 0);
INSERT INTO entries (id, owner, fingerprint, request_key, variation, model, prompt, size, tier, quality, credits, reference_ids, state, process, created_at, sent_at, task_id, status, progress, image_urls, ended_at, error, delivered) VALUES
    ('e3', 'me', 'f3', 'family', 3, 'gpt-image-2', 'a boat', '1:1', '1K', 'low', 2, '[]', 'reserved', 'host:3:4', 1799999995.0, NULL, NULL, NULL, NULL, '[]', NULL, NULL, 0);
INSERT INTO consents (owner, consent, used_at) VALUES ('me', 'yes-1', 1799999900.0);
INSERT INTO entries (id, owner, fingerprint, request_key, variation, model, prompt, size, tier, quality, credits, reference_ids, state, process, created_at, sent_at, task_id, status, progress, image_urls, saved_paths, ended_at, error, delivered) VALUES
    ('e4', 'me', 'f4', 'family', 4, 'gpt-image-2', 'a boat', '1:1', '1K', 'low', 2, '[]', 'finished', 'host:3:4', 1799999996.0, 1799999997.0, 't4', 'finished', 100, '["https://storage.vidgo.ai/a.png"]', '[]', 1799999998.0, NULL, 0);
INSERT INTO uploads (account, digest, url, until) VALUES ('me', '1', 'https://storage.vidgo.ai/uploads/1.png', 1800001000.0);
INSERT INTO leases (name, process, until, length) VALUES ('process:host:3:4', 'host:3:4', 1025.0, 30.0);
INSERT INTO leases (name, process, until, length) VALUES ('save:e4', 'host:3:4', 1100.0, 180.0);
INSERT INTO leases (name, process, until, length) VALUES ('upload:me:0', '', 1020.0, 61.0);
INSERT INTO balances (account, credits, read_at, shared_at) VALUES ('me', 95.0, 1799999999.0, NULL);
INSERT INTO observed_prices (account, price_table, quality, tier, charged, seen) VALUES ('me', 'published [[2, 4, 8], [3, 6, 12], [12, 24, 48]]', 'low', '1K', 5, NULL);
INSERT INTO boots (boot, zero, confirmed) VALUES ('an earlier boot', 1799900000.0, 1);
UPDATE entries SET boot = 'an earlier boot' WHERE id = 'e1';
