#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What containers are told at their first start: keys, users, scripts, variables and secrets, in busybox without an agent of
# ours and in Debian with its own cloud-init; over restarts, a rebuild, a drain and a controller that is away.  Needs root.
set -euo pipefail
: "${BRAMBLE_SOURCE:=$(dirname "$(readlink -f "$0")")/../..}"
# shellcheck source=tests/cluster.sh
source "$BRAMBLE_SOURCE/tests/cluster.sh"

readonly canary=canary-$$-7319

bring_up() {
  network_switch
  network_host controller 172.16.0.1/24
  controller_up
  nodes_up 2
  busybox_image
  cluster_cli image import "$scratch/busybox.tar" --name mute --label context=none
  cluster_cli node cordon node-2  # so that the first ones go to the other, and may leave it
}

inside() { # container command…
  local name=$1
  shift
  cluster_cli container exec "$name" -- "$@"
}
condition() { container "$1" ".status.conditions[]? | select(.type == \"$2\").message"; } # container type
no_contexts_on() { [ -z "$(find "$CLUSTER_STATE/node-$1/state/contexts" -type f)" ]; }             # number
ended() { case $(condition "$1" first-start) in *"exit code $2"*) ;; *) return 1 ;; esac }   # container code

make_files() {
  ssh-keygen -q -t ed25519 -N '' -C ada@lab -f "$scratch/ada"
  ssh-keygen -q -t ed25519 -N '' -C bob@lab -f "$scratch/bob"
  cat >"$scratch/setup.sh" <<'END'
#!/bin/sh
echo "out of setup"
echo ran >>/root/setup
hostname >/root/name
END
  printf '#!/bin/sh\nexit 3\n' >"$scratch/fails.sh"
  printf '#cloud-config\nlocale: C.UTF-8\nwrite_files: [{path: /root/from-config, content: "it is"}]\n' >"$scratch/config.yaml"
  printf '%s' "$canary" >"$scratch/secret"
}

keys_have_names() {
  expect_success 'add' cluster_cli key add ada "$scratch/ada.pub"
  expect_equal 'its fingerprint' "$(cluster_cli key list -o json | jq -r '.items[0].fingerprint')" \
    "$(ssh-keygen -lf "$scratch/ada.pub" | awk '{print $2}')"
  expect_failure 'a private one' 'private key' cluster_cli key add bad "$scratch/ada"
  expect_failure 'an unknown one' 'key "eve"' cluster_cli container run eve --image busybox --key eve
}

busybox_has_a_minimal_first_start() {
  expect_success 'run' cluster_cli container run plain --image busybox --key ada --user ada \
    --context "x-shellscript,$scratch/setup.sh" --context "ssh,$scratch/bob.pub" \
    --set "ONEAPP_SITE=it's \$HOME" --set-secret "db=$scratch/secret"
  expect_success 'its script ran' wait_for 60 ended plain 0
  expect_equal 'once, in it' "$(inside plain cat /root/setup /root/name | paste -sd' ')" 'ran plain'
  expect_equal 'its output is in a log there' "$(inside plain cat /var/log/bramble-first-start.log | tail -n 1)" 'out of setup'
  expect_equal 'the keys are the user'"'"'s' "$(inside plain cat /home/ada/.ssh/authorized_keys)" \
    "$(cat "$scratch/ada.pub" "$scratch/bob.pub")"
  expect_equal 'and theirs alone' "$(inside plain stat -c '%u %a' /home/ada/.ssh/authorized_keys)" '1000 600'
  expect_equal 'a user of the container' "$(inside plain id -u ada)" 1000
  # shellcheck disable=SC2016  # the container's shell expands it, or rather not.
  expect_equal 'its variables' "$(inside plain sh -c '. /context/context.sh; echo "$ONEAPP_SITE $SET_HOSTNAME"')" "it's \$HOME plain"
  expect_equal 'its secret' "$(inside plain cat /context/secrets/db)" "$canary"
  expect_equal 'is root'"'"'s alone' "$(inside plain stat -c '%u:%g %a' /context /context/secrets /context/secrets/db /context/context.sh |
    paste -sd' ')" '0:0 700 0:0 700 0:0 600 0:0 600'
  expect_equal 'no cloud-init, no seed' "$(inside plain ls /var/lib/cloud 2>/dev/null)" ''
}

what_a_script_ends_with_is_seen() {
  expect_success 'run' cluster_cli container run fails --image busybox --user-data "$scratch/fails.sh" \
    --vendor-data "$scratch/config.yaml"
  expect_success 'its code is shown' wait_for 60 ended fails 3
  expect_success 'what its image cannot use too' grep -q 'vendor data' <<<"$(condition fails context-unused)"
  expect_success 'a label says that an image is told nothing' cluster_cli container run mute --image mute --key ada \
    --context "x-shellscript,$scratch/setup.sh"
  expect_success 'which is said' grep -q 'ssh keys' <<<"$(condition mute context-unused)"
  expect_equal 'and nothing is there' "$(inside mute ls -A /root)" ''
}

a_restart_keeps_it_and_a_rebuild_does_it_anew() {
  inside plain sh -c 'echo mine >>/root/setup; rm /home/ada/.ssh/authorized_keys'
  expect_success 'restart' cluster_cli container restart plain
  expect_success 'it ran once' wait_for 10 ended plain 0
  expect_equal 'nothing is done twice' "$(inside plain cat /root/setup | paste -sd' ')" 'ran mine'
  expect_failure 'what was removed stays so' '' inside plain test -e /home/ada/.ssh/authorized_keys
  expect_success 'the name may go' cluster_cli key delete ada
  expect_success 'rebuild' cluster_cli container rebuild plain
  expect_success 'the script ran anew' wait_for 60 ended plain 0
  expect_equal 'on a fresh layer' "$(inside plain cat /root/setup)" ran
  expect_success 'with the key of then' inside plain grep -q ada@lab /home/ada/.ssh/authorized_keys
}

it_goes_where_the_container_goes() {
  inside plain sh -c 'echo moved >>/root/setup'
  cluster_cli node restore node-2
  expect_success 'drain' cluster_cli node drain node-1
  expect_success 'it runs there' wait_for 60 is_on plain node-2
  expect_equal 'with what it wrote, and no script again' "$(inside plain cat /root/setup | paste -sd' ')" 'ran moved'
  expect_equal 'the other node has its context' \
    "$(find "$CLUSTER_STATE/node-2/state/contexts" -type f -printf '%m\n' | sort -u)" 600
  expect_success 'a rebuild there has it' cluster_cli container rebuild plain
  expect_success 'again' wait_for 60 ended plain 0
  expect_success 'the first node has forgotten it' wait_for 20 no_contexts_on 1
}

a_node_starts_it_with_no_controller() {
  kill_program controller bramble-controller
  hosts_kill node-2
  host_boot node-2
  start_daemon node-2 bramble-lease-holder --socket "$CLUSTER_STATE/node-2/run/lease.sock"
  start_daemon node-2 bramble-node --config "$CLUSTER_STATE/node-2/node.toml"
  runs_again() { [ -n "$(inits_of "$plain_id" node-2)" ]; }
  expect_success 'it runs' wait_for 60 runs_again
  controller_start
  expect_success 'the node is back' wait_for 60 is node_state node-2 ready
  expect_equal 'with its secret' "$(inside plain cat /context/secrets/db)" "$canary"
}

nobody_else_sees_a_secret() {
  local text
  text=$(for object in container event operation; do cluster_cli "$object" list -o json; done
    cat "$CLUSTER_STATE"/log/*.log "$CLUSTER_STATE"/node-*/state/desired.? "$CLUSTER_STATE"/node-2/state/containers/*/record.json)
  expect_success 'there is much to look at' grep -q "$plain_id" <<<"$text"
  expect_equal 'in answers, logs, journals and records' "$(grep -c "$canary\|$(printf '%s' "$canary" | base64)" <<<"$text")" 0
  expect_equal 'no file of theirs is open to others' "$(find "$CLUSTER_STATE"/node-*/state/contexts -perm /077 | wc -l)" 0
}

debian_has_its_own_cloud_init() {
  "$BRAMBLE_SOURCE/tools/dev/image-debian" "$scratch/debian.tar.zst" "$(dpkg --print-architecture)" cloud-init
  cluster_cli image import "$scratch/debian.tar.zst" --name debian --tag cloud
  expect_success 'run' cluster_cli container run cloudy --image debian:cloud --flavor medium --key ada2 \
    --context "x-shellscript,$scratch/setup.sh" --context "cloud-config,$scratch/config.yaml" --user carol \
    --set-secret "db=$scratch/secret" --group web --timeout 5m
  is_done() { case $(inside cloudy cloud-init status 2>/dev/null) in *'status: done'*) ;; *) return 1 ;; esac }
  expect_success 'cloud-init is done' wait_for 300 is_done
  expect_success 'it says so itself' inside cloudy cloud-init status --wait
  expect_equal 'our seed' "$(inside cloudy cat /run/cloud-init/result.json | jq -r '.v1.datasource')" \
    'DataSourceNoCloud [seed=/var/lib/cloud/seed/nocloud][dsmode=net]'
  expect_equal 'no error' "$(inside cloudy cat /run/cloud-init/result.json | jq -c '.v1.errors')" '[]'
  expect_equal 'the script ran' "$(inside cloudy cat /root/setup /root/name | paste -sd' ')" 'ran cloudy'
  expect_equal 'the configuration too' "$(inside cloudy cat /root/from-config)" 'it is'
  expect_equal 'the key is the user'"'"'s' "$(inside cloudy cat /home/carol/.ssh/authorized_keys)" "$(cat "$scratch/ada.pub")"
  expect_success 'and of the image'"'"'s own' inside cloudy grep -q ada@lab /home/debian/.ssh/authorized_keys
  expect_equal 'the seed is root'"'"'s alone' \
    "$(inside cloudy sh -c 'stat -c %a /var/lib/cloud/seed/nocloud/*' | sort -u)" 600
  expect_equal 'its name' "$(inside cloudy hostname)" cloudy
  expect_equal 'its address' "$(inside cloudy ip -4 -o address show dev eth0 | awk '{print $4}')" "$(address_of cloudy)/24"
  expect_success 'is reached' wait_for 20 page_of cloudy
  expect_equal 'the instance' "$(inside cloudy cat /var/lib/cloud/data/instance-id)" "bramble-$(container cloudy .id)-0"
}

cloud_init_does_it_once_and_anew_after_a_rebuild() {
  expect_success 'restart' cluster_cli container restart cloudy --timeout 5m
  expect_success 'cloud-init is done' wait_for 300 is_done
  expect_equal 'no script again' "$(inside cloudy cat /root/setup)" ran
  expect_success 'rebuild' cluster_cli container rebuild cloudy --timeout 5m
  expect_success 'cloud-init is done' wait_for 300 is_done
  expect_equal 'another instance' "$(inside cloudy cat /var/lib/cloud/data/instance-id)" "bramble-$(container cloudy .id)-1"
  expect_equal 'the script ran' "$(inside cloudy cat /root/setup)" ran
}

what_goes_takes_its_context_along() {
  local name
  for name in plain fails mute cloudy; do
    expect_success "delete $name" cluster_cli container delete "$name"
  done
  expect_success 'no context is left on a node' wait_for 20 no_contexts_on 2
  expect_equal 'nor on the controller' \
    "$(sqlite3 "$CLUSTER_STATE"/controller/state/*.db 'SELECT count(*) FROM contexts')" 0
}

bring_up
make_files
keys_have_names
busybox_has_a_minimal_first_start
what_a_script_ends_with_is_seen
a_restart_keeps_it_and_a_rebuild_does_it_anew
it_goes_where_the_container_goes
plain_id=$(container plain .id)
nobody_else_sees_a_secret
a_node_starts_it_with_no_controller
cluster_cli key add ada2 "$scratch/ada.pub"
cluster_cli node restore node-1
debian_has_its_own_cloud_init
cloud_init_does_it_once_and_anew_after_a_rebuild
what_goes_takes_its_context_along
end_of_test
