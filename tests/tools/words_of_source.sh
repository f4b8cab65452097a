# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Words that the C++ sources say to people and programs, for the tests that compare documents with them.

# The product's C++ sources on one line each, so that a call may be broken over several.
sources() { # directory…
  find "$@" -name '*.cc' ! -name '*_test.cc' ! -name '*testing*' ! -name 'fake_*' -print0 | sort -z |
    while IFS= read -r -d '' file; do
      tr '\n' ' ' <"$file"
      echo
    done
}
found() { grep -oE "$1" | grep -oE '"[a-z][a-z_-]*"' | tr -d '"' | sort -u; }

# Each code of a problem (RFC 9457) that an answer may bear.
problem_codes() {
  grep -ohE 'kCode[A-Za-z]+\[\] = "[a-z_]+"' api/*.h | found '"[a-z_]+"'
  sources api | found 'StatusCode::k[A-Za-z]+, [0-9]+, "[a-z_]+"'
  sources base | grep -oP '\bProblem\((?:[0-9]+|[^;"]*?[0-9]+),\s*(?:[a-z_]+ \? "[a-z_]+" : )?"[a-z_]+"' | found '"[a-z_]+"'
  sources controller node | grep -oP 'WithCode\((?:(?!WithCode).){0,600}?,\s*"[a-z_]+"\)' | grep -oP ',\s*"[a-z_]+"\)$' | found '"[a-z_]+"'
}
