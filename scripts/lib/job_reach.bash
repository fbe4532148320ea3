# Chooses how commands and their environment reach the other hosts of a PBS job. Part of scripts/pbs-job.
# not empty where expanded: names
# shellcheck shell=bash

# `way` describes how ranks are started. `carrying` has the options of mpirun that send this host's environment to the others.
way='' carrying=()

choose_way() {
    local tmrsh=$project/scripts/lib/tmrsh-agent
    inspect_mpirun
    if "$tmrsh" --find >/dev/null; then probe=("$tmrsh"); else tmrsh=''; fi
    if [[ ${#hosts[@]} -eq 1 ]] && is_this_host "${hosts[0]}"; then
        way="mpirun on this host alone"
    elif $pbs_starts; then
        way="mpirun's own support of PBS"
    elif [[ -n $tmrsh ]]; then
        [[ $tmrsh != *' '* ]] || fail "the path $project contains a blank, and mpirun splits the path of its agent at blanks: move the project to a path without blanks"
        agent=$tmrsh
        way="pbs_tmrsh"
    elif command -v ssh >/dev/null; then
        way="ssh, because pbs_tmrsh is missing"
        # PBS does not kill processes that ssh started.
        say "ssh starts the ranks: PBS does not count the resources of the ranks on other hosts, and does not kill them"
    else
        fail "cannot reach the other hosts: mpirun has no support of PBS, and there is neither pbs_tmrsh nor ssh: ask the site for one of them"
    fi
}

# A remote command gets PATH=/bin:/usr/bin and PBS's variables (pbs_tmrsh), or those of a login (ssh). It does not get the
# variables that the set-up lines of the job exported here, so mpirun must send them. An mpirun with support of PBS sends
# all variables by itself.
choose_carried() {
    local names=() name
    if [[ -z $agent && $way != ssh* ]]; then return; fi
    mapfile -t names < <(compgen -e | grep -vE "$OF_ONE_HOST")
    case $family in
        open-mpi) for name in "${names[@]}"; do carrying+=(-x "$name"); done ;;
        # The launcher sets MPIEXEC_BOCR_LAUNCH; by it `bocr node clean-up` knows the ranks on other hosts.
        hydra) carrying=(-genvlist "$(IFS=, && echo "${names[*]},BOCR_JOB,MPIEXEC_BOCR_LAUNCH")") ;;
    esac
}

# Variables whose value holds for one host or one process only. PBS makes a TMPDIR on each host, and sets it for the
# processes that it starts there. The cgroups hook sets the GPUs of each host.
readonly OF_ONE_HOST='^(TMPDIR|PBS_(NODENUM|TASKNUM|MOMPORT|JOBCOOKIE|NODEFILE|ENVIRONMENT)|NCPUS|OMP_NUM_THREADS|(CUDA|HIP|ROCR|NVIDIA)_VISIBLE_DEVICES|GPU_DEVICE_ORDINAL|HOST|HOSTNAME|PWD|OLDPWD|SHLVL|_|TERM|DISPLAY|XDG_.*|DBUS_.*|SSH_.*|(OMPI|PMIX|PMI|PRTE|ORTE|OPAL|HYD|MPIEXEC|SLURM)_.*)$'
