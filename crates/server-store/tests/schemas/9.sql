-- A database of version 9, as the program of that time made it of one of version 7. Never edited.
BEGIN TRANSACTION;
CREATE TABLE account_keeping (
        id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
        quota_s INTEGER NOT NULL,
        trash_days INTEGER NOT NULL,
        heard_days INTEGER NOT NULL
    ) STRICT;
INSERT INTO "account_keeping" VALUES(1,0,30,0);
CREATE TABLE audit (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        at_ns INTEGER NOT NULL,
        mailbox TEXT NOT NULL,
        what TEXT NOT NULL
    ) STRICT;
CREATE TABLE bindings (
        subscriber TEXT NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
        device TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
        contact TEXT NOT NULL,
        way TEXT NOT NULL, -- JSON of the exchange's
        expires_ns INTEGER NOT NULL,
        PRIMARY KEY (subscriber, device, contact)
    ) STRICT;
CREATE TABLE blob_trash (
        file TEXT NOT NULL PRIMARY KEY
    ) STRICT;
CREATE TABLE blobs (
        content TEXT NOT NULL PRIMARY KEY, -- CODEC-SHA256 of the sound without its header
        file TEXT NOT NULL UNIQUE,         -- relative to the folder of the blobs
        bytes INTEGER NOT NULL,
        media_type TEXT NOT NULL
    , loudness_clufs INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "blobs" VALUES('pcma-abababababababababababababababababababababababababababababababab','11/11111111-1111-4111-8111-111111111111.wav',8058,'audio/wav',0);
CREATE TABLE call_records (
        owner TEXT NOT NULL REFERENCES subscribers (id),
        call TEXT NOT NULL,
        direction TEXT NOT NULL,
        party_number TEXT NOT NULL,
        party_name TEXT NOT NULL,
        started_ns INTEGER NOT NULL,
        answered_ns INTEGER NOT NULL, -- 0: nobody answered
        ended_ns INTEGER NOT NULL,
        ending TEXT NOT NULL,
        diverted TEXT NOT NULL,       -- '': the mailbox did not answer
        message TEXT NOT NULL,        -- '': none was left
        PRIMARY KEY (owner, call, direction)
    ) STRICT;
INSERT INTO "call_records" VALUES('00000000-0000-4000-8000-00000000000a','33333333-3333-4333-8333-333333333333','incoming','+4930123','Zoë',1800000000000000000,0,1800000005000000000,'diverted','no_answer','11111111-1111-4111-8111-111111111111');
CREATE TABLE calling (
        subscriber TEXT NOT NULL PRIMARY KEY REFERENCES subscribers (id) ON DELETE CASCADE,
        rights TEXT NOT NULL,
        do_not_disturb INTEGER NOT NULL
    ) STRICT;
CREATE TABLE devices (
        id TEXT NOT NULL PRIMARY KEY,
        subscriber TEXT NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        created_ns INTEGER NOT NULL,
        last_seen_ns INTEGER NOT NULL,
        token_hash BLOB NOT NULL DEFAULT x'', -- an app's
        username TEXT NOT NULL DEFAULT '',    -- a phone's
        sealed BLOB NOT NULL DEFAULT x''      -- a phone's digest hashes, encrypted with the server's key
    ) STRICT;
CREATE TABLE directory (
        id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
        version INTEGER NOT NULL
    ) STRICT;
INSERT INTO "directory" VALUES(1,1);
CREATE TABLE feed (
        mailbox TEXT NOT NULL,
        n INTEGER NOT NULL,
        kind TEXT NOT NULL, -- message, call_record
        thing TEXT NOT NULL,
        PRIMARY KEY (mailbox, n)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "feed" VALUES('00000000-0000-4000-8000-00000000000a',2,'call_record','33333333-3333-4333-8333-333333333333/incoming');
INSERT INTO "feed" VALUES('00000000-0000-4000-8000-00000000000a',1,'message','11111111-1111-4111-8111-111111111111');
INSERT INTO "feed" VALUES('00000000-0000-4000-8000-00000000000a',3,'message','22222222-2222-4222-8222-222222222222');
CREATE TABLE feed_ends (
        mailbox TEXT NOT NULL PRIMARY KEY REFERENCES subscribers (id),
        n INTEGER NOT NULL
    ) STRICT;
INSERT INTO "feed_ends" VALUES('00000000-0000-4000-8000-00000000000a',3);
CREATE TABLE fullness (
        mailbox TEXT NOT NULL PRIMARY KEY REFERENCES subscribers (id) ON DELETE CASCADE,
        told TEXT NOT NULL
    ) STRICT;
CREATE TABLE greetings (
        id TEXT NOT NULL PRIMARY KEY,
        owner TEXT NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        title TEXT NOT NULL,
        text TEXT NOT NULL,
        language TEXT NOT NULL,
        expires_ns INTEGER NOT NULL, -- 0: never
        changed_ns INTEGER NOT NULL,
        content TEXT NOT NULL,       -- a blob's, or '' without sound
        duration_ms INTEGER NOT NULL,
        peaks BLOB NOT NULL,
        media_type TEXT NOT NULL
    ) STRICT;
CREATE TABLE holds (
        mailbox TEXT NOT NULL REFERENCES subscribers (id),
        message TEXT NOT NULL, -- '' for everything in it
        placed_ns INTEGER NOT NULL,
        PRIMARY KEY (mailbox, message)
    ) STRICT;
CREATE TABLE idempotency (
        mailbox TEXT NOT NULL,
        key TEXT NOT NULL,
        request TEXT NOT NULL,  -- what was asked: the same key for something else is a mistake
        response TEXT NOT NULL, -- what can't be told from the state of things
        created_ns INTEGER NOT NULL,
        PRIMARY KEY (mailbox, key)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE invitations (
        token_hash BLOB NOT NULL PRIMARY KEY,
        subscriber TEXT NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
        expires_ns INTEGER NOT NULL
    ) STRICT;
CREATE TABLE jobs (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        payload TEXT NOT NULL,
        due_ns INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0
    ) STRICT;
INSERT INTO "jobs" VALUES(1,'mail','hello',1800000000000000000,0);
CREATE TABLE life (
        id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
        epoch INTEGER NOT NULL,
        is_backup INTEGER NOT NULL
    ) STRICT;
INSERT INTO "life" VALUES(1,77,0);
CREATE TABLE menus (
        subscriber TEXT NOT NULL PRIMARY KEY REFERENCES subscribers (id) ON DELETE CASCADE,
        pin TEXT NOT NULL,    -- argon2id; '' opens the mailbox from devices of one's own alone
        layout TEXT NOT NULL,
        dials INTEGER NOT NULL
    ) STRICT;
INSERT INTO "menus" VALUES('00000000-0000-4000-8000-00000000000a','','asterisk',1);
CREATE TABLE messages (
        id TEXT NOT NULL PRIMARY KEY,
        mailbox TEXT NOT NULL REFERENCES subscribers (id),
        call TEXT NOT NULL,
        caller_number TEXT NOT NULL,
        caller_name TEXT NOT NULL,
        received_ns INTEGER NOT NULL,
        arrived_ns INTEGER NOT NULL, -- in this mailbox: of a forwarded one, when it was forwarded
        reason TEXT NOT NULL,
        urgent INTEGER NOT NULL,
        duration_ms INTEGER NOT NULL,
        kept TEXT NOT NULL,          -- new, heard or saved: also what lies under a deletion
        deleted INTEGER NOT NULL,
        peaks BLOB NOT NULL,
        content TEXT NOT NULL REFERENCES blobs (content),
        media_type TEXT NOT NULL,
        forwarded TEXT NOT NULL,     -- JSON of the note, or ''
        interrupted INTEGER NOT NULL
    , since_ns INTEGER NOT NULL DEFAULT 0, private INTEGER NOT NULL DEFAULT 0, call_back TEXT NOT NULL DEFAULT '', test INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "messages" VALUES('11111111-1111-4111-8111-111111111111','00000000-0000-4000-8000-00000000000a','33333333-3333-4333-8333-333333333333','+4930123','Zoë',1800000000000000000,1800000000000000000,'no_answer',0,1000,'saved',0,X'00FF','pcma-abababababababababababababababababababababababababababababababab','audio/wav','',0,1795962928000000000,0,'',0);
CREATE TABLE own_keeping (
        mailbox TEXT NOT NULL PRIMARY KEY REFERENCES subscribers (id) ON DELETE CASCADE,
        quota_s INTEGER NOT NULL,
        trash_days INTEGER NOT NULL,
        heard_days INTEGER NOT NULL
    ) STRICT;
CREATE TABLE plans (
        subscriber TEXT NOT NULL PRIMARY KEY REFERENCES subscribers (id) ON DELETE CASCADE,
        version INTEGER NOT NULL,
        plan TEXT NOT NULL -- JSON
    ) STRICT;
CREATE TABLE subscribers (
        id TEXT NOT NULL PRIMARY KEY,
        user TEXT NOT NULL UNIQUE,
        extension TEXT NOT NULL UNIQUE,
        display_name TEXT NOT NULL,
        language TEXT NOT NULL,
        ring_s INTEGER NOT NULL,
        password TEXT NOT NULL DEFAULT '' -- argon2id; '' signs in by invitation alone
    ) STRICT;
INSERT INTO "subscribers" VALUES('00000000-0000-4000-8000-00000000000a','anna','1001','Anna Ä.','de',20,'$argon2id$v=19$m=19456,t=2,p=1$JtQ2mPWqfIcunYiy/Yxu6A$dZzhuBB/U2bZSjm9Fi2/euHOE0yVIkSjiSUMGZvuUN4');
CREATE TABLE tombstones (
        message TEXT NOT NULL PRIMARY KEY,
        mailbox TEXT NOT NULL,
        expunged_ns INTEGER NOT NULL
    ) STRICT;
INSERT INTO "tombstones" VALUES('22222222-2222-4222-8222-222222222222','00000000-0000-4000-8000-00000000000a',1800000000000000000);
CREATE TABLE trunks (
        name TEXT NOT NULL PRIMARY KEY,
        settings TEXT NOT NULL, -- JSON
        sealed BLOB NOT NULL    -- the password, encrypted with the server's key
    ) STRICT;
CREATE TABLE withheld (
        id TEXT NOT NULL PRIMARY KEY,
        mailbox TEXT NOT NULL,
        content TEXT NOT NULL REFERENCES blobs (content),
        message TEXT NOT NULL, -- JSON, as its owner saw it last
        expunged_ns INTEGER NOT NULL
    ) STRICT;
CREATE INDEX devices_by_subscriber ON devices (subscriber, created_ns);
CREATE UNIQUE INDEX devices_by_token ON devices (token_hash) WHERE token_hash <> x'';
CREATE UNIQUE INDEX devices_by_username ON devices (username) WHERE username <> '';
CREATE INDEX messages_by_mailbox ON messages (mailbox, arrived_ns, id);
CREATE INDEX messages_by_content ON messages (content);
CREATE INDEX call_records_by_owner ON call_records (owner, started_ns);
CREATE UNIQUE INDEX feed_by_thing ON feed (mailbox, kind, thing);
CREATE INDEX jobs_by_due ON jobs (kind, due_ns);
CREATE INDEX idempotency_by_age ON idempotency (created_ns);
CREATE TRIGGER directory_subscribers_added AFTER INSERT ON subscribers BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE TRIGGER directory_subscribers_changed AFTER UPDATE ON subscribers BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE TRIGGER directory_subscribers_removed AFTER DELETE ON subscribers BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE TRIGGER directory_devices_added AFTER INSERT ON devices BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE TRIGGER directory_devices_changed AFTER UPDATE OF subscriber, username, sealed ON devices BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE TRIGGER directory_devices_removed AFTER DELETE ON devices BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE TRIGGER directory_calling_added AFTER INSERT ON calling BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE TRIGGER directory_calling_changed AFTER UPDATE ON calling BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE TRIGGER directory_calling_removed AFTER DELETE ON calling BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE TRIGGER directory_trunks_added AFTER INSERT ON trunks BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE TRIGGER directory_trunks_changed AFTER UPDATE ON trunks BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE TRIGGER directory_trunks_removed AFTER DELETE ON trunks BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE INDEX greetings_by_owner ON greetings (owner, changed_ns, id);
CREATE INDEX greetings_by_content ON greetings (content);
CREATE UNIQUE INDEX one_name_each ON greetings (owner) WHERE kind = 'name';
CREATE TRIGGER directory_greetings_added AFTER INSERT ON greetings BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE TRIGGER directory_greetings_changed AFTER UPDATE ON greetings BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE TRIGGER directory_greetings_removed AFTER DELETE ON greetings BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE TRIGGER directory_plans_added AFTER INSERT ON plans BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE TRIGGER directory_plans_changed AFTER UPDATE ON plans BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE TRIGGER directory_plans_removed AFTER DELETE ON plans BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE TRIGGER directory_menus_added AFTER INSERT ON menus BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE TRIGGER directory_menus_changed AFTER UPDATE OF dials ON menus BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE TRIGGER directory_menus_removed AFTER DELETE ON menus BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE INDEX messages_by_length ON messages (mailbox, deleted, duration_ms);
CREATE TRIGGER directory_audit_added AFTER INSERT ON audit BEGIN
        UPDATE directory SET version = version + 1;
    END;
CREATE INDEX withheld_by_mailbox ON withheld (mailbox, id);
CREATE INDEX withheld_by_content ON withheld (content);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',1);
COMMIT;
PRAGMA user_version = 9;
