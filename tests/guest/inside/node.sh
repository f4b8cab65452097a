# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What a case about a node asks and waits for.  Sourced after tests/script.sh; the controller and a node run in this very
# guest, installed from the packages.

readonly node_address=172.16.0.11
readonly node_state=/var/lib/bramble/node
readonly cgroups=/sys/fs/cgroup/bramble

# Waits, so many seconds at most, until the command succeeds.
wait_for() { # seconds command…
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || { "$@"; return; }
    sleep 0.5
  done
}

is() { [ "$("${@:1:$#-1}")" = "${!#}" ]; } # command… expected

container() { bramble container show "$1" -o json | jq -r "$2"; } # name jq-path
id_of() { container "$1" .id; }
state_of() { container "$1" .status.state; }
node_state() { bramble node show guest -o json | jq -r .state; }
unit() { systemctl show --property "$2" --value "$1"; } # unit property

record() { jq -r "$2" "$node_state/containers/$(id_of "$1")/record.json"; } # container jq-path

# The init of a container, as the guest numbers it: process 1 of its own PID namespace.  Needs no controller.
init_of_id() { # container id
  local pid
  while read -r pid; do
    if awk '$1 == "NSpid:" { exit !(NF == 3 && $3 == 1) }' "/proc/$pid/status" 2>/dev/null; then
      printf '%s\n' "$pid"
      return 0
    fi
  done < <(find "$cgroups/$1" -name cgroup.procs -exec cat {} + 2>/dev/null)
  return 1
}
init_of() { init_of_id "$(id_of "$1")"; }

# One setting of a container's cgroup.
limit_of() { cat "$cgroups/$(id_of "$1")/$2"; } # container file

inside() { bramble container exec "$1" -- sh -c "$2"; } # container script
page_at() { curl -sf --max-time 5 "http://$1/"; }

expect_at_least() { # name actual least
  if [ "$2" -ge "$3" ]; then
    pass
  else
    fail "$1: $2, less than $3"
  fi
}

# As expect_success, for what all that follows needs.
must() { # name command…
  local failed=$checks_failed
  expect_success "$@"
  [ "$checks_failed" -eq "$failed" ] || { end_of_test; exit 1; }
}
