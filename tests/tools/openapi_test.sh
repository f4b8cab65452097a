#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# api/openapi.yaml describes each route that the controller registers for people, method by method, and none that is
# gone; it lists each code of a problem; and what it promises of repeated writes is what the code does.
set -euo pipefail
: "${BRAMBLE_SOURCE:=$(dirname "$(readlink -f "$0")")/../..}"
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
# shellcheck source=tests/tools/words_of_source.sh
source "$BRAMBLE_SOURCE/tests/tools/words_of_source.sh"
cd "$BRAMBLE_SOURCE"

# "METHOD /path" for each operation; a path that is a YAML alias has the methods of its anchor.
described() {
  awk '
    /^[^ ]/ { in_paths = $1 == "paths:"; next }
    !in_paths { next }
    /^  \// {
      path = $1; sub(/:$/, "", path); anchor = ""
      if ($2 ~ /^&/) anchor = substr($2, 2)
      if ($2 ~ /^\*/) { count = split(methods[substr($2, 2)], each, " "); for (i = 1; i <= count; i++) print each[i], path }
      next
    }
    /^    (get|put|post|patch|delete|head):/ {
      method = toupper($1); sub(/:$/, "", method); print method, path
      if (anchor != "") methods[anchor] = methods[anchor] " " method
    }' api/openapi.yaml | sort -u
}

# The verbs of a route that is registered in a loop: "path/" and each of them.
verbs_of() { # path
  case $1 in
    '/v1/containers/{name}/') sed -nE '/kContainerVerbNames/,/;/p' controller/coordinator_types.h controller/coordinator_containers.h ;;
    '/v1/nodes/{name}/') tr '\n' ' ' <controller/rest/nodes.cc | grep -oE 'verb : \{[^}]*\}' ;;
  esac | grep -oE '"[a-z]+"' | tr -d '"'
}

registered() {
  local method path verb
  find controller/rest -name '*.cc' ! -name '*_test.cc' -print0 | sort -z | xargs -0 cat | tr '\n' ' ' |
    grep -oE '\b(router\.Add|add)\(\s*"[A-Z]+",\s*(StrCat\()?"[^"]+"' | sed -E 's/^[^"]*"([A-Z]+)",[^"]*"([^"]+)"$/\1 \2/' |
    while read -r method path; do
      case $path in
        / | /page.*) ;; # the status page is for browsers
        */) for verb in $(verbs_of "$path"); do echo "$method $path$verb"; done ;;
        *) echo "$method $path" ;;
      esac
    done | sort -u
}

if [ "$(registered | wc -l)" -ge 40 ] && [ "$(described | wc -l)" -ge 40 ]; then
  pass
else
  fail "hardly any route was found: has the way they are written changed?"
fi
expect_equal 'routes that api/openapi.yaml does not describe' "$(comm -23 <(registered) <(described) | paste -sd,)" ''
expect_equal 'operations of api/openapi.yaml that no route answers' "$(comm -13 <(registered) <(described) | paste -sd,)" ''

# The enumeration of schema Problem's `code`.
listed_codes() {
  awk '/^    [A-Za-z]/ { on = $1 == "Problem:" } on && /^        code:/ { in_code = 1; next }
       on && in_code && /^        [a-z]/ { in_code = 0 } on && in_code' api/openapi.yaml | tr '\n' ' ' |
    grep -oE 'enum: \[[^]]*\]' | sed 's/enum: //' | grep -oE '[a-z_]+' | sort -u
}
if [ "$(problem_codes | wc -l)" -ge 20 ]; then
  pass
else
  fail "hardly any code of a problem was found: has the way they are written changed?"
fi
expect_equal 'codes of problems that api/openapi.yaml does not list' \
  "$(comm -23 <(problem_codes | sort -u) <(listed_codes) | paste -sd,)" ''
expect_equal 'codes that api/openapi.yaml lists and no answer bears' \
  "$(comm -13 <(problem_codes | sort -u) <(listed_codes) | paste -sd,)" ''

constant() { # name
  sed -nE "s/.*$1(\{| = )([0-9']+).*/\2/p" controller/coordinator_types.h | tr -d "'"
}
promise=$(tr -s ' \n' ' ' <api/openapi.yaml | grep -oE "A key is known for [0-9]+ hours, or until [0-9,]+ later writes" || true)
expect_equal 'how long the key of a write is known' "$promise" \
  "A key is known for $(constant kIdempotencyKept) hours, or until $(constant kMaxIdempotencyRows | sed -E 's/(...)$/,\1/') later writes"

end_of_test
