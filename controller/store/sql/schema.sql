-- SPDX-License-Identifier: Apache-2.0
-- The schema that all migrations together make; a test proves it.

CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;
INSERT INTO meta VALUES ('revision', '0');

CREATE TABLE cluster (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  doc TEXT NOT NULL
) STRICT;

CREATE TABLE nodes (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL,
  generation INTEGER NOT NULL,
  doc TEXT NOT NULL
) STRICT;

CREATE TABLE containers (
  id TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  node_id TEXT REFERENCES nodes (id) DEFERRABLE INITIALLY DEFERRED,
  state TEXT NOT NULL,
  generation INTEGER NOT NULL,
  doc TEXT NOT NULL,
  UNIQUE (project, name)
) STRICT;
CREATE INDEX containers_by_node ON containers (node_id);

CREATE TABLE images (
  id TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  generation INTEGER NOT NULL,
  doc TEXT NOT NULL,
  UNIQUE (project, name)
) STRICT;

CREATE TABLE flavors (
  id TEXT PRIMARY KEY,
  generation INTEGER NOT NULL,
  doc TEXT NOT NULL
) STRICT;

CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  generation INTEGER NOT NULL,
  doc TEXT NOT NULL
) STRICT;

CREATE TABLE operations (
  id TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  state TEXT NOT NULL,
  doc TEXT NOT NULL
) STRICT;

CREATE TABLE users (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  doc TEXT NOT NULL
) STRICT;

CREATE TABLE credentials (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  user_id TEXT REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED,
  doc TEXT NOT NULL
) STRICT;
CREATE INDEX credentials_by_user ON credentials (user_id);

CREATE TABLE idempotency (
  id TEXT PRIMARY KEY,
  doc TEXT NOT NULL
) STRICT;

-- What happened, for those who follow; the oldest are dropped.
CREATE TABLE events (
  revision INTEGER NOT NULL,
  number INTEGER NOT NULL,
  type TEXT NOT NULL,
  object_kind TEXT NOT NULL,
  object_id TEXT NOT NULL,
  doc TEXT NOT NULL,
  PRIMARY KEY (revision, number)
) STRICT, WITHOUT ROWID;

-- Who did what, one row per transaction; the oldest are dropped.
CREATE TABLE audit (
  revision INTEGER PRIMARY KEY,
  time_ms INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  object_kind TEXT NOT NULL,
  object_id TEXT NOT NULL,
  object_name TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;

-- The network: what people set of it.  A floating IP's row exists while it is attached.

CREATE TABLE projects (
  id TEXT PRIMARY KEY,
  generation INTEGER NOT NULL,
  doc TEXT NOT NULL
) STRICT;

CREATE TABLE security_groups (
  id TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  generation INTEGER NOT NULL,
  doc TEXT NOT NULL,
  UNIQUE (project, name)
) STRICT;

CREATE TABLE floating_ips (
  id TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  container_id TEXT REFERENCES containers (id) DEFERRABLE INITIALLY DEFERRED,
  generation INTEGER NOT NULL,
  doc TEXT NOT NULL
) STRICT;

CREATE TABLE port_forwards (
  id TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  generation INTEGER NOT NULL,
  doc TEXT NOT NULL
) STRICT;

CREATE TABLE reservations (
  id TEXT PRIMARY KEY,
  generation INTEGER NOT NULL,
  doc TEXT NOT NULL
) STRICT;

-- ssh keys by name, and what containers are told at their first start.  A context's text may hold
-- secrets: it is read by nobody but the node of its container.

CREATE TABLE keys (
  id TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  generation INTEGER NOT NULL,
  doc TEXT NOT NULL,
  UNIQUE (project, name)
) STRICT;

CREATE TABLE contexts (
  id TEXT PRIMARY KEY,
  doc TEXT NOT NULL
) STRICT;
