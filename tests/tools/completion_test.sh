#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The completion that the command line prints is right for each shell, and completes there.
set -euo pipefail
: "${BRAMBLE_SOURCE:=$(dirname "$(readlink -f "$0")")/../..}"
# shellcheck source=tests/script.sh
source "$BRAMBLE_SOURCE/tests/script.sh"
export PATH=$BRAMBLE_BIN:$PATH HOME=$scratch

for shell in bash zsh fish; do
  command -v "$shell" >/dev/null || skip_test "$shell is not installed: tools/setup --test"
  bramble completion "$shell" >"$scratch/$shell"
  expect_success "$shell takes it" "$shell" -n "$scratch/$shell"
done
expect_failure 'a shell that is not known' 'bash' bramble completion tcsh

bash_completes() {
  # shellcheck disable=SC2016  # for the inner shell
  bash --norc -c 'source "$1"; COMP_WORDS=(bramble container pu); COMP_CWORD=2; _bramble; printf "%s\n" "${COMPREPLY[@]}"' - "$scratch/bash"
}
fish_completes() { fish --no-config -c "source $scratch/fish; complete --do-complete 'bramble container pu'"; }
zsh_loads() { zsh --no-rcs -c "autoload -Uz compinit; compinit -D; source $scratch/zsh; print \${_comps[bramble]}"; }

expect_equal 'bash' "$(bash_completes | sort | paste -sd' ')" 'pull push'
expect_equal 'fish' "$(fish_completes | cut -f 1 | sort | paste -sd' ')" 'pull push'
expect_equal 'zsh' "$(zsh_loads)" _bramble
end_of_test
