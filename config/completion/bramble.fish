# SPDX-License-Identifier: Apache-2.0
# Completion of bramble for fish: bramble completion fish | source
function __bramble_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l candidates (bramble __complete -- $words[2..-1] "$current" 2>/dev/null)
    if test "$candidates[1]" = ":files"
        __fish_complete_path "$current"
        return
    end
    printf '%s\n' $candidates
end
complete -c bramble -f -a '(__bramble_complete)'
