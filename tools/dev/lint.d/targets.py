# SPDX-License-Identifier: Apache-2.0
"""Whether DEPS in CMake grants each include: STYLE rule D3."""

import dataclasses
import pathlib
import re

from includes import PROJECT, top

_CALL = re.compile(r"\b(bramble_library|bramble_binary|bramble_test|bramble_bench|bramble_fuzz)\s*\(([^()]*)\)")
_KEYWORDS = {"NAME", "HDRS", "SRCS", "DEPS", "LABELS", "DATA", "TIMEOUT", "ENVIRONMENT"}


@dataclasses.dataclass
class Target:
    """One call of bramble_library, bramble_binary, bramble_test, bramble_bench or bramble_fuzz."""
    name: str
    path: str  # of its CMakeLists.txt
    line: int
    files: list
    deps: list


def _arguments(words):
    found, key = {}, None
    for word in words:
        if word in _KEYWORDS:
            key = word
            found.setdefault(key, [])
        elif key:
            found[key].append(word.strip('"'))
    return found


def parse(source):
    """The targets that one CMakeLists.txt makes."""
    folder = pathlib.PurePosixPath(source.path).parent
    text = re.sub(r"#[^\n]*", lambda match: " " * len(match.group(0)), source.text)
    for match in _CALL.finditer(text):
        words = match.group(2).split()
        arguments = _arguments(words if words[:1] == ["NAME"] else ["NAME"] + words)  # bramble_bench(name SRCS …)
        if not arguments.get("NAME"):
            continue
        files = [str(folder / file) for file in arguments.get("HDRS", []) + arguments.get("SRCS", [])]
        yield Target(arguments["NAME"][0], source.path, source.line_of(match.start()), files,
                     arguments.get("DEPS", []))


class Targets:
    """Every target of the tree, by name; a dependency `bramble::x` is the target x."""

    def __init__(self, tree):
        made = [target for source in tree.values() if source.name == "CMakeLists.txt" for target in parse(source)]
        self.by_name = {target.name: target for target in made}
        self.owners = {}
        for target in made:
            for file in target.files:
                self.owners.setdefault(file, set()).add(target.name)

    def granted(self, name):
        """The names of the target and of all it depends on, directly or not."""
        seen, waiting = set(), [name]
        while waiting:
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            if at in self.by_name:
                waiting += [dep.removeprefix("bramble::") for dep in self.by_name[at].deps]
        return seen


def grants(source, tree, targets):
    """Each project header that a file includes belongs to a target that its own target depends on."""
    mine = targets.owners.get(source.path)
    if mine is None:
        if top(source.path) in PROJECT and source.is_cxx and source.suffix == ".cc":
            yield 1, "no target's SRCS names this file"
        return
    for line, header, is_system in source.includes:
        if is_system or header not in tree:
            continue
        owners = targets.owners.get(header)
        if owners is None and pathlib.PurePosixPath(header).parent == pathlib.PurePosixPath(source.path).parent:
            continue  # of that folder's own
        if owners is None:
            yield line, f'"{header}": no target\'s HDRS names it'
            continue
        for name in sorted(mine):
            if not owners & targets.granted(name):
                yield line, f'"{header}" needs bramble::{sorted(owners)[0]} in the DEPS of {name}'


def outer_edge(tree, targets):
    """What api/ and base/ take from outside, one `folder library` per line."""
    edge = set()
    for target in targets.by_name.values():
        folder = top(target.path)
        if folder in ("api", "base"):
            edge |= {f"{folder} {dep}" for dep in target.deps if not dep.startswith("bramble::")}
    return sorted(edge)
