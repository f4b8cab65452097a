# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the tests of a card in an emulated board share, in place of tests/cluster.sh: `source "$BRAMBLE_SOURCE/tests/boot/board.sh"`.
# A controller, a switch that the board is plugged into, and the board itself, whose power can be cut.  Needs root.
#
#   board_needs arm64 qemu-system-aarch64 qemu-aarch64   skips the test where one is missing, and finds $deb
#   board_network                                        the switch, and a controller that is initialised
#   card_build pi-arm64 --hostname pi-07 …               makes $card, larger than its image, and reads its boot partition
#   power_on, power_off                                  BOARD_MACHINE, BOARD_QEMU and BOARD_TREE say which board

# shellcheck source=tests/cluster.sh
source "$BRAMBLE_SOURCE/tests/cluster.sh"
export PATH=$PATH:/usr/sbin:/sbin SOURCE_DATE_EPOCH=1700000000

# How long the slowest step of a boot may take; a boot takes a minute where two processors are free.
readonly boot_limit_s=600
readonly card_bytes=$((4 << 30))
readonly boot_start=4194304  # bytes: the boot partition's first, on every card
card=
board_pid=
boots=0

also_take_down() {
  [ -z "$board_pid" ] || power_off
  if [ "$checks_failed" -gt 0 ]; then
    # What the consoles and the board's own logs said of the last boot.
    tail -n 40 "$scratch/qemu.log" "$scratch"/console-"$boots"*.log 2>/dev/null | tr -d '\000' || true
  fi
}

board_needs() { # architecture emulator binfmt
  local tool debs
  debs=("$BRAMBLE_SOURCE/build/$1/packages"/bramble-node_*_"$1".deb)
  [ -f "${debs[0]}" ] || skip_test "no $1 packages (tools/dev/packages $1)"
  deb=${debs[0]}
  for tool in "$2" mcopy mmdebstrap sfdisk debugfs e2fsck ssh ssh-keygen; do
    command -v "$tool" >/dev/null || skip_test "$tool is not installed (tools/setup --test)"
  done
  # Emulation of the board's programs, for installing them.
  if [ ! -e "/proc/sys/fs/binfmt_misc/$3" ]; then
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc 2>/dev/null || true
    update-binfmts --enable "$3" >/dev/null 2>&1 || skip_test "this kernel runs no $1 programs (binfmt_misc)"
  fi
}

board_network() {
  network_switch
  network_host controller 172.16.0.1/24
  in_host switch ip tuntap add dev board mode tap
  in_host switch ip link set board master lan up
  expect_success "a controller" controller_up
  # More uses than the card has boots: one may be spent by a join that a power cut makes the card forget.
  cluster_cli token create --max-uses 200 -o name >"$scratch/token"
  ssh-keygen -q -t ed25519 -N '' -f "$scratch/key"
}

# The board is known by its card alone: what is not said here is as `sdcard build` has it.
card_build() { # board flag…
  local name=$1
  shift
  expect_success "build $name" "$BRAMBLE_BIN/bramble" sdcard build --board "$name" --out "$scratch/out" --size 2GiB \
    --swap 64MiB --formats img --deb "$deb" --token-file "$scratch/token" --ssh-key "$scratch/key.pub" "$@"
  image=$scratch/out/bramble-$name.img
  expect_success "the image is good" "$BRAMBLE_BIN/bramble" sdcard verify "$image"
  [ -f "$image" ] || { end_of_test; exit 1; }
  card=$scratch/card.img
  # The board's firmware, played: what it would load from the boot partition.
  mkdir "$scratch/fat"
  mcopy -n -i "$image@@$boot_start" ::/config.txt ::/cmdline.txt "$scratch/fat/"
  kernel=$(sed -n 's/^kernel=//p' "$scratch/fat/config.txt")
  initramfs=$(sed -n 's/^initramfs //p' "$scratch/fat/config.txt")
  mcopy -n -i "$image@@$boot_start" "::/$kernel" "::/$initramfs" "::/$BOARD_TREE" "$scratch/fat/"
  card_new
}

# The card as it is flashed: larger than the image, so that the root has something to grow into.
card_new() {
  cp --sparse=always "$image" "$card"
  truncate -s "$card_bytes" "$card"
}

# Drivers that the emulator has no hardware for, and looking for which costs a minute; and one of the two that take QEMU's network
# adapter, the one that gives it an address and so a name of chance.
readonly left_out=cdc_subset,vc4,bcm2835_v4l2,bcm2835_isp,bcm2835_codec,vchiq,snd_bcm2835,brcmfmac,bluetooth,btbcm,hci_uart

# An emulated board on a busy machine is slower than any real one: its systemd gives up on nothing that goes on.
readonly patience='systemd.default_timeout_start_sec=900 systemd.service_watchdogs=0'

# What the board has not written to its card when the power goes is lost.  Its watchdog is mostly left out, since the
# emulated board takes arming it for a reset (QEMU 7.2, bcm2835_powermgt).
power_on() { power_on_without "$left_out,bcm2835_wdt"; }
power_on_with_watchdog() { power_on_without "$left_out"; }
power_on_without() { # drivers
  boots=$((boots + 1))
  nsenter --net="/run/netns/$CLUSTER_PREFIX-switch" "$BOARD_QEMU" -M "$BOARD_MACHINE" -no-reboot -display none \
    -kernel "$scratch/fat/$kernel" -initrd "$scratch/fat/$initramfs" -dtb "$scratch/fat/$BOARD_TREE" \
    -append "$(cat "$scratch/fat/cmdline.txt") ${BOARD_CONSOLE:-} systemd.show_status=1 $patience module_blacklist=$1" \
    -drive "if=sd,format=raw,cache=writeback,file=$card" \
    -usb -device usb-net,netdev=n0,mac=40:54:00:12:34:57 \
    -netdev tap,id=n0,ifname=board,script=no,downscript=no \
    -serial "file:$scratch/console-$boots.log" -serial "file:$scratch/console-$boots-b.log" >"$scratch/qemu.log" 2>&1 9>&- &
  board_pid=$!
}
power_off() {
  kill -KILL "$board_pid" 2>/dev/null || true
  wait "$board_pid" 2>/dev/null || true
  board_pid=
}

board_ends() { # seconds
  local limit=$((SECONDS + $1))
  while kill -0 "$board_pid" 2>/dev/null; do
    [ "$SECONDS" -lt "$limit" ] || return 1
    sleep 0.2
  done
}

# A board whose emulator ended is not waited for.
until_board() { # condition…
  local limit=$((SECONDS + boot_limit_s))
  while [ "$SECONDS" -lt "$limit" ] && kill -0 "$board_pid" 2>/dev/null; do
    if "$@" >/dev/null 2>&1; then
      return 0
    fi
    sleep 0.5
  done
  return 1
}
console_says() { cat "$scratch/console-$boots"*.log 2>/dev/null | tr -d '\000' | grep -Eq -- "$1"; }
node_json() { cluster_cli node show "$1" -o json; }
node_is_known() { node_json "$1"; }
is_ready() { [ "$(node_state "$1")" = ready ]; }
# Of its last boot that the controller knows of; nothing when it knows of none.
boot_id_of() { node_json "$1" 2>/dev/null | jq -r .inventory.boot_id; }
has_rebooted() { # node boot-id
  local now
  now=$(node_json "$1" | jq -r 'select(.state == "ready").inventory.boot_id')
  [ -n "$now" ] && [ "$now" != "$2" ]
}

# A command on the board, as root if none other is said: on_board 172.16.0.11 'cat /etc/machine-id'.
on_board() {
  local whom=$1
  [[ $whom == *@* ]] || whom=root@$whom
  in_host controller ssh -i "$scratch/key" -o BatchMode=yes -o ConnectTimeout=60 -o UserKnownHostsFile="$scratch/known_hosts" \
    -o StrictHostKeyChecking=accept-new -o LogLevel=ERROR "$whom" "$2" </dev/null
}

# What is on a card whose board is off.
boot_partition_text() { mtype -i "$card@@$boot_start" "::/$1" | tr -d '\r'; }
root_partition_start() { sfdisk -J "$image" | jq '.partitiontable.partitions[2].start * 512'; }
root_partition_end() { sfdisk -J "$card" | jq '.partitiontable.partitions[2] | (.start + .size) * 512'; }
