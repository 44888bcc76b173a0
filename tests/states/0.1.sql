BEGIN TRANSACTION;
CREATE TABLE decisions (
        id INTEGER PRIMARY KEY,
        at_utc TEXT NOT NULL,
        service TEXT NOT NULL,
        decision TEXT NOT NULL CHECK (json_valid(decision))
    ) STRICT;
INSERT INTO "decisions" VALUES(1,'2026-11-30T03:59:39.028406+00:00','shop','{"at_utc":"2026-11-30T03:59:39.028406Z","service":"shop","event":"first-sight","colour":"blue","release":"28d52244","rollout":null,"phase":null,"outcome":null,"trigger":null,"actor":null,"detail":"the only colour with servers","evidence":[]}');
INSERT INTO "decisions" VALUES(2,'2026-11-30T03:59:40.337803+00:00','shop','{"at_utc":"2026-11-30T03:59:40.337803Z","service":"shop","event":"begun","colour":"green","release":"8ccee0b0","rollout":"r1","phase":"waiting","outcome":null,"trigger":"docker","actor":null,"detail":null,"evidence":[]}');
INSERT INTO "decisions" VALUES(3,'2026-11-30T03:59:40.942656+00:00','shop','{"at_utc":"2026-11-30T03:59:40.942656Z","service":"shop","event":"ready","colour":"green","release":"8ccee0b0","rollout":"r1","phase":"testing","outcome":null,"trigger":"docker","actor":null,"detail":null,"evidence":["shop green http://10.219.0.3:8080: healthy"]}');
INSERT INTO "decisions" VALUES(4,'2026-11-30T03:59:40.942656+00:00','shop','{"at_utc":"2026-11-30T03:59:40.942656Z","service":"shop","event":"tested","colour":"green","release":"8ccee0b0","rollout":"r1","phase":"approval","outcome":null,"trigger":"docker","actor":null,"detail":null,"evidence":[]}');
INSERT INTO "decisions" VALUES(5,'2026-11-30T03:59:40.942656+00:00','shop','{"at_utc":"2026-11-30T03:59:40.942656Z","service":"shop","event":"approved","colour":"green","release":"8ccee0b0","rollout":"r1","phase":"shifting","outcome":null,"trigger":"docker","actor":null,"detail":null,"evidence":[]}');
INSERT INTO "decisions" VALUES(6,'2026-11-30T03:59:40.978133+00:00','shop','{"at_utc":"2026-11-30T03:59:40.978133Z","service":"shop","event":"shifted","colour":"green","release":"8ccee0b0","rollout":"r1","phase":"confirming","outcome":null,"trigger":"docker","actor":null,"detail":null,"evidence":["shop green http://10.219.0.3:8080: healthy"]}');
INSERT INTO "decisions" VALUES(7,'2026-11-30T03:59:41.979149+00:00','shop','{"at_utc":"2026-11-30T03:59:41.979149Z","service":"shop","event":"unconfirmed","colour":"green","release":"8ccee0b0","rollout":"r1","phase":"watching","outcome":null,"trigger":"docker","actor":null,"detail":"nobody polls the document","evidence":[]}');
INSERT INTO "decisions" VALUES(8,'2026-11-30T03:59:42.981592+00:00','shop','{"at_utc":"2026-11-30T03:59:42.981592Z","service":"shop","event":"watched","colour":"green","release":"8ccee0b0","rollout":"r1","phase":"steady","outcome":"switched","trigger":"docker","actor":null,"detail":null,"evidence":[]}');
CREATE TABLE desired (id INTEGER PRIMARY KEY CHECK (id = 1), text TEXT NOT NULL) STRICT;
INSERT INTO "desired" VALUES(1,'environment: cup
requireEnvironmentLabel: true
services:
  shop: {router: {rule: "Host(`shop.test`)"}, healthCheck: {mode: tcp, interval: 300ms}, settle: 500ms, watch: 1s, deadlines: {confirming: 1s}}
');
CREATE TABLE document (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        sha256 TEXT NOT NULL,
        etag TEXT NOT NULL,
        marker TEXT NOT NULL,
        is_json INTEGER NOT NULL,
        terms TEXT NOT NULL
    ) STRICT;
INSERT INTO "document" VALUES(1,'ae6670d49ab8eab68191bb10c103e5824504c073fd7ee358a1a4e070454909c6','"6c5160ce2485fde2b8999ad0d01a3efd"','bluegreen-6c5160ce2485',1,'0.1.0, private');
CREATE TABLE groups (name TEXT PRIMARY KEY, state TEXT NOT NULL CHECK (json_valid(state))) STRICT, WITHOUT ROWID;
INSERT INTO "groups" VALUES('shop','{"rollout":null,"rollouts":1,"quarantined":[],"paused":null}');
CREATE TABLE revision (id INTEGER PRIMARY KEY CHECK (id = 1), reserved INTEGER NOT NULL) STRICT;
INSERT INTO "revision" VALUES(1,2);
CREATE TABLE servers (name TEXT PRIMARY KEY, state TEXT NOT NULL CHECK (json_valid(state))) STRICT, WITHOUT ROWID;
INSERT INTO "servers" VALUES('shop','{"colours":{"blue":[{"url":"http://10.219.0.2:8080","release":"28d52244","version":"1","container":"2ea6c7aa6206","docker_health":null}],"green":[{"url":"http://10.219.0.3:8080","release":"8ccee0b0","version":"2","container":"8ec29f9a9d13","docker_health":null}]},"published":[["http://10.219.0.3:8080","8ec29f9a9d13","8ccee0b0"]]}');
CREATE TABLE services (name TEXT PRIMARY KEY, state TEXT NOT NULL CHECK (json_valid(state))) STRICT, WITHOUT ROWID;
INSERT INTO "services" VALUES('shop','{"active":"green","undecided":false,"wish":"auto","settled":{"blue":["28d52244"],"green":["8ccee0b0"]},"way_back":{"colour":"blue","release":"28d52244","rollout":"r1","lost":null},"replaced":null,"switched_utc":"2026-11-30T03:59:40.978133Z","override":null,"lease":null,"group":null}');
COMMIT;
PRAGMA user_version = 2;
