# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Where this machine takes Debian from; host names are no business of ours.  Sourced by what calls mmdebstrap.

readonly debian_suite=bookworm

# The mirror of the release, as apt here is configured.  Only the release itself, without its updates: what is linked
# with its first libraries runs with every later update of them.
debian_mirror() {
  local uri
  # shellcheck disable=SC2016  # apt expands it.
  uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Release: $debian_suite" 'Component: main' |
    sort -u | head -n 1)
  if [ -z "$uri" ]; then
    printf '/etc/apt names no source of Debian %s\n' "$debian_suite" >&2
    return 1
  fi
  printf '%s\n' "$uri"
}

# How apt here reaches it (proxies, checks of dates), as a file for --aptopt.
debian_apt_options() {
  apt-config dump | grep -E '^Acquire::(Check|http|https|Retries)' || true
}
