# SPDX-License-Identifier: Apache-2.0
"""A file of the tree as the rules see it: its lines, and its code without comments and literals."""

import functools
import pathlib
import re

CXX_SUFFIXES = {".h", ".cc"}

_TOKENS = re.compile(
    r"""//[^\n]* | /\*.*?\*/
      | R"(?P<delimiter>[^()\\\s]*)\(.*?\)(?P=delimiter)"
      | "(?:\\.|[^"\\\n])*"
      | (?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'""",
    re.VERBOSE | re.DOTALL)

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:<([^>\n]+)>|"([^"\n]+)")', re.MULTILINE)


def _blank(match):
    """As many lines and columns as before, so that positions stay true; literals keep their quotes."""
    text = match.group(0)
    hollow = re.sub(r"[^\n]", " ", text)
    if text.startswith("/"):
        return hollow
    return text[0] + hollow[1:-1] + text[-1] if "\n" not in text else hollow


class Source:
    """One file.  `path` is relative to the root of the tree, with forward slashes."""

    def __init__(self, root, path):
        self.path = path
        self.name = pathlib.PurePosixPath(path).name
        self.suffix = pathlib.PurePosixPath(path).suffix
        self.text = (pathlib.Path(root) / path).read_text(encoding="utf-8", errors="replace")

    @property
    def is_cxx(self):
        return self.suffix in CXX_SUFFIXES

    @property
    def is_test(self):
        return self.name.endswith("_test.cc") or self.path.startswith("tests/")

    @functools.cached_property
    def lines(self):
        return self.text.split("\n")

    @functools.cached_property
    def code(self):
        """The text with comments blanked and literals hollowed."""
        return _TOKENS.sub(_blank, self.text)

    @functools.cached_property
    def includes(self):
        """(line, header, is_system) of each include."""
        return [(self.line_of(match.start()), match.group(1) or match.group(2), bool(match.group(1)))
                for match in _INCLUDE.finditer(self.text)]

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def allows(self, line, rule):
        """True where the line, or the comment above it, says `lint: allow(rule) reason`."""
        waiver = re.compile(r"lint: allow\(" + re.escape(rule) + r"\) \S")
        return any(waiver.search(self.lines[at - 1]) for at in (line, line - 1) if 1 <= at <= len(self.lines))
