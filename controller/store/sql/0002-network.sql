-- SPDX-License-Identifier: Apache-2.0
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
