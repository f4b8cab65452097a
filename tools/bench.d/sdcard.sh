# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# tools/bench sdcard: an image from a finished root tree, compressed, flashed; against what one would use instead.
# Sourced by tools/bench.  BRAMBLE_BENCH_TREE is a root tree (default: this machine's /usr/share and /usr/lib, some 400 MiB).

# Seconds that a command took, to standard output; its own output goes to the log.
sdcard_seconds() {
  local begin end
  sync
  begin=$(date +%s%N)
  "$@" >>"$sdcard_state/log" 2>&1 || die "$1 failed: see $sdcard_state/log"
  end=$(date +%s%N)
  awk -v ns=$((end - begin)) 'BEGIN { printf "%.3f\n", ns / 1e9 }'
}

# The median of some turns of a command that makes the file, which is removed before each.
sdcard_turns() { # file command…
  local file=$1 turn
  shift
  for ((turn = 0; turn < ${BRAMBLE_BENCH_TURNS:-3}; ++turn)); do
    rm -f "$file"
    sdcard_seconds "$@"
  done | median
}

sdcard_make_tree() {
  sdcard_tree=${BRAMBLE_BENCH_TREE:-}
  if [ -z "$sdcard_tree" ]; then
    sdcard_tree=$sdcard_state/tree
    mkdir -p "$sdcard_tree/usr"
    # What is there everywhere, up to some 430 MiB.
    tar -C /usr -c --exclude='*.a' lib/x86_64-linux-gnu share/doc share/perl lib/python3 2>/dev/null |
      head -c 450000000 | tar -C "$sdcard_tree/usr" -x 2>/dev/null || true
  fi
  sdcard_boot=$sdcard_state/boot
  mkdir -p "$sdcard_boot"
  head -c 57000000 /dev/urandom >"$sdcard_boot/vmlinuz"
  printf 'kernel=vmlinuz\n' >"$sdcard_boot/config.txt"
}

sdcard_mke2fs() {
  truncate -s 31998345216 "$sdcard_state/floor.img"
  mke2fs -q -F -t ext4 -b 4096 -I 256 -i 65536 -J size=32 -E offset=1614807040,nodiscard -d "$sdcard_tree" \
    "$sdcard_state/floor.img" 29671424k
}

sdcard_genimage() {
  rm -rf "$sdcard_state/genimage"
  mkdir -p "$sdcard_state/genimage/"{root,input,tmp}
  cat >"$sdcard_state/genimage/config" <<'END2'
image boot.vfat { vfat { files = { "vmlinuz", "config.txt" } } size = 512M }
image root.ext4 { ext4 { use-mke2fs = true } mountpoint = "/" size = 28976M }
image card.img {
  hdimage { partition-table-type = "mbr" align = 4M }
  partition boot { partition-type = 0xC image = "boot.vfat" }
  partition root { partition-type = 0x83 image = "root.ext4" }
}
END2
  genimage --config "$sdcard_state/genimage/config" --rootpath "$sdcard_tree" --inputpath "$sdcard_boot" \
    --tmppath "$sdcard_state/genimage/tmp" --outputpath "$sdcard_state/genimage/out"
  rm -rf "$sdcard_state/genimage"
}

# Only what is in use, as one stream: what compressing costs when no hole is looked at.
sdcard_zstd_used() {
  { find "$sdcard_tree" -type f -print0 | xargs -0 cat; cat "$sdcard_boot"/*; head -c 134217728 /dev/zero; } | zstd -q -3 -T0 -c >"$sdcard_state/used.zst"
}

bench_sdcard() {
  # shellcheck disable=SC2154  # tools/bench sets it.
  local bramble=$bench_build/bin/bramble image seconds
  export PATH=$PATH:/usr/sbin:/sbin SOURCE_DATE_EPOCH=1700000000
  sdcard_state=$(mktemp -d "${TMPDIR:-/var/tmp}/bramble-bench.XXXXXX")
  # shellcheck disable=SC2317
  sdcard_end() { rm -rf "$sdcard_state"; }
  # shellcheck disable=SC2034  # report.sh runs it.
  report_at_end=sdcard_end
  sdcard_make_tree
  image=$sdcard_state/card.img

  seconds=$(sdcard_turns "$image" "$bramble" sdcard assemble "$sdcard_tree" "$sdcard_boot" "$image")
  row sdcard.image s "$seconds" 'mke2fs -d alone' "$(sdcard_turns "$sdcard_state/floor.img" sdcard_mke2fs)" 'ratio <= 1.5'
  if command -v genimage >/dev/null; then
    row sdcard.image_genimage s "$seconds" genimage "$(sdcard_turns "$sdcard_state/none" sdcard_genimage)" 'ratio <= 0.25'
  fi
  rm -f "$sdcard_state/floor.img"

  local with_zst
  with_zst=$(sdcard_turns "$image.zst" "$bramble" sdcard assemble "$sdcard_tree" "$sdcard_boot" "$image" --formats zst)
  row sdcard.zst s "$(awk -v a="$with_zst" -v b="$seconds" 'BEGIN { print a - b }')" 'zstd -3 of the used bytes alone' \
    "$(sdcard_turns "$sdcard_state/used.zst" sdcard_zstd_used)" 'ratio <= 1.5'
  if command -v bmaptool >/dev/null; then
    row sdcard.flash s "$(sdcard_turns "$sdcard_state/card" "$bramble" sdcard flash "$image" "$sdcard_state/card")" \
      'bmaptool copy, which reads nothing back' \
      "$(sdcard_turns "$sdcard_state/card2" bmaptool copy --bmap "$image.bmap" "$image" "$sdcard_state/card2")" 'ratio <= 1'
    rm -f "$sdcard_state/card2"
    row sdcard.flash_zst s "$(sdcard_turns "$sdcard_state/card" "$bramble" sdcard flash "$image.zst" "$sdcard_state/card")" \
      'bmaptool copy of it' \
      "$(sdcard_turns "$sdcard_state/card2" bmaptool copy --bmap "$image.bmap" "$image.zst" "$sdcard_state/card2")" 'ratio <= 1'
  fi
  row sdcard.customise s "$(sdcard_turns "$sdcard_state/none" "$bramble" sdcard customise "$image" --hostname pi-07)" 'a second' 1 'ours <= 1'
}
