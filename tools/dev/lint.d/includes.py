# SPDX-License-Identifier: Apache-2.0
"""Who may include whom: STYLE rules D1 to D3."""

import fnmatch
import pathlib

PROJECT = ("api", "base", "controller", "node", "sdcard-image", "tests", "tools")

# Folder -> the folders it may include, itself apart.  The longest folder that matches counts.
DIRECTION = {
    "base": (),
    "api": ("base",),
    "node": ("api", "base"),
    "controller": ("api", "base", "sdcard-image"),
    "sdcard-image": ("api", "base"),
    "tools": ("api", "base", "sdcard-image"),
    # These drive the products from outside, or measure their parts.
    "tools/bench": PROJECT,
    "tools/bench.d": PROJECT,
    "tools/sim": PROJECT,
    "tests": PROJECT,
}

# Code that decides and does nothing else.
PURE = ("api/*", "controller/model/*", "controller/scheduler/*", "controller/reconcile/*", "*_state.h")

# Headers that do things, and what they are; pure code reaches none of them, not even by another header.
EFFECTS = ("boost/asio*", "boost/beast*", "sqlite3.h", "lxc/*", "gpiod.h", "systemd/*")
# Those that pure code does not include itself; the contracts it uses may.
DIRECT_EFFECTS = ("thread", "fstream", "base/asio.h", "base/lane.h", "base/file.h", "base/timer.h", "base/subprocess.h")

# A vendor's header is seen in one place.
VENDORS = {
    "lxc/*": ("node/runtime/lxc_*.cc", "tools/bench.d/lxc_*.cc"),
    "sqlite3.h": ("controller/store/sqlite_*", "tools/bench.d/sqlite_*.cc"),
    "gpiod.h": ("node/health/gpiod_*.cc",),
    "systemd/*": ("base/*.cc",),
    "openssl/*": ("base/*", "tests/*", "*_test.cc"),
    "boost/beast*": ("base/*", "tests/*", "*_test.cc"),
    "argon2.h": ("controller/auth/*.cc",),
    "archive.h": ("*/images/*.cc", "*_test.cc", "tests/*"),
    "archive_entry.h": ("*/images/*.cc", "*_test.cc", "tests/*"),
    "CLI/*": ("tools/*", "*main.cc", "*flags.cc"),
    "toml++/*": ("base/*.cc", "*_test.cc", "*config.cc"),
}


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def top(path):
    return path.split("/", 1)[0]


def _allowed_from(path):
    folders = sorted((folder for folder in DIRECTION if path.startswith(folder + "/")), key=len)
    return DIRECTION[folders[-1]] + (top(path),) if folders else None


def direction(source, _tree):
    """base <- api <- node | controller | tools; node and controller never see each other."""
    allowed = _allowed_from(source.path)
    if allowed is None:
        return
    for line, header, is_system in source.includes:
        if not is_system and top(header) in PROJECT and "/" in header and top(header) not in allowed:
            yield line, f'"{header}" is out of bounds here: {top(source.path)}/ may include {", ".join(allowed)}'


def _reachable(source, tree):
    """(line, header, way) of every header that the source reaches, the way naming the headers between."""
    seen = set()
    waiting = [(line, header, ()) for line, header, _ in source.includes]
    while waiting:
        line, header, way = waiting.pop()
        if header in seen:
            continue
        seen.add(header)
        yield line, header, way
        inner = tree.get(header)
        if inner is not None and top(header) in PROJECT:
            waiting += [(line, deeper, way + (header,)) for _, deeper, _ in inner.includes]


def pure(source, tree):
    """Pure folders include nothing that does anything."""
    if source.is_test or not matches(source.path, PURE):
        return
    for line, header, way in _reachable(source, tree):
        if matches(header, EFFECTS) or (not way and matches(header, DIRECT_EFFECTS)):
            by = f" (by way of {' -> '.join(way)})" if way else ""
            yield line, f"{header}{by}: this folder is pure, it decides and does nothing"


def vendor(source, _tree):
    """A vendor's header appears in one folder."""
    for line, header, _ in source.includes:
        for pattern, places in VENDORS.items():
            if matches(header, (pattern,)) and not matches(source.path, places):
                yield line, f"{header} belongs in {' or '.join(places)} only"


def exists(source, tree):
    """A project header is named from the root of the tree."""
    for line, header, is_system in source.includes:
        if not is_system and "/" not in header and str(pathlib.PurePosixPath(source.path).parent / header) in tree:
            yield line, f'"{header}": name it from the root of the tree'


RULES = {
    "include-direction": direction,
    "include-pure": pure,
    "include-vendor": vendor,
    "include-from-root": exists,
}
