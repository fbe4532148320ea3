# Hosts of a PBS job, and what its mpirun can do by itself. Part of scripts/pbs-job.
# shellcheck shell=bash

# Hosts of the job, in order, and ranks on each.
hosts=()
declare -A ranks_on=()

read_hosts() {
    local host
    [[ -r $hosts_file ]] || fail "cannot read the hosts file $hosts_file"
    while read -r host _; do
        [[ -n $host && $host != '#'* ]] || continue
        if [[ -z ${ranks_on[$host]:-} ]]; then hosts+=("$host"); fi
        ranks_on[$host]=${per_host:-$((${ranks_on[$host]:-0} + 1))}
    done <"$hosts_file"
    [[ ${#hosts[@]} -gt 0 ]] || fail "no host in $hosts_file"
}

# One of the names may be fully qualified.
is_this_host() {
    [[ $1 == localhost || ${1%%.*} == "${HOSTNAME%%.*}" ]]
}

total_ranks() {
    local host total=0
    for host in "${hosts[@]}"; do total=$((total + ranks_on[$host])); done
    echo "$total"
}

# `open-mpi` or `hydra`; whether PBS starts the processes; how a host is asked to run a command (empty: there is no way).
family='' pbs_starts=false probe=()

inspect_mpirun() {
    local version
    version=$("$mpirun" --version 2>&1) || true
    case $version in
        *'(Open MPI) '[0-9]*) family=open-mpi ;;
        *HYDRA*) family=hydra ;;
        *) fail "$mpirun is neither of Open MPI nor of MPICH: $(head -n1 <<<"$version")" ;;
    esac
    if [[ $family == open-mpi ]] && knows_pbs; then
        pbs_starts=true
    elif [[ -z ${SLURM_JOB_ID:-} ]]; then
        probe=(ssh -o BatchMode=yes)
    fi
}

knows_pbs() {
    local info told
    # prte_info is that of Open MPI 5.
    for info in "${mpirun%/*}"/{ompi_info,prte_info}; do
        [[ -x $info ]] || continue
        told=$("$info" --parsable 2>/dev/null) || true
        if [[ $told == *plm:tm:* ]]; then return; fi
    done
    return 1
}
