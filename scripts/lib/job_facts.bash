# Asks PBS for the walltime of this job, and how often PBS has started it. Part of scripts/pbs-job.
# shellcheck shell=bash

# Seconds.
readonly ANSWER_LIMIT=20        # limit for qstat
readonly DEFAULT_RESERVE=180
readonly WALLTIME_SLACK=2       # difference between PBS's clock and this host's

# `limit` is the walltime in seconds, empty if there is none; `used` the seconds of it that are used; `run_count` the number
# of times that PBS has started this job.
limit='' used=0 run_count=1

# Reads the text form of qstat: old PBS Pro has no other form. qstat wraps long lines only, so a number is in one line.
pbs_value() {
    sed -nE "s/^ *$2 = (.*)$/\1/p" <<<"$1" | head -n1
}

seconds_of() {
    local part total=0 parts
    IFS=: read -ra parts <<<"$1"
    for part in ${parts[@]+"${parts[@]}"}; do total=$((60 * total + 10#$part)); done
    echo "$total"
}

# Age of the job's first process, the leader of this session. If ps does not show it: age of this script.
age() {
    local leader seconds
    leader=$(ps -o sid= -p $$ | tr -d ' ')
    seconds=$(ps -o etimes= -p "$leader" 2>/dev/null | tr -d ' ') || true
    echo "${seconds:-$SECONDS}"
}

ask_pbs() {
    local answer='' asked
    for asked in 1 2; do
        if answer=$(timeout "$ANSWER_LIMIT" qstat -f "$PBS_JOBID" 2>/dev/null </dev/null); then break; fi
    done
    run_count=$(pbs_value "$answer" run_count)
    run_count=${run_count:-1}
    # --walltime counts only if qstat does not answer.
    if [[ -n $answer ]]; then
        limit=$(pbs_value "$answer" Resource_List.walltime)
        used=$(pbs_value "$answer" resources_used.walltime)
    elif [[ -n $walltime ]]; then
        limit=$walltime
    else
        say "qstat -f $PBS_JOBID did not answer in $asked attempts, and --walltime is not given: the run has NO deadline, and PBS kills it at the end of the walltime; give --walltime HH:MM:SS"
    fi
    [[ -z $limit || $limit =~ ^[0-9:]+$ ]] || fail "cannot read the walltime \`$limit\` of qstat: submit the job with a walltime of the form HH:MM:SS"
    limit=${limit:+$(seconds_of "$limit")}
    used=$(seconds_of "${used:-0}")
}

# PBS updates `resources_used` up to 120 s apart. The age of the job's first process is more exact.
elapsed() {
    local aged
    aged=$(age)
    echo $((aged > used ? aged : used))
}

walltime_is_over() {
    [[ -n $limit && $(elapsed) -ge $((limit - WALLTIME_SLACK)) ]]
}

# Seconds that the run may take; empty if there is no limit.
time_for_run() {
    local left kept
    [[ -n $limit ]] || return 0
    left=$((limit - $(elapsed)))
    kept=${reserve:-$((left / 5 < DEFAULT_RESERVE ? left / 5 : DEFAULT_RESERVE))}
    echo $((left - kept))
}
