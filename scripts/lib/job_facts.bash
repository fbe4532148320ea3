# Asks PBS for the walltime of this job, and how often PBS has started it. Part of scripts/pbs-job.
# shellcheck shell=bash

# Seconds.
readonly ANSWER_LIMIT=20        # limit for qstat
readonly SIGNAL_ANSWER_LIMIT=3  # the same after a signal of PBS
readonly DEFAULT_KILL_DELAY=10
readonly DEFAULT_RESERVE=180
readonly WALLTIME_SLACK=2       # difference between PBS's clock and this host's

# `limit` is the walltime in seconds, empty if there is none; `used` the seconds of it that are used; `run_count` the number
# of times that PBS has started this job; `kill_delay` the seconds from SIGTERM to SIGKILL.
limit='' used=0 run_count=1 kill_delay=$DEFAULT_KILL_DELAY

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

# Prints what qstat tells of this job; empty if it does not answer within $1 seconds.
describe_job() {
    timeout "$1" qstat -f "$PBS_JOBID" 2>/dev/null </dev/null
}

# The walltime of a job in seconds, from the answer of qstat. If there is no answer: the walltime that is known.
walltime_of() {
    local walltime=$limit
    if [[ -n $1 ]]; then walltime=$(pbs_value "$1" Resource_List.walltime); fi
    [[ -z $walltime || $walltime =~ ^[0-9:]+$ ]] || return
    echo "${walltime:+$(seconds_of "$walltime")}"
}

ask_kill_delay() {
    local queue=$1 answer delay
    [[ -n $queue ]] || return 0
    answer=$(timeout "$ANSWER_LIMIT" qstat -Qf "$queue" 2>/dev/null </dev/null) || true
    delay=$(pbs_value "$answer" kill_delay)
    if [[ $delay =~ ^[1-9][0-9]*$ ]]; then kill_delay=$delay; fi
}

ask_pbs() {
    local answer='' asked queue
    for asked in 1 2; do
        if answer=$(describe_job "$ANSWER_LIMIT"); then break; fi
    done
    queue=$(pbs_value "$answer" queue)
    ask_kill_delay "${queue:-${PBS_QUEUE:-}}"
    run_count=$(pbs_value "$answer" run_count)
    run_count=${run_count:-1}
    # --walltime counts only if qstat does not answer.
    if [[ -n $answer ]]; then
        used=$(pbs_value "$answer" resources_used.walltime)
    elif [[ -n $walltime ]]; then
        limit=$walltime
    else
        say "qstat -f $PBS_JOBID did not answer in $asked attempts, and --walltime is not given: the run has NO deadline, and PBS kills it at the end of the walltime; give --walltime HH:MM:SS"
    fi
    limit=$(walltime_of "$answer") || fail "cannot read the walltime \`$(pbs_value "$answer" Resource_List.walltime)\` of qstat: submit the job with a walltime of the form HH:MM:SS"
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
