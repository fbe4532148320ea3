# Reads the hosts of a PBS job, and finds out what its mpirun supports. Part of scripts/pbs-job.
# not empty where expanded: hosts probe
# shellcheck shell=bash

# Hosts of the job, in order, and ranks on each.
hosts=()
declare -A ranks_on=()

read_hosts() {
    local host
    [[ -r $hosts_file ]] || fail "cannot read the hosts file $hosts_file of PBS (PBS_NODEFILE)"
    while read -r host _; do
        [[ -n $host && $host != '#'* ]] || continue
        if [[ -z ${ranks_on[$host]:-} ]]; then hosts+=("$host"); fi
        ranks_on[$host]=${per_host:-$((${ranks_on[$host]:-0} + 1))}
    done <"$hosts_file"
    [[ ${#hosts[@]} -gt 0 ]] || fail "the hosts file $hosts_file of PBS (PBS_NODEFILE) names no host"
}

# Compares the first labels: one of the names may be fully qualified.
is_this_host() {
    [[ $1 == localhost || ${1%%.*} == "${HOSTNAME%%.*}" ]]
}

total_ranks() {
    local host total=0
    for host in "${hosts[@]}"; do total=$((total + ranks_on[$host])); done
    echo "$total"
}

# `family` is open-mpi or hydra. `pbs_starts` says whether mpirun starts its processes through PBS. `probe` is the command that
# runs another command on a host; empty if there is none.
family='' pbs_starts=false probe=()

inspect_mpirun() {
    local version
    version=$("$mpirun" --version 2>&1) || true
    case $version in
        *'(Open MPI) '[0-9]*) family=open-mpi ;;
        *HYDRA*) family=hydra ;;
        *) fail "$mpirun is neither Open MPI nor MPICH ($(head -n1 <<<"$version")): load the module that bocr was built with, or name mpirun with --mpirun" ;;
    esac
    if [[ $family == open-mpi ]] && knows_pbs; then
        pbs_starts=true
    elif [[ -z ${SLURM_JOB_ID:-} ]]; then
        probe=(ssh -o BatchMode=yes)
    fi
}

knows_pbs() {
    local info answer
    # Open MPI 5 has prte_info.
    for info in "${mpirun%/*}"/{ompi_info,prte_info}; do
        [[ -x $info ]] || continue
        answer=$("$info" --parsable 2>/dev/null) || true
        if [[ $answer == *plm:tm:* ]]; then return; fi
    done
    return 1
}
