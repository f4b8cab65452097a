-- SPDX-License-Identifier: Apache-2.0
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
