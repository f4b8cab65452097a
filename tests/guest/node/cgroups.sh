#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Limits are those of cgroup v2: as asked for, changed while it runs, in force, and safe from systemd.
set -euo pipefail
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
# shellcheck source=tests/guest/inside/node.sh
source "$BRAMBLE_SOURCE/tests/guest/inside/node.sh"

readonly mib=$((1024 * 1024))

expect_limits() { # when memory swap weight cpu pids
  expect_equal "memory $1" "$(limit_of limited memory.max)" "$2"
  expect_equal "swap $1" "$(limit_of limited memory.swap.max)" "$3"
  expect_equal "weight $1" "$(limit_of limited cpu.weight)" "$4"
  expect_equal "processor $1" "$(limit_of limited cpu.max)" "$5"
  expect_equal "processes $1" "$(limit_of limited pids.max)" "$6"
}

as_asked_for() {
  expect_equal 'cgroup v2 alone' "$(stat -f -c %T /sys/fs/cgroup)" cgroup2fs
  must 'run' bramble container run limited --image busybox --memory 64MiB --swap 16MiB --cpu 0.5 \
    --cpu-weight 42 --pids 50
  expect_limits 'as asked for' $((64 * mib)) $((16 * mib)) 42 '50000 100000' 50
  expect_equal 'nothing is missing' "$(record limited '.degraded | join(" ")')" ''
}

systemd_leaves_them_alone() {
  systemctl daemon-reload
  systemctl set-property --runtime systemd-logind.service CPUWeight=10
  systemctl restart systemd-logind
  expect_limits 'after systemd has looked at its own groups' $((64 * mib)) $((16 * mib)) 42 '50000 100000' 50
}

they_change_while_it_runs() {
  local init
  init=$(init_of limited)
  expect_success 'change' bramble container limits limited --memory 96MiB --swap 0 --cpu 1.5 --cpu-weight 200 --pids 30
  expect_limits 'changed' $((96 * mib)) 0 200 '150000 100000' 30
  expect_equal 'the same init' "$(init_of limited)" "$init"
  expect_success 'a file in memory' inside limited \
    'mkdir -p /memory && mount -t tmpfs none /memory && dd if=/dev/zero of=/memory/fill bs=1M count=40'
  expect_failure 'no limit below what is in use' 'uses' bramble container limits limited --memory 16MiB
  expect_equal 'the old one stays' "$(limit_of limited memory.max)" $((96 * mib))
  inside limited 'umount /memory'
}

node_says() { bramble-node status | grep -qF "$1"; }

they_are_in_force() {
  local before after init
  init=$(init_of limited)
  # shellcheck disable=SC2016  # It expands in the container.
  expect_failure 'no more processes than allowed' 'fork|Resource' inside limited \
    'i=0; while [ $i -lt 60 ]; do sleep 20 & i=$((i + 1)); done'
  inside limited 'killall sleep' || true
  expect_failure 'more memory than allowed' '' inside limited 'dd if=/dev/zero of=/dev/null bs=200M count=1'
  expect_at_least 'the kernel ended a process for it' \
    "$(awk '$1 == "oom_kill" { print $2 }' "$cgroups/$(id_of limited)/memory.events")" 1
  expect_equal 'not the container' "$(init_of limited)" "$init"
  expect_success 'the node says so' wait_for 20 node_says 'container "limited" ran out of memory'
  expect_success 'less processor' bramble container limits limited --cpu 0.2
  before=$(awk '$1 == "nr_throttled" { print $2 }' "$cgroups/$(id_of limited)/cpu.stat")
  timeout 3 bramble container exec limited -- sh -c 'while :; do :; done' || true
  after=$(awk '$1 == "nr_throttled" { print $2 }' "$cgroups/$(id_of limited)/cpu.stat")
  expect_at_least 'it is held back' "$after" $((before + 1))
}

as_asked_for
systemd_leaves_them_alone
they_change_while_it_runs
they_are_in_force
id=$(id_of limited)
expect_success 'delete' bramble container delete limited
expect_failure 'its group is gone' '' test -e "$cgroups/$id"
end_of_test
