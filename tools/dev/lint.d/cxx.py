# SPDX-License-Identifier: Apache-2.0
"""What the code itself may say: STYLE rules C1, C3, C4, C6, D1, E1, N3, T5, W3 and H1."""

import re

from includes import PURE, matches

# A file over 500 lines is asking to be two; at these it is told so.
MAX_LINES = 600
MAX_TEST_LINES = 800


def _find(source, pattern):
    for match in re.finditer(pattern, source.code):
        yield source.line_of(match.start()), match


def _end_of_await(code, start):
    """The offset of a `{` or `[` in the full expression that goes on after `start`, or None.

    A brace that opens the body of `if (co_await …) {` is not part of it."""
    depth = 0
    for at in range(start, len(code)):
        char = code[at]
        if char == ";":
            return None
        if char in "{[":
            return at
        if char == "}":
            return None
        depth += (char == "(") - (char == ")")
        if depth < 0:
            depth = 0
            if re.match(r"\s*(?:\{|$)", code[at + 1:at + 200]):
                return None
    return None


def co_await(source):
    """C4: GCC 12.2 destroys aggregates and lambdas in a co_await expression twice."""
    for line, match in _find(source, r"\bco_await\b"):
        if _end_of_await(source.code, match.end()) is not None:
            yield line, "`{` or `[` between co_await and `;`: name the argument first (GCC 12.2 destroys it twice)"


def co_await_arm(source):
    """C4: nor does GCC 12.2 get an awaited arm of `? :` right."""
    for line, match in _find(source, r"\?[^;{}]*\bco_await\b"):
        line = source.line_of(match.end())
        yield line, "co_await in an arm of `? :`: write an if (GCC 12.2 destroys temporaries twice)"


def co_await_operand(source):
    """C4: nor an awaited operand of `&&` or `||`, in an expression: a parameter `T&&` is none."""
    for _, match in _find(source, r"\bco_await\b"):
        start = max(source.code.rfind(stop, 0, match.start()) for stop in ";{}")
        before = source.code[start + 1:match.start()]
        end = source.code.find(";", match.end())
        after = _same_expression(source.code[match.end():end if end >= 0 else None])
        if re.search(r"(?:&&|\|\|)", _open_part(before)) or re.search(r"&&|\|\|", _open_part(after)):
            yield (source.line_of(match.start()),
                   "co_await in an operand of `&&` or `||`: await it in a statement of its own (GCC 12.2 destroys temporaries twice)")


def _open_part(text):
    """What of the text before stands in the same full expression: not what a closed bracket holds, nor a declared type."""
    text = re.sub(r"\bfor\s*\([^;]*$", "", text)
    while True:
        shorter = re.sub(r"\([^()]*\)|\[[^\[\]]*\]", "", text)
        if shorter == text:
            # `auto&& x = co_await …` declares.
            return re.sub(r"\b(?:auto|[\w:>]+)&&\s+\w+\s*=", "", text)
        text = shorter


def _same_expression(text):
    """What of the text after it belongs to the expression: up to the bracket that closes an `if (…)`."""
    depth = 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth < 0:
            rest = text[at + 1:].lstrip()
            if rest.startswith(("&&", "||")):
                return "&&"
            if rest.startswith("{") or not rest:
                return text[:at]
            depth = 0
        if char == "{":
            return text[:at]
    return text


def detached(source):
    """C6: nothing is detached.  base/ makes the scopes; its own loops hold what they use and end with it."""
    if source.path.startswith("base/"):
        return
    for line, _ in _find(source, r"\bdetached\b(?!\s*=)|\.detach\(\)"):
        yield line, "nothing is detached: Spawn it in a scope"


def _body(code, start):
    """The text of the braces that open at or after `start`."""
    begin = code.find("{", start)
    depth = 0
    for at in range(begin, len(code)) if begin >= 0 else ():
        depth += (code[at] == "{") - (code[at] == "}")
        if depth == 0:
            return code[begin:at]
    return ""


def lambda_coroutine(source):
    """C3: a capturing lambda is no coroutine; its captures die with it."""
    if source.path.startswith("base/") or source.is_test:
        return
    pattern = r"\[[^\]\[]+\]\s*\([^()]*\)\s*(?:mutable\s*)?(?:noexcept\s*)?->\s*(?:\w+::)*awaitable\b"
    for line, match in _find(source, pattern):
        if re.search(r"\bco_(?:await|return|yield)\b", _body(source.code, match.end())):
            yield line, "a capturing lambda must not be a coroutine: make it a function with parameters by value"


def coroutine_parameters(source):
    """C3: coroutines take parameters by value.  The byte streams of base/ say how long a view must live."""
    if source.path.startswith("base/"):
        return
    for line, match in _find(source, r"\bawaitable<[^;{}()]*>\s+(?:\w+::)*\w+\s*\(([^;{}]*?)\)\s*(?:const\b|override\b|[;{=])"):
        if re.search(r"\bconst\b[^,]*&|&&|\bstring_view\b|\bspan<", match.group(1)):
            yield line, "a coroutine takes its parameters by value"


def threads(source):
    """C1: one loop thread; locks and threads live in base/."""
    if source.path.startswith("base/") or source.is_test:
        return
    for line, match in _find(source, r"\bstd::(?:j?thread\b(?!::id)|mutex|shared_mutex|recursive_mutex|condition_variable|async)\b"):
        yield line, f"{match.group(0)}: all state belongs to the loop; blocking work goes on a Lane (base/lane.h)"


def clock(source):
    """D1, C7: pure code takes the time as an argument."""
    if source.is_test or not matches(source.path, PURE):
        return
    for line, match in _find(source, r"_clock::now\(|\bclock_gettime\(|\btime\((?:nullptr|NULL|0)\)|\bClock\s*[&*]"):
        yield line, f"{match.group(0)}: pure code takes `now` as an argument"


def no_throw(source):
    """E1: we throw nothing; a fake may, to say what happens then.  A cancellation that is not ours to take goes on: `throw;`."""
    if source.is_test:
        return
    for line, _ in _find(source, r"\bthrow\b(?!\s*;)"):
        yield line, "we throw nothing: return absl::Status"


def names(source):
    """N3: names that refuse nothing."""
    for line, match in _find(source, r"\b(?:class|struct|enum class|concept)\s+(?:\[\[\w+\]\]\s*)?"
                                     r"(\w*(?:Manager|Helper|Util|Utils|Common)\w*|\w+Impl|Base[A-Z]\w*)\b(?!\s*::)"):
        yield line, f"{match.group(1)}: a banned name (Manager, Helper, Util, Common, Base*, Impl); what is its job?"
    for line, match in _find(source, r"\b\w[\w:<>]*\s+process\("):
        yield line, "process(): say what it does"


def file_name(source):
    """N3 for files."""
    if re.search(r"(?:^|_)(?:manager|helpers?|utils?|misc)(?:_|\.)", source.name):
        yield 1, f"{source.name}: a name that refuses nothing"


def no_sleep(source):
    """T5: no test waits by time, none is switched off."""
    if not source.is_test:
        return
    for line, match in _find(source, r"\bsleep_for\b|\bsleep_until\b|\busleep\(|\bnanosleep\("):
        yield line, f"{match.group(0)}: a test waits for an event, not for a time"
    for line, _ in _find(source, r"\bDISABLED_"):
        yield line, "a test is not switched off: GTEST_SKIP with its reason"


def todo(source):
    """W3."""
    for number, text in enumerate(source.lines, 1):
        if re.search(r"\b(?:TODO(?!\(#\d+\):)|FIXME|XXX)\b", text):
            yield number, "TODO(#123): needs its issue"


def pragma_once(source):
    if source.suffix == ".h" and "#pragma once" not in source.text:
        yield 1, "a header begins with #pragma once"


def size(source):
    """H1."""
    limit = MAX_TEST_LINES if source.is_test else MAX_LINES
    if len(source.lines) > limit + 1:
        yield 1, f"{len(source.lines)} lines, more than {limit}: it is asking to be two files"


RULES = {
    "co-await": co_await,
    "co-await-arm": co_await_arm,
    "co-await-operand": co_await_operand,
    "detached": detached,
    "lambda-coroutine": lambda_coroutine,
    "coroutine-parameters": coroutine_parameters,
    "threads": threads,
    "clock": clock,
    "throw": no_throw,
    "names": names,
    "file-name": file_name,
    "sleep": no_sleep,
    "todo": todo,
    "pragma-once": pragma_once,
    "size": size,
}
