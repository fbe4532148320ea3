# Finds the commands of PBS. Part of scripts/pbs-job and scripts/lib/tmrsh-agent.
# shellcheck shell=bash

# Appends the folder of PBS's commands to PATH, if a command is not on it: set-up lines may set PATH anew, and PBS does not set
# it on other hosts.
find_pbs() {
    local configuration=${PBS_CONF_FILE:-/etc/pbs.conf} folder=''
    if command -v "$1" >/dev/null; then return; fi
    if [[ -r $configuration ]]; then folder=$(sed -nE 's/^ *PBS_EXEC *= *"?([^"]*)"? *$/\1/p' "$configuration" | tail -n1); fi
    if [[ -x $folder/bin/$1 ]]; then export PATH=$PATH:$folder/bin; fi
}
