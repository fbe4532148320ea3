# What PBS knows about this job: its walltime, and how often it ran. Part of scripts/pbs-job.
# shellcheck shell=bash

# Seconds.
readonly ANSWER_LIMIT=20        # for qstat to answer
readonly DEFAULT_RESERVE=180
readonly WALLTIME_SLACK=2       # PBS's clock and this one

# Walltime and time used of it, in seconds, empty where there is no limit; and how often PBS has started this job.
limit='' used=0 run_count=1

# The text form: old PBS Pro has no other. A number is too short to be wrapped in its lines.
pbs_value() {
    sed -nE "s/^ *$2 = (.*)$/\1/p" <<<"$1" | head -n1
}

seconds_of() {
    local part total=0 parts
    IFS=: read -ra parts <<<"$1"
    for part in "${parts[@]}"; do total=$((60 * total + 10#$part)); done
    echo "$total"
}

# Age of the job's first process, the leader of this session; of this script where that cannot be seen.
age() {
    local leader seconds
    leader=$(ps -o sid= -p $$ | tr -d ' ')
    seconds=$(ps -o etimes= -p "$leader" 2>/dev/null | tr -d ' ') || true
    echo "${seconds:-$SECONDS}"
}

ask_pbs() {
    local told='' asked
    for asked in 1 2; do
        if told=$(timeout "$ANSWER_LIMIT" qstat -f "$PBS_JOBID" 2>/dev/null </dev/null); then break; fi
    done
    run_count=$(pbs_value "$told" run_count)
    run_count=${run_count:-1}
    # `walltime` may be for where PBS cannot be asked only.
    if [[ -n $told ]]; then
        limit=$(pbs_value "$told" Resource_List.walltime)
        used=$(pbs_value "$told" resources_used.walltime)
    elif [[ -n $walltime ]]; then
        limit=$walltime
    else
        say "qstat -f $PBS_JOBID gave no answer after $asked times asking, and there is no --walltime: the run has NO deadline, PBS will cut it down"
    fi
    [[ -z $limit || $limit =~ ^[0-9:]+$ ]] || fail "cannot read the walltime \`$limit\` of qstat: say --walltime HH:MM:SS"
    limit=${limit:+$(seconds_of "$limit")}
    used=$(seconds_of "${used:-0}")
}

# PBS counts `resources_used` anew up to 120 s apart: the age of the job's first process tells more.
elapsed() {
    local aged
    aged=$(age)
    echo $((aged > used ? aged : used))
}

walltime_is_over() {
    [[ -n $limit && $(elapsed) -ge $((limit - WALLTIME_SLACK)) ]]
}

# Seconds that the run may take; empty without a limit.
time_for_run() {
    local left kept
    [[ -n $limit ]] || return 0
    left=$((limit - $(elapsed)))
    kept=${reserve:-$((left / 5 < DEFAULT_RESERVE ? left / 5 : DEFAULT_RESERVE))}
    echo $((left - kept))
}
