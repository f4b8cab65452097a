# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# tools/bench sdcard: an image from a finished root tree, compressed, flashed, flashed again; against what one would use instead.
# Sourced by tools/bench.  BRAMBLE_BENCH_TREE is a root tree (default: some 430 MiB of this machine's /usr); with
# BRAMBLE_BENCH_DEB, a bramble-node package for arm64, the rows of `sdcard build` are measured too: with --long from nothing,
# else with a Debian that an earlier build kept in BRAMBLE_BENCH_CACHE.

# Seconds that a command took, to standard output; its own output goes to the log.
sdcard_seconds() {
  local begin end
  sync
  begin=$(date +%s%N)
  "$@" >>"$sdcard_state/log" 2>&1 || die "$1 failed: $(tail -n 3 "$sdcard_state/log")"
  end=$(date +%s%N)
  awk -v ns=$((end - begin)) 'BEGIN { printf "%.3f\n", ns / 1e9 }'
}

# Two commands in turns, so that what the machine does beside them meets both: the medians are in $ours and $theirs.  The
# file that a command makes is removed before each turn.
sdcard_against() { # our file, their file, our command… -- their command…
  local our_file=$1 their_file=$2 turn
  local -a our_command=()
  shift 2
  while [ "$1" != -- ]; do
    our_command+=("$1")
    shift
  done
  shift
  : >"$sdcard_state/ours"
  : >"$sdcard_state/theirs"
  for ((turn = 0; turn < ${BRAMBLE_BENCH_TURNS:-3}; ++turn)); do
    rm -f "$our_file"
    sdcard_seconds "${our_command[@]}" >>"$sdcard_state/ours"
    rm -f "$their_file"
    sdcard_seconds "$@" >>"$sdcard_state/theirs"
  done
  ours=$(median <"$sdcard_state/ours")
  theirs=$(median <"$sdcard_state/theirs")
}

sdcard_make_tree() {
  sdcard_tree=${BRAMBLE_BENCH_TREE:-}
  if [ -z "$sdcard_tree" ]; then
    sdcard_tree=$sdcard_state/tree
    mkdir -p "$sdcard_tree/usr"
    # What is there everywhere, up to some 430 MiB; the last file of it is cut.
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

# The parts of an image that its block map names, one after the other: what there is to compress.
sdcard_used_bytes() { # image out
  python3 - "$1" "$2" <<'END2'
import re, sys
with open(sys.argv[1], "rb") as image, open(sys.argv[2], "wb") as out:
    text = open(sys.argv[1] + ".bmap").read()
    for first, last in re.findall(r"> (\d+)(?:-(\d+))? </Range>", text):
        image.seek(int(first) * 4096)
        out.write(image.read((int(last or first) - int(first) + 1) * 4096))
END2
}

# What writing only the compressed image takes: making it, less making the raw one.  In turns, since it is a difference.
sdcard_packing() { # format reference command…
  local format=$1 with without
  shift
  : >"$sdcard_state/packing"
  : >"$sdcard_state/theirs"
  for ((turn = 0; turn < ${BRAMBLE_BENCH_TURNS:-3}; ++turn)); do
    rm -f "$image" "$image.$format"
    without=$(sdcard_seconds "$bramble" sdcard assemble "$sdcard_tree" "$sdcard_boot" "$image")
    rm -f "$image"
    with=$(sdcard_seconds "$bramble" sdcard assemble "$sdcard_tree" "$sdcard_boot" "$image" --formats "$format")
    awk -v with="$with" -v without="$without" 'BEGIN { printf "%.3f\n", with - without }' >>"$sdcard_state/packing"
    sdcard_seconds "$@" >>"$sdcard_state/theirs"
  done
  ours=$(median <"$sdcard_state/packing")
  theirs=$(median <"$sdcard_state/theirs")
}

sdcard_flash_rows() {
  local card=$sdcard_state/card card2=$sdcard_state/card2 format
  for format in '' .zst; do
    sdcard_against "$card" "$card2" "$bramble" sdcard flash "$image$format" "$card" \
      -- bmaptool copy --bmap "$image.bmap" "$image$format" "$card2"
    row "sdcard.flash$format" s "$ours" 'bmaptool copy, which reads nothing back' "$theirs" 'ratio <= 1'
  done
  rm -f "$card2"
}

# A card that differs by one package: its largest file has other bytes, and more of them.
sdcard_delta_row() {
  local changed=$sdcard_state/tree-2 victim written
  cp -al "$sdcard_tree" "$changed"
  victim=$(find "$changed" -type f -size +200k -size -400k | LC_ALL=C sort | head -n 1)
  cp "$victim" "$sdcard_state/victim"
  head -c 100000 /dev/urandom >>"$sdcard_state/victim"
  mv -f "$sdcard_state/victim" "$victim"
  "$bramble" sdcard assemble "$changed" "$sdcard_boot" "$sdcard_state/changed.img" >>"$sdcard_state/log"
  "$bramble" sdcard flash "$image" "$sdcard_state/card" >>"$sdcard_state/log"
  written=$("$bramble" sdcard flash --delta "$sdcard_state/changed.img" "$sdcard_state/card" |
    sed -n 's/.*read back, \([0-9.]*[KMG]*i*B\) written.*/\1/p' | sed 's/iB$//; s/B$//' | numfmt --from=iec)
  row sdcard.delta bytes "$written" 'all that is in use' "$(stat -c %s "$sdcard_state/used")" 'ratio <= 0.1'
  rm -rf "$changed" "$sdcard_state/changed.img"*
}

sdcard_build_rows() {
  local cache=${BRAMBLE_BENCH_CACHE:-$sdcard_state/cache} name=0 seconds
  local -a build=("$bramble" sdcard build --board pi-arm64 --deb "$BRAMBLE_BENCH_DEB" --out "$sdcard_state/built")
  "${build[@]}" --cache "$cache" --formats img >>"$sdcard_state/log" 2>&1
  for formats in img zst,imager; do
    "${build[@]}" --cache "$cache" --formats "$formats" >>"$sdcard_state/log" 2>&1
    seconds=$(for ((turn = 0; turn < ${BRAMBLE_BENCH_TURNS:-3}; ++turn)); do
      name=$((name + 1))
      sdcard_seconds "${build[@]}" --cache "$cache" --formats "$formats" --hostname "pi-$name"
    done | median)
    row "sdcard.rebuild ($formats)" s "$seconds" '' '' 'ours <= 5'
  done
  [ -n "$bench_long" ] || return 0
  # From nothing but downloads: the same packages by mmdebstrap alone, which configures all of them emulated.
  local packages
  packages=$(jq -r '[.packages[].name | select(startswith("bramble") | not)] | join(",")' "$sdcard_state/built/bramble-pi-arm64.spdx.json")
  rm -rf "$sdcard_state/cold"
  mkdir "$sdcard_state/cold"
  cp -r "$cache"/debs-* "$sdcard_state/cold/"
  seconds=$(sdcard_seconds "${build[@]}" --cache "$sdcard_state/cold" --formats img)
  row sdcard.cold_build s "$seconds" 'mmdebstrap, the same packages' \
    "$(sdcard_seconds mmdebstrap --variant=minbase --architectures=arm64 --include="$packages" --components=main,non-free-firmware \
      --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --setup-hook='mkdir -p "$1"/var/cache/apt/archives' \
      --setup-hook="sync-in $cache/debs-bookworm-arm64 /var/cache/apt/archives" bookworm "$sdcard_state/plain.tar")" 'ratio <= 0.34'
}

bench_sdcard() {
  # shellcheck disable=SC2154  # tools/bench sets it.
  local bramble=$bench_build/bin/bramble image ours theirs turn
  export PATH=$PATH:/usr/sbin:/sbin SOURCE_DATE_EPOCH=1700000000
  sdcard_state=$(mktemp -d "${TMPDIR:-/var/tmp}/bramble-bench.XXXXXX")
  # shellcheck disable=SC2317
  sdcard_end() { rm -rf "$sdcard_state"; }
  # shellcheck disable=SC2034  # report.sh runs it.
  report_at_end=sdcard_end
  sdcard_make_tree
  image=$sdcard_state/card.img
  local -a assemble=("$bramble" sdcard assemble "$sdcard_tree" "$sdcard_boot" "$image")

  sdcard_against "$image" "$sdcard_state/floor.img" "${assemble[@]}" -- sdcard_mke2fs
  row sdcard.image s "$ours" 'mke2fs -d alone' "$theirs" 'ratio <= 1.5'
  rm -f "$sdcard_state/floor.img"
  if command -v genimage >/dev/null; then
    sdcard_against "$image" "$sdcard_state/none" "${assemble[@]}" -- sdcard_genimage
    row sdcard.image s "$ours" 'genimage, the same contents' "$theirs" 'ratio <= 0.25'
  fi

  sdcard_used_bytes "$image" "$sdcard_state/used"
  sdcard_packing zst zstd -q -3 -T0 -f -k "$sdcard_state/used" -o "$sdcard_state/used.zst"
  row sdcard.zst s "$ours" 'zstd -3 -T0 of the used bytes' "$theirs" 'ratio <= 1.5'
  if [ -n "$bench_long" ]; then
    BRAMBLE_BENCH_TURNS=1 sdcard_packing xz xz -6 -k -c "$image"
    row sdcard.xz s "$ours" 'xz -6 of the whole image' "$theirs" 'ratio <= 0.36'
  fi
  "${assemble[@]}" --formats zst >>"$sdcard_state/log"
  if command -v bmaptool >/dev/null; then
    sdcard_flash_rows
  fi
  sdcard_delta_row
  row sdcard.customise s "$(for ((turn = 0; turn < ${BRAMBLE_BENCH_TURNS:-3}; ++turn)); do
    sdcard_seconds "$bramble" sdcard customise "$image" --hostname pi-07
  done | median)" '' '' 'ours <= 1'
  if [ -n "${BRAMBLE_BENCH_DEB:-}" ]; then
    sdcard_build_rows
  fi
}
