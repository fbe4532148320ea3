# The job after this one: whether there is one, and how it is submitted. Part of scripts/pbs-job.
# shellcheck shell=bash

# Seconds.
readonly SUBMIT_LIMIT=60        # for qsub to answer
readonly LIST_LIMIT=10          # for another submit to let go of jobs.tsv

# How the run stood before this job.
settled_before=0 status_before='' account_before=''
remember_before() {
    settled_before=$(status_number settled)
    status_before=$(identity status.json)
    account_before=$(identity finished.json)
}

status_number() {
    local number
    number=$(tr -d '\n' 2>/dev/null <"$run_directory/status.json" | sed -nE "s/.*\"$1\" *: *([0-9]+).*/\1/p") || true
    echo "${number:-0}"
}

# What tells one version of a file of the run from the next; empty where there is none.
identity() {
    stat -c '%i %.Z' "$run_directory/$1" 2>/dev/null || true
}

# Why the run stopped early, as its last account in this job tells; empty where it gave none.
stop_reason() {
    local account
    account=$(identity finished.json)
    [[ -n $account && $account != "$account_before" ]] || return 0
    tr -d '\n' <"$run_directory/finished.json" | sed -nE 's/.*"stopped" *: *\{? *"([a-z-]+)".*/\1/p'
}

# Of all starts of this job. Pages that are read again can make the first number fall.
settled_a_page() {
    local settled
    # An earlier job's file speaks of that job.
    [[ $(identity status.json) != "$status_before" ]] || return
    settled=$(status_number settled)
    [[ $settled -gt $settled_before || $settled -gt $(status_number restored) ]]
}

# Whether the next job can go on where this one has ended, without anybody's help. The code is that of the launcher.
may_go_on() {
    local reason
    [[ $code -eq $STOPPED_EARLY && -z $submitted ]] || return
    reason=$(stop_reason)
    if [[ $signals -gt 0 || $reason == requested || -e $run_directory/stop ]]; then
        say "no job follows: this one was told to stop"
    elif [[ $reason == store || $reason == no-engine ]]; then
        say "no job follows: the run cannot go on by itself ($reason); see RUNDIR/logs"
    else
        return 0
    fi
    return 1
}

# One line a job: id, when, how it came to be.
jobs_list() {
    echo "$run_directory/job/jobs.tsv"
}

list_job() {
    printf '%s\t%s\t%s\n' "$1" "$(date -u +%FT%TZ)" "$2" >>"$(jobs_list)"
}

# Holds the list against `bocr submit`, which lists a job only when qsub has named it: the job may have begun by then.
list_lock=''
hold_list() {
    exec {list_lock}>>"$(jobs_list)"
    flock -w "$LIST_LIMIT" "$list_lock" || say "$(jobs_list) cannot be locked: going on without"
}

release_list() {
    exec {list_lock}>&-
}

# A job that was submitted by hand is not in the list yet.
list_this_job() {
    hold_list
    cut -f1 "$(jobs_list)" | grep -xF "$PBS_JOBID" >/dev/null || list_job "$PBS_JOBID" submitted
    release_list
}

# Another job of this run that PBS has in its queue, waits for this one or works already; empty where there is none.
successor() {
    local others
    mapfile -t others < <(cut -f1 "$(jobs_list)" | grep -v "^${PBS_JOBID%%.*}\." | sort -u)
    [[ ${#others[@]} -gt 0 ]] || return 0
    # It tells nothing of jobs that have ended, and its exit code speaks of those.
    timeout "$ANSWER_LIMIT" qstat -f "${others[@]}" 2>/dev/null </dev/null \
        | awk '/^Job Id:/ { id = $3 } $1 == "job_state" && $3 !~ /^[FX]$/ { found = found ? found : id } END { print found }'
}

# Submits the next job, which waits for the end of this one.
submitted='' submitting=false
submit_next() {
    # A signal may come in the middle of it.
    if [[ $chain -eq 0 ]] || $submitting; then return; fi
    submitting=true
    if settled_a_page; then
        hold_list
        submit_successor
        release_list
    else
        say "no job follows: this one settled no page"
    fi
}

submit_successor() {
    local told command other
    other=$(successor) || true
    if [[ -n $other ]]; then
        say "job $other of this run is in the queue already: none is submitted"
        return
    fi
    command=(qsub -W "depend=afterany:$PBS_JOBID" -v "BOCR_CHAIN=$((chain - 1))" "$script")
    # From where this job was submitted: its script may rely on that.
    if ! told=$(cd "${PBS_O_WORKDIR:-.}" && timeout "$SUBMIT_LIMIT" "${command[@]}" 2>&1 </dev/null {list_lock}>&-); then
        say "the next job could not be submitted ($(tail -n1 <<<"$told")); on a login node: qsub -v BOCR_CHAIN=$((chain - 1)) $script"
        return
    fi
    # A site's wrapper of qsub may say more than the id.
    if submitted=$(grep -oE '^[0-9]+[^ ]*$' <<<"$told" | tail -n1); then
        list_job "$submitted" "chain $PBS_JOBID"
    else
        submitted=unnamed
        say "qsub names no job ($(tail -n1 <<<"$told")): \`bocr follow\` will not see the next one before it starts"
    fi
    say "pages are left: job $submitted follows, and up to $((chain - 1)) after it"
}
