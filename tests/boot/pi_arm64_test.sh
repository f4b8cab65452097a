#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A card made by `bramble sdcard build` boots in an emulated Raspberry Pi 3 from its own boot partition, though the power is cut at
# moments of its first boot: it grows, joins a real controller over the emulated network, forgets its secrets, runs a container,
# and does none of that again at its second boot.  With BRAMBLE_LONG the power is cut at a hundred moments.  Needs root, and the
# board's packages (tools/dev/packages arm64).
set -euo pipefail
# shellcheck source=tests/boot/board.sh
source "$BRAMBLE_SOURCE/tests/boot/board.sh"
readonly BOARD_QEMU=qemu-system-aarch64 BOARD_MACHINE=raspi3b BOARD_TREE=bcm2837-rpi-3-b.dtb
readonly board_address=172.16.0.11

board_needs arm64 "$BOARD_QEMU" qemu-aarch64
board_network
card_build pi-arm64 --hostname pi-07 --address "$board_address/24" --label room=b12
debugfs -R "dump /usr/bin/busybox $scratch/busybox" "$image?offset=$(root_partition_start)" 2>/dev/null
chmod 0755 "$scratch/busybox"
"$BRAMBLE_SOURCE/tools/dev/image-busybox" "$scratch/busybox.tar" "$scratch/busybox"
expect_success "import an image" cluster_cli image import "$scratch/busybox.tar" --name busybox --architecture arm64

# The watchdog is armed before anything can hang: by the reset that the emulated board takes it for.
power_on_with_watchdog
expect_success "the watchdog resets the board" board_ends "$boot_limit_s"
expect_success "once systemd has armed it" console_says 'systemd .* running in system mode'
expect_equal "and nothing else does" "$(console_says 'Kernel panic|Reached target' && echo otherwise)" ''
power_off

# Before the root grows; when the agent starts; when the controller has let the node in and it may not have noted that yet.
cut_at() { # moment…
  power_on
  until_board "$@" || fail "the first boot never came to: $*"
  power_off
}
cut_at console_says 'root partition: from'
cut_at console_says 'Bramble node agent'
cut_at node_is_known pi-07

boot_id=$(boot_id_of pi-07)
power_on
expect_success "it joins" until_board has_rebooted pi-07 "$boot_id"
node_json pi-07 >"$scratch/node.json"
expect_equal "its label" "$(jq -r .labels.room "$scratch/node.json")" b12
expect_equal "its pins, by libgpiod" \
  "$(jq -r '.inventory.gpio_chips[] | select(.name == "gpiochip0") | "\(.label) \(.lines)"' "$scratch/node.json")" 'pinctrl-bcm2835 54'
expect_equal "memory is limited, AppArmor is on" "$(jq -r '.inventory | "\(.cgroup_layout) \(.lsm)"' "$scratch/node.json")" \
  'v2 apparmor'
expect_equal "nothing is wrong with it" "$(jq -c '[.conditions[].type]' "$scratch/node.json")" '[]'

expect_success "run a container" cluster_cli container run web --image busybox --group web --timeout 6m
expect_equal "it is an arm64" "$(cluster_cli container exec web -- uname -m)" aarch64
expect_equal "its memory is limited" "$(cluster_cli container exec web -- cat /sys/fs/cgroup/memory.max)" 268435456
expect_success "it serves the cluster" wait_for 60 page_of web
expect_success "its node answers it by name" cluster_cli container exec web -- nslookup web.bramble.internal

# What a card is told to be, asked of the card itself.
facts() { # prints one fact a line
  on_board "$board_address" "$(
    cat <<'END'
printf 'machine %s\n' "$(cat /etc/machine-id)"
printf 'keys %s\n' "$(cat /etc/ssh/ssh_host_ed25519_key.pub)"
printf 'first boot %s\n' "$(systemctl show -p Result --value bramble-first-boot.service)"
printf 'failed %s\n' "$(systemctl list-units --state=failed --plain --no-legend | cut -d ' ' -f 1 | xargs)"
printf 'controllers %s\n' "$(tr ' ' '\n' </sys/fs/cgroup/cgroup.controllers | grep -x memory)"
printf 'root %s\n' "$(findmnt -n -o OPTIONS / | tr ',' '\n' | grep -xE 'noatime|commit=60|prjquota' | sort | xargs)"
printf 'swap %s\n' "$(swapon --noheadings --show=NAME,PRIO | sort | xargs)"
printf 'journal %s\n' "$(find /var/log/journal -name '*.journal' 2>/dev/null | wc -l) on the card"
printf 'watchdog %s\n' "$(systemctl show -p RuntimeWatchdogUSec --value)"
printf 'passwords %s\n' "$(grep -cvE '^[^:]*:[!*]' /etc/shadow)"
printf 'time %s\n' "$(date +%Y)"
printf 'token %s\n' "$(find /var/lib/bramble -name 'join-token*' | wc -l) on the root"
END
  )"
}
facts >"$scratch/facts" || fail "ssh to the board"
fact() { sed -n "s/^$1 //p" "$scratch/facts"; }
expect_equal "first boot" "$(fact 'first boot')" success
expect_equal "units that failed" "$(fact failed)" ''
expect_equal "the memory cgroup" "$(fact controllers)" memory
expect_equal "the root's mount" "$(fact root)" 'commit=60 noatime prjquota'
expect_equal "zram before the card" "$(fact swap)" '/dev/mmcblk0p2 10 /dev/zram0 100'
expect_equal "the journal" "$(fact journal)" '0 on the card'
expect_equal "the watchdog" "$(fact watchdog)" 15s
expect_equal "accounts with a password" "$(fact passwords)" 0
expect_equal "the controller's time" "$(fact time)" "$(date +%Y)"
expect_equal "the join token" "$(fact token)" '0 on the root'
expect_success "the secrets are wiped" until_board on_board "$board_address" '! grep -q brm1 /boot/firmware/bramble.toml'
power_off

expect_equal "the token is wiped from the boot partition" "$(grep -ac brm1 <(mcopy -n -i "$card@@$boot_start" ::/bramble.toml -))" 0
expect_equal "what is no secret stays" "$(boot_partition_text bramble.toml | grep -c '^hostname = "pi-07"')" 1
expect_equal "the root's partition ends with the card" "$(root_partition_end)" "$card_bytes"

# Its second boot, after a power cut and with a bramble.toml that somebody broke: the same node, which does nothing twice and keeps
# what it was told before; its container is back.
printf 'hostname = "pi-99"\nlabels = \n' >"$scratch/broken.toml"
mcopy -o -i "$card@@$boot_start" "$scratch/broken.toml" ::/bramble.toml
cp "$scratch/facts" "$scratch/facts-1"
boot_id=$(boot_id_of pi-07)
power_on
expect_success "it is back" until_board has_rebooted pi-07 "$boot_id"
expect_equal "it is the same node" "$(node_json pi-07 | jq -r .id)" "$(jq -r .id "$scratch/node.json")"
expect_success "its container serves again" wait_for "$boot_limit_s" page_of web
facts >"$scratch/facts" || fail "ssh to the board at its second boot"
expect_equal "the same machine" "$(grep -E '^(machine|keys) ' "$scratch/facts")" "$(grep -E '^(machine|keys) ' "$scratch/facts-1")"
expect_equal "nothing grows twice" "$(console_says 'root partition: from' && echo grew)" ''
expect_equal "its label still" "$(node_json pi-07 | jq -r .labels.room)" b12
expect_equal "what is broken is said" "$(fact failed)" bramble-first-boot.service
blocks=$(on_board "$board_address" 'stat -f -c "%b %S" /' | awk '{ print $1 * $2 }')
expect_success "the root has the size of the card: $blocks bytes" test "$blocks" -gt $((card_bytes - (1 << 30)))
power_off

# A card that was never booted; the node that the one before was is no more.
fresh_card() {
  expect_success "remove the node" cluster_cli node remove pi-07 --force
  card_new
}

# A hundred moments, evenly through what a first boot takes.  Each on a card of its own, which then joins.
if [ -n "${BRAMBLE_LONG:-}" ]; then
  readonly moments=100
  fresh_card
  started=$SECONDS
  power_on
  expect_success "a first boot, timed" until_board is_ready pi-07
  first_boot_s=$((SECONDS - started))
  power_off
  for ((moment = 1; moment <= moments; moment++)); do
    fresh_card
    power_on
    sleep "$(awk -v s="$first_boot_s" -v m="$moment" -v of="$moments" 'BEGIN { printf "%.1f", s * m / of }')"
    power_off
    boot_id=$(boot_id_of pi-07)
    power_on
    expect_success "cut at moment $moment of $moments, it joins" until_board has_rebooted pi-07 "$boot_id"
    power_off
  done
fi
end_of_test
