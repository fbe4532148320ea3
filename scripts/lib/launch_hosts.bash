# Hosts and mpirun: which hosts ranks are started on, and the command line that does it. Part of scripts/launch.
# shellcheck shell=bash

# Hosts that ranks are started on, in order, and ranks on each. Empty without --hosts.
hosts=()
declare -A ranks_on=()

read_hosts() {
    local host
    [[ -n $hosts_file ]] || return 0
    [[ -r $hosts_file ]] || fail "cannot read the hosts file $hosts_file"
    while read -r host _; do
        [[ -n $host && $host != '#'* ]] || continue
        if [[ -z ${ranks_on[$host]:-} ]]; then hosts+=("$host"); fi
        ranks_on[$host]=${per_host:-$((${ranks_on[$host]:-0} + 1))}
    done <"$hosts_file"
    [[ ${#hosts[@]} -gt 0 ]] || fail "no host in $hosts_file"
}

# Whether two names are of one host: one may be fully qualified.
same_host() {
    [[ ${1%%.*} == "${2%%.*}" ]]
}

is_this_host() {
    [[ $1 == localhost ]] || same_host "$1" "$HOSTNAME"
}

total_ranks() {
    local host total=0
    for host in "${hosts[@]}"; do total=$((total + ranks_on[$host])); done
    echo $((${#hosts[@]} > 0 ? total : ${ranks:-1}))
}

# Hosts with their ranks, as mpirun of both families reads them: n1:2,n2:2.
host_list() {
    local host list=()
    for host in "${hosts[@]}"; do list+=("$host:${ranks_on[$host]}"); done
    (IFS=, && echo "${list[*]}")
}

# Ranks on each host; empty where they differ.
ranks_on_each() {
    local counts=()
    mapfile -t counts < <(printf '%s\n' "${ranks_on[@]}" | sort -u)
    [[ ${#counts[@]} -ne 1 ]] || echo "${counts[0]}"
}

answers() {
    is_this_host "$1" || [[ ${#probe[@]} -eq 0 ]] \
        || timeout -k 1 "$PROBE_LIMIT" "${probe[@]}" "$1" true </dev/null >/dev/null 2>&1
}

# Takes hosts out for good: silent ones (the arguments), and those that do not answer. This host stays.
drop_hosts() {
    local host at kept=() asked=() probes=() dropped=()
    for host in "${hosts[@]}"; do
        if ! is_this_host "$host" && printf '%s\n' "$@" | cut -d. -f1 | grep -qxF "${host%%.*}"; then
            dropped+=("$host (silent)")
        else
            answers "$host" &
            asked+=("$host") probes+=("$!")
        fi
    done
    for at in "${!asked[@]}"; do
        if wait "${probes[at]}"; then kept+=("${asked[at]}"); else dropped+=("${asked[at]} (no answer)"); fi
    done
    # A signal ends the waiting, and the answers mean nothing.
    if [[ $signals -gt 0 || ${#dropped[@]} -eq 0 ]]; then return; fi
    say "without $(IFS=, && echo "${dropped[*]}") from now on"
    hosts=("${kept[@]}")
    [[ ${#hosts[@]} -gt 0 ]] || end_early "no host is left"
}

# `open-mpi` with its major version, or `hydra`; whether PBS starts the processes; how a host is asked whether it lives
# (empty: there is no way, and no host is dropped for not answering).
family='' major='' pbs_starts=false probe=()

inspect_mpirun() {
    local version
    version=$("$mpirun" --version 2>&1) || true
    if [[ $version =~ \(Open\ MPI\)\ ([0-9]+) ]]; then
        family=open-mpi major=${BASH_REMATCH[1]}
    elif [[ $version == *HYDRA* ]]; then
        family=hydra
    else
        fail "$mpirun is neither of Open MPI nor of MPICH: $(head -n1 <<<"$version")"
    fi
    if [[ -n $agent ]]; then
        read -ra probe <<<"$agent"
    elif [[ $family == open-mpi && -n ${PBS_JOBID:-} ]] && knows_pbs; then
        pbs_starts=true
        if "$project/scripts/lib/tmrsh-agent" --find >/dev/null; then probe=("$project/scripts/lib/tmrsh-agent"); fi
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

# Physical cores of this host: what Open MPI counts as slots.
cores() {
    lscpu --parse=CORE,SOCKET | grep -v '^#' | sort -u | wc -l
}

# The command line of an attempt with this many seconds left (empty: no limit).
command=()
compose_command() {
    local left=$1
    command=("$mpirun")
    case $family in
        open-mpi) add_open_mpi_options ;;
        hydra) add_hydra_options ;;
    esac
    command+=("${mpirun_options[@]}" "$bocr" run "${own_arguments[@]}" "${run_arguments[@]}" ${left:+--deadline "$left"})
}

add_open_mpi_options() {
    local each runtime=--mca launcher=rsh here=${ranks:-1} host
    if [[ $major -ge 5 ]]; then runtime=--prtemca launcher=ssh; fi
    # Unbound: else every child of a rank, its server included, inherits one core.
    command+=(--bind-to none)
    # mpirun and its daemons look whether the other side still lives: a cut link is noticed within half a minute on both.
    command+=("$runtime" oob_tcp_keepalive_time 10 "$runtime" oob_tcp_keepalive_intvl 3 "$runtime" oob_tcp_keepalive_probes 5)
    # The ranks left after a death are killed at once: what they have read is on the disk.
    command+=("$runtime" odls_base_sigkill_timeout 0)
    if [[ -n $agent ]]; then
        command+=("$runtime" plm "$launcher" "$runtime" "plm_${launcher}_agent" "$agent")
        # A daemon that detaches itself from the agent is killed by PBS, or escapes it.
        command+=(--leave-session-attached)
    fi
    if [[ ${#hosts[@]} -gt 0 ]]; then
        each=$(ranks_on_each)
        command+=(--host "$(host_list)")
        if [[ -n $each ]]; then command+=(--map-by "ppr:$each:node"); else command+=(-n "$(total_ranks)" --map-by slot); fi
        here=0
        for host in "${hosts[@]}"; do ! is_this_host "$host" || here=${ranks_on[$host]}; done
    else
        # Named, so that a batch system's other hosts are left alone.
        command+=(--host "localhost:$here" -n "$here")
    fi
    if $pbs_starts || [[ $(cores) -lt $here ]]; then command+=(--oversubscribe); fi
}

add_hydra_options() {
    if [[ -n $agent ]]; then command+=(-launcher rsh -launcher-exec "$agent"); fi
    if [[ ${#hosts[@]} -gt 0 ]]; then
        command+=(-hosts "$(host_list)")
    else
        command+=(-hosts "localhost:${ranks:-1}")
    fi
    command+=(-n "$(total_ranks)")
}
