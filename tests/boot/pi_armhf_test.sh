#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The 32-bit card boots in an emulated Raspberry Pi 2 from its own boot partition, grows and joins.  Its name and a user are what
# Raspberry Pi Imager leaves on a card.  What it does beyond is the 64-bit card's test.  Needs root, and the board's packages (tools/dev/packages armhf).
set -euo pipefail
# shellcheck source=tests/boot/board.sh
source "$BRAMBLE_SOURCE/tests/boot/board.sh"
# Its serial port is the other one; a card says the one of the Pi 3, which it boots too.
readonly BOARD_QEMU=qemu-system-arm BOARD_MACHINE=raspi2b BOARD_TREE=bcm2836-rpi-2-b.dtb BOARD_CONSOLE=console=ttyAMA0,115200
readonly board_address=172.16.0.12

board_needs armhf "$BOARD_QEMU" qemu-arm
board_network
card_build pi-armhf --address "$board_address/24"
# As Imager 2.0.11 writes it.
cat >"$scratch/rpi-preseed.toml" <<END
[system]
hostname = "pi-02"
[user]
name = "juf"
password = "\$6\$salt\$bm90IGEgcGFzc3dvcmQ"
[ssh]
enabled = true
authorized_keys = ["$(cat "$scratch/key.pub")"]
END
mcopy -i "$card@@$boot_start" "$scratch/rpi-preseed.toml" ::/
power_on
expect_success "it joins" until_board is_ready pi-02
node_json pi-02 >"$scratch/node.json"
expect_equal "what it is" "$(jq -r '.inventory | "\(.architecture) \(.cgroup_layout) \(.lsm)"' "$scratch/node.json")" 'armhf v2 apparmor'
expect_equal "its pins, by libgpiod" \
  "$(jq -r '.inventory.gpio_chips[] | select(.name == "gpiochip0") | "\(.label) \(.lines)"' "$scratch/node.json")" 'pinctrl-bcm2835 54'
expect_equal "nothing is wrong with it" "$(jq -c '[.conditions[].type]' "$scratch/node.json")" '[]'
expect_success "the secrets are wiped" until_board on_board "$board_address" '! grep -q brm1 /boot/firmware/bramble.toml'
expect_equal "units that failed" "$(on_board "$board_address" 'systemctl list-units --state=failed --plain --no-legend')" ''
expect_equal "Imager's user" "$(on_board "juf@$board_address" id -un)" juf
power_off
expect_equal "and the hash is wiped" "$(boot_partition_text rpi-preseed.toml | grep -c salt)" 0
expect_equal "the root's partition ends with the card" "$(root_partition_end)" "$card_bytes"
end_of_test
