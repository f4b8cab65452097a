#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Whatever becomes of the agent (restarted, killed, upgraded), its containers do not notice.
set -euo pipefail
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
# shellcheck source=tests/guest/inside/node.sh
source "$BRAMBLE_SOURCE/tests/guest/inside/node.sh"

address=$(container web .status.address)
readonly address
init=$(init_of web)
readonly init
mounts_of_web() { awk '{ print $5 }' "/proc/$init/mountinfo" | sort | sha256sum; }
mounts=$(mounts_of_web)
readonly mounts
group=$(cat "/proc/$init/cgroup")
readonly group

nothing_has_changed() { # after what
  expect_success "the node is back $1" wait_for 60 is node_state ready
  expect_equal "the same init $1" "$(init_of web)" "$init"
  expect_equal "in the same group $1" "$(cat "/proc/$init/cgroup")" "$group"
  expect_equal "its mounts are there $1" "$(mounts_of_web)" "$mounts"
  expect_success "its page is served $1" page_at "$address"
  expect_equal "it is the agent's $1" "$(wait_for 30 is state_of web running && inside web hostname)" web
}

agent_is_new() { # old pid
  [ "$(unit bramble-node ActiveState)" = active ] && [ "$(unit bramble-node MainPID)" != "$1" ]
}

units_are_as_they_should() {
  expect_equal 'only the agent itself is stopped' "$(unit bramble-node KillMode)" process
  expect_equal 'its groups are its own' "$(unit bramble-node Delegate)" yes
  expect_failure 'the lease holder is none of its processes' '' \
    [ "$(unit bramble-lease-holder ControlGroup)" = "$(unit bramble-node ControlGroup)" ]
  expect_success 'the container is in no unit that systemd stops' grep -qvF '.service' <<<"$group"
}

a_restart() {
  local agent
  agent=$(unit bramble-node MainPID)
  systemctl restart bramble-node
  expect_success 'a new agent' agent_is_new "$agent"
  nothing_has_changed 'after a restart'
}

a_kill() {
  local agent holder
  agent=$(unit bramble-node MainPID)
  holder=$(unit bramble-lease-holder MainPID)
  kill -KILL "$agent"
  expect_success 'served with no agent' page_at "$address"
  expect_success 'systemd starts it again' wait_for 30 agent_is_new "$agent"
  nothing_has_changed 'after a kill'
  expect_equal 'the lease holder goes on' "$(unit bramble-lease-holder MainPID)" "$holder"
}

# The same version again, as an upgrade does it.
reinstall() {
  DEBIAN_FRONTEND=noninteractive dpkg --force-confold --install "$BRAMBLE_SOURCE"/packages/*.deb
}

an_upgrade() {
  local agent controller
  agent=$(unit bramble-node MainPID)
  controller=$(unit bramble-controller MainPID)
  expect_success 'dpkg installs over it' reinstall
  expect_success 'a new agent' wait_for 30 agent_is_new "$agent"
  expect_failure 'a new controller' '' [ "$(unit bramble-controller MainPID)" = "$controller" ]
  nothing_has_changed 'after an upgrade'
}

# The agent, and the runtime that it keeps loaded for the next order; nothing of the agents before.
is_the_agents() { # pid agent
  [ "$1" = "$2" ] || [ "$(awk '$1 == "PPid:" { print $2 }' "/proc/$1/status")" = "$2" ]
}
nothing_is_left_in_its_unit() {
  local agent pid
  agent=$(unit bramble-node MainPID)
  while read -r pid; do
    expect_success "$pid in its unit is the agent's" is_the_agents "$pid" "$agent"
  done < <(find "/sys/fs/cgroup$(unit bramble-node ControlGroup)" -name cgroup.procs -exec cat {} +)
}

units_are_as_they_should
a_restart
a_kill
an_upgrade
nothing_is_left_in_its_unit
expect_equal 'no container was started again' "$(container web .status.restarts)" 0
end_of_test
