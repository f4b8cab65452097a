#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What goes wrong while a card is built: packages and mirrors that are not there, a full disk, builds that are killed, a user who
# is not root.  With a Debian of a few MiB (mirror.sh).  Needs root, for a small disk and another user.
# shellcheck disable=SC2016  # inner shells expand them.
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
# shellcheck source=tests/image/mirror.sh
source "$BRAMBLE_SOURCE/tests/image/mirror.sh"
export PATH=$PATH:/usr/sbin:/sbin SOURCE_DATE_EPOCH=1700000000

[ "$(id -u)" -eq 0 ] || skip_test "not root"
for tool in mmdebstrap sfdisk setpriv debugfs; do
  command -v "$tool" >/dev/null || skip_test "$tool is not installed (tools/setup --test)"
done
bramble=$BRAMBLE_BIN/bramble
make_mirror "$scratch/mirror"

build() { # cache out options…
  local cache=$1 to=$2
  shift 2
  "$bramble" sdcard build --board pi-arm64 --mirror "${source:-$(mirror_source)}" --deb "$(mirror_deb)" --cache "$cache" \
    --size 1GiB --swap 64MiB --formats img --out "$to" "$@"
}
files_in() { find "$1" -type f 2>/dev/null | wc -l; }

expect_failure "a package that there is not" 'Unable to locate package no-such-thing.*--packages' \
  build "$scratch/cache" "$scratch/none" --packages no-such-thing
source='http://127.0.0.1:9/debian'
expect_failure "a dead mirror" 'the mirror does not answer: .*127\.0\.0\.1' build "$scratch/cache" "$scratch/none"
source=
expect_equal "neither leaves anything" "$(files_in "$scratch/none") $(find "$scratch/cache" -maxdepth 1 \( -name 'base-*.tar*' -o -name 'tree-*' -o -name work \) | wc -l)" "0 0"

# A layer that is wrong is refused by file, line and key, before anything is installed.
mkdir "$scratch/layer"
printf 'packages = ["nano"]\nenabel = ["x.service"]\n' >"$scratch/layer/layer.toml"
expect_failure "a wrong layer" 'layer.toml:2.*enabel' build "$scratch/cache" "$scratch/none" --layer "$scratch/layer"
expect_failure "no layer" 'nowhere/layer.toml' build "$scratch/cache" "$scratch/none" --layer "$scratch/nowhere"
printf 'settings = 7\n' >"$scratch/m.toml"
expect_failure "a wrong type in a manifest" 'm.toml:1: key "settings"' "$bramble" sdcard build --manifest "$scratch/m.toml"
expect_failure "no package of ours" 'there is no such file' "$bramble" sdcard build --board pi-arm64 --deb "$scratch/none.deb"

# Killed at any moment: no process, no mount, and the next run is fine.
printf '%s' "$scratch/killed" >"$scratch/pattern"  # in a file, so that grep does not find itself
processes() { grep -lF -f "$scratch/pattern" /proc/[0-9]*/cmdline 2>/dev/null || true; }
mounts() { grep -cF "$scratch/killed" /proc/self/mountinfo || true; }
nothing_runs() { [ -z "$(processes)" ]; }
wait_until() { # command…
  local tries
  for ((tries = 0; tries < 1200; ++tries)); do
    if "$@"; then return 0; fi
    sleep 0.1
  done
  return 1
}
kill_when() { # signal command…: what is true when it is to be killed
  local signal=$1 victim status=0
  shift
  # A shell has its background ignore SIGINT; a person's terminal does not.
  env --default-signal=INT "$bramble" sdcard build --board pi-arm64 --mirror "$(mirror_source)" --deb "$(mirror_deb)" --cache "$scratch/killed" \
    --size 1GiB --swap 64MiB --formats zst --out "$scratch/killed/out" >/dev/null 2>&1 &
  victim=$!
  wait_until "$@" || fail "never happened: $*"
  kill -"$signal" "$victim" 2>/dev/null || true
  wait "$victim" 2>/dev/null || status=$?
  expect_equal "it ended by SIG$signal at $*" "$status" $((128 + $(kill -l "$signal")))
  wait_until nothing_runs || fail "processes are left after SIG$signal: $(processes)"
  expect_equal "no mount is left after SIG$signal at $*" "$(mounts)" 0
}
there_is() { compgen -G "$1" >/dev/null; }
mkdir "$scratch/killed"
kill_when KILL there_is "$scratch/killed/work/mmdebstrap.*/var/lib/apt/lists/*Packages*"  # mmdebstrap, its mounts made
kill_when INT there_is "$scratch/killed/work/mmdebstrap.*/usr/bin/dpkg"                   # packages are being unpacked
kill_when KILL there_is "$scratch/killed/work/mmdebstrap.*/var/lib/dpkg/info/*.list"      # and configured
kill_when KILL there_is "$scratch/killed/tree-*.part/usr"                                 # composing the tree
kill_when INT there_is "$scratch/killed/out/*.part"                                       # writing the image
expect_success "the next run" build "$scratch/killed" "$scratch/killed/out"
expect_success "is good" "$bramble" sdcard verify "$scratch/killed/out/bramble-pi-arm64.img"
expect_equal "nothing half made is left" "$(find "$scratch/killed" -name '*.part' -o -name work | wc -l)" 0

# Two at once.
(
  flock 9
  expect_failure "two builds in one cache" 'another build is under way' build "$scratch/killed" "$scratch/none"
  [ "$checks_failed" -eq 0 ]
) 9>"$scratch/killed/lock" || checks_failed=$((checks_failed + 1))

# A disk that is full in the middle: said so, and what is partial is gone.
cat >"$scratch/with_small_disk" <<'END'
#!/bin/bash
# with_small_disk DIRECTORY MiB COMMAND…: the directory is a small disk while the command runs; what images it leaves is said.
directory=$1 status=0
mount -t tmpfs -o "size=$2M" tmpfs "$directory" || exit 99
shift 2
"$@" || status=$?
find "$directory" -type f \( -name '*.img*' -o -name 'base-*.tar*' -o -path '*/tree-*' -o -path '*/work/*' \) | sed 's/^/left: /'
exit $status
END
mkdir "$scratch/full"
on_small_disk() { # name MiB cache out
  local output status=0
  output=$(unshare --mount bash "$scratch/with_small_disk" "$scratch/full" "$2" "$bramble" sdcard build --board pi-arm64 \
    --mirror "$(mirror_source)" --deb "$(mirror_deb)" --cache "$3" --size 1GiB --swap 64MiB --formats zst --out "$4" 2>&1) || status=$?
  expect_equal "$1 on a disk of $2 MiB fails: $output" "$status" 1
  expect_equal "$1 says why: $output" "$(grep -ciE 'no space left|disk is full' <<<"$output" | sed 's/^[1-9].*/some/')" some
  expect_equal "$1 leaves nothing: $output" "$(grep -c '^left: ' <<<"$output")" 0
}
on_small_disk "the image" 2 "$scratch/killed" "$scratch/full/out"      # among the boot files
on_small_disk "the image" 15 "$scratch/killed" "$scratch/full/out"     # in the root
# What the image takes there, and not the MiB that the packed one needs beside it.
image_mib=$(unshare --mount bash "$scratch/with_small_disk" "$scratch/full" 200 bash -c '"$@" >/dev/null 2>&1 && du -m "$0"' \
  "$scratch/full/out/bramble-pi-arm64.img" "$bramble" sdcard build --board pi-arm64 --mirror "$(mirror_source)" --deb "$(mirror_deb)" \
  --cache "$scratch/killed" --size 1GiB --swap 64MiB --formats img --out "$scratch/full/out" | sed -n '1s/[^0-9].*//p')
on_small_disk "what is packed" $((${image_mib:-0} + 1)) "$scratch/killed" "$scratch/full/out"
on_small_disk "the cache" 4 "$scratch/full/cache" "$scratch/none"      # downloads
on_small_disk "the cache" 30 "$scratch/full/cache" "$scratch/none"     # installing

# Without root: the same bytes.  A user of this test's own, with a range of ids.
user_range=300000
cat >"$scratch/as_user" <<'END'
#!/bin/bash
set -eu
scratch=$1 range=$2
shift 2
for file in passwd subuid subgid; do
  cp "/etc/$file" "$scratch/$file"
done
printf 'builder:x:20077:20077::%s/home:/bin/sh\n' "$scratch" >>"$scratch/passwd"
printf 'builder:%s:65536\n' "$range" >"$scratch/subuid"
cp "$scratch/subuid" "$scratch/subgid"
for file in passwd subuid subgid; do mount --bind "$scratch/$file" "/etc/$file"; done
exec setpriv --reuid 20077 --regid 20077 --clear-groups env HOME="$scratch/home" PATH=/usr/bin:/bin "$@"
END
mkdir -p "$scratch/home/cache" "$scratch/home/out"
chown -R 20077:20077 "$scratch/home"
chmod 0755 "$scratch"
if unshare --mount bash "$scratch/as_user" "$scratch" "$user_range" unshare --user --map-root-user --map-auto true 2>/dev/null; then
  expect_success "build without root" unshare --mount bash "$scratch/as_user" "$scratch" "$user_range" \
    "$bramble" sdcard build --board pi-arm64 --mirror "$(mirror_source)" --deb "$(mirror_deb)" --cache "$scratch/home/cache" \
    --size 1GiB --swap 64MiB --formats img --out "$scratch/home/out"
  expect_success "the same image" cmp "$scratch/home/out/bramble-pi-arm64.img" "$scratch/killed/out/bramble-pi-arm64.img"
  expect_equal "and it is the user's" "$(stat -c %u "$scratch/home/out/bramble-pi-arm64.img")" 20077
  expect_failure "a user without a range of ids" 'subuid' unshare --mount bash "$scratch/as_user" "$scratch" "" \
    "$bramble" sdcard build --board pi-arm64 --deb "$(mirror_deb)" --cache "$scratch/home/cache" --out "$scratch/home/out"
else
  skip_part='this kernel allows no user namespaces: building without root is not tested'
  printf 'note: %s\n' "$skip_part"
fi
end_of_test
