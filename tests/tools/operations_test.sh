#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# docs/operations.md explains whatever a person can meet: each event of level error, each condition, each degraded
# value and each code of a problem that the source knows has a paragraph or a row there, and none that is gone.
set -euo pipefail
: "${BRAMBLE_SOURCE:=$(dirname "$(readlink -f "$0")")/../..}"
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
# shellcheck source=tests/tools/words_of_source.sh
source "$BRAMBLE_SOURCE/tests/tools/words_of_source.sh"
cd "$BRAMBLE_SOURCE"

readonly document=docs/operations.md

error_events() { sources base api node controller | found '\.Error\(\s*"[a-z_]+"'; }
node_conditions() { sources node | found '\.type = "[a-z-]+"'; }
cluster_conditions() { sources controller | grep -oE 'cluster\.conditions\.push_back\(\s*\{\s*"[a-z-]+"' | found '"[a-z-]+"'; }
degraded_values() {
  sources node/runtime | found 'degraded\.push_back\("[a-z-]+"\)'
  sources node/runtime | found 'settings\.push_back\(\s*\{\s*"[a-z]+"'
}
# The words that a section's list items and table rows begin with.
# shellcheck disable=SC2016  # the backquotes are the document's.
explained() { # heading
  awk -v heading="## $1" '$0 == heading { on = 1; next } /^## / { on = 0 } on && /^(- |\| )`/' "$document" |
    sed -E 's/^(- |\| )//; s/(:|\|).*//' | grep -oE '`[a-z][a-z_-]*`' | tr -d '`' | sort -u
}

compare() { # what heading words…
  local what=$1 heading=$2 known
  known=$(sort -u)
  if [ -n "$known" ]; then
    pass
  else
    fail "$what: none found in the source: has the way they are written changed?"
  fi
  expect_equal "$what that $document does not explain under \"$heading\"" \
    "$(comm -23 <(printf '%s\n' "$known") <(explained "$heading") | paste -sd' ')" ''
  expect_equal "$what that $document explains and the source does not know" \
    "$(comm -13 <(printf '%s\n' "$known") <(explained "$heading") | paste -sd' ')" ''
}

compare 'events of level error' 'Log events of level error' < <(error_events)
compare 'conditions' 'Conditions' < <(node_conditions; cluster_conditions)
expect_equal 'degraded values without a message for people in node/agent/lacking.cc' \
  "$(comm -3 <(degraded_values | sort -u) <(sources node/agent | found '\{"[a-z-]+",\s+"(no|its) ' | sort -u) | paste -sd' ')" ''
compare 'degraded values' 'What a container could not be given' < <(degraded_values)
compare 'problem codes' 'Codes of refused requests' < <(problem_codes)
end_of_test
