#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the node package's scripts have systemd do, in which order.  They run in a mount namespace of their own, where
# systemctl and deb-systemd-invoke write down what they are asked.
set -euo pipefail
: "${BRAMBLE_SOURCE:=$(dirname "$(readlink -f "$0")")/../..}"
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
[ "$(id -u)" -eq 0 ] || skip_test 'needs root'

for name in postinst prerm; do
  sed -e 's/@BRAMBLE_UNITS@/bramble-lease-holder.service bramble-node.service/' \
    -e 's/@BRAMBLE_UNITS_REVERSED@/bramble-node.service bramble-lease-holder.service/' \
    -e 's/@BRAMBLE_SYSUSERS@//' -e 's/@BRAMBLE_TMPFILES@//' \
    "$BRAMBLE_SOURCE/config/debian/$name.in" >"$scratch/$name"
done

mkdir "$scratch/bin"
cat >"$scratch/bin/deb-systemd-invoke" <<'END'
#!/bin/sh
echo "$*" >>"$said"
END
# The lease holder is a process that takes a moment to end all that it holds.
cat >"$scratch/bin/systemctl" <<'END'
#!/bin/sh
case "$*" in
  *is-active*) [ "$agent" = active ] ;;
  *MainPID*) echo "$holder" ;;
  kill*)
    echo "$*" >>"$said"
    kill -USR1 "$holder"
    ;;
esac
END
for name in deb-systemd-helper systemd-tmpfiles systemd-sysusers; do
  printf '#!/bin/sh\n' >"$scratch/bin/$name"
done
chmod 0755 "$scratch"/bin/*

run_script() { # agent script argument…
  : >"$scratch/said"
  agent=$1 said=$scratch/said holder=${holder:-0} PATH=$scratch/bin:$PATH unshare --mount sh -c '
    mount -t tmpfs none /run && mkdir -p /run/systemd/system && exec sh "$@"' - "$scratch/$2" "${@:3}"
}
said() { paste -sd, "$scratch/said"; }

expect_success 'a first installation' run_script active postinst configure ''
expect_equal 'starts both' "$(said)" 'start bramble-lease-holder.service,start bramble-node.service'

expect_success 'an upgrade' run_script active postinst configure 1.0
expect_equal 'restarts the holder last' "$(said)" \
  'start bramble-lease-holder.service,restart bramble-node.service,restart bramble-lease-holder.service'

expect_success 'an upgrade to an agent that does not start' run_script failed postinst configure 1.0
expect_equal 'leaves the holder with all that it holds' "$(said)" \
  'start bramble-lease-holder.service,restart bramble-node.service'

expect_success 'before an upgrade' run_script active prerm upgrade 1.1
expect_equal 'nothing is stopped' "$(said)" ''

said=$scratch/said bash -c 'trap "sleep 0.5; echo ended >>\"\$said\"; exit" USR1
  for ((i = 0; i < 600; i++)); do sleep 0.1; done' &
holder=$!
expect_success 'a removal' run_script active prerm remove
expect_equal 'stops the agent, ends what is held, and then the holder' "$(said)" \
  'stop bramble-node.service,kill --kill-who=main --signal=USR1 bramble-lease-holder.service,ended,stop bramble-lease-holder.service'
kill "$holder" 2>/dev/null || true
wait "$holder" 2>/dev/null || true

private=$(awk '/COMPONENT node/ { on = 1 } on && /SECRET_CONFIG/ { print "yes"; exit } /^\)|SECTION/ { on = 0 }' \
  "$BRAMBLE_SOURCE/config/CMakeLists.txt")
expect_equal 'what may hold a join token is packaged as a secret' "$private" yes
end_of_test
