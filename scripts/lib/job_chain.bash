# Decides whether a job follows this one, and submits it. Part of scripts/pbs-job.
# not empty where expanded: others
# shellcheck shell=bash

# Seconds.
readonly SUBMIT_LIMIT=60        # limit for qsub
readonly SUBMIT_PAUSE=2         # before qsub is tried again
readonly LIST_LIMIT=10          # limit for the lock on jobs.tsv

# State of the run before this job.
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

# Inode and change time of a file of the run: they differ between two versions of the file. Empty if there is no file.
identity() {
    stat -c '%i %.Z' "$run_directory/$1" 2>/dev/null || true
}

# Why the run stopped early, from finished.json. Empty if the run wrote no finished.json in this job.
stop_reason() {
    local account
    account=$(identity finished.json)
    [[ -n $account && $account != "$account_before" ]] || return 0
    tr -d '\n' <"$run_directory/finished.json" | sed -nE 's/.*"stopped" *: *\{? *"([a-z-]+)".*/\1/p'
}

# Whether this job settled a page, over all its starts. `settled` can fall when pages are read again.
settled_a_page() {
    local settled
    # An unchanged status.json is the file of an earlier job.
    [[ $(identity status.json) != "$status_before" ]] || return
    settled=$(status_number settled)
    [[ $settled -gt $settled_before || $settled -gt $(status_number restored) ]]
}

# Whether the next job can continue the run without help. `code` is the exit code of the launcher.
may_go_on() {
    local reason
    [[ $code -eq $STOPPED_EARLY && -z $submitted ]] || return
    reason=$(stop_reason)
    if [[ $signals -gt 0 || $reason == requested || -e $run_directory/stop ]]; then
        say "no job follows: this job was stopped (qdel, a signal, or a file named stop)"
    elif [[ $reason == store || $reason == no-engine ]]; then
        say "no job follows: the run cannot continue without help ($reason): see $run_directory/logs"
    else
        return 0
    fi
    return 1
}

# Path of the list of jobs. It has one line for each job: id, time, origin.
jobs_list() {
    echo "$run_directory/job/jobs.tsv"
}

list_job() {
    printf '%s\t%s\t%s\n' "$1" "$(date -u +%FT%TZ)" "$2" >>"$(jobs_list)" || say "cannot write $(jobs_list): \`bocr follow\` does not show job $1"
}

# Locks the list. `bocr submit` adds a job after qsub has printed its id; the job may have started before that.
list_lock=''
hold_list() {
    exec {list_lock}>>"$(jobs_list)"
    flock -w "$LIST_LIMIT" "$list_lock" || say "cannot lock $(jobs_list) within $LIST_LIMIT s: continuing without the lock"
}

release_list() {
    exec {list_lock}>&-
}

# Adds this job to the list if it was submitted by hand (qsub).
list_this_job() {
    hold_list
    cut -f1 "$(jobs_list)" | grep -xF "$PBS_JOBID" >/dev/null || list_job "$PBS_JOBID" submitted
    release_list
}

# Id of another job of this run that is queued, held or running. Empty if there is none.
successor() {
    local others
    mapfile -t others < <(cut -f1 "$(jobs_list)" | awk -v own="${PBS_JOBID%%.*}." 'index($0, own) != 1' | sort -u)
    [[ ${#others[@]} -gt 0 ]] || return 0
    # qstat prints nothing about jobs that have ended; its exit code reports them, so it is ignored.
    timeout "$ANSWER_LIMIT" qstat -f "${others[@]}" 2>/dev/null </dev/null \
        | awk '/^Job Id:/ { id = $3 } $1 == "job_state" && $3 !~ /^[FX]$/ { found = found ? found : id } END { print found }'
}

# Submits the next job, which waits for the end of this one.
submitted='' submitting=false
submit_next() {
    # A signal may call this function while it runs.
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
    local answer command other try failure
    other=$(successor) || true
    if [[ -n $other ]]; then
        say "job $other of this run is in the queue already: submitting no other job"
        return
    fi
    command=(qsub -W "depend=afterany:$PBS_JOBID" -v "BOCR_CHAIN=$((chain - 1))" "$script")
    for try in 1 2 3; do
        # Submits from the folder from which this job was submitted: the script may rely on that.
        failure=0
        answer=$(cd "${PBS_O_WORKDIR:-.}" && timeout "$SUBMIT_LIMIT" "${command[@]}" 2>&1 </dev/null {list_lock}>&-) || failure=$?
        # A qsub without an answer (124) may have submitted the job.
        if [[ $failure -eq 0 || $failure -eq 124 || $try -eq 3 ]]; then break; fi
        sleep "$SUBMIT_PAUSE"
    done
    if [[ $failure -ne 0 ]]; then
        say "the next job could not be submitted ($(tail -n1 <<<"$answer")): run on a login node: qsub -v BOCR_CHAIN=$((chain - 1)) $script"
        return
    fi
    # A site's wrapper of qsub may print more than the id.
    if submitted=$(grep -oE '^[0-9]+[^ ]*$' <<<"$answer" | tail -n1); then
        list_job "$submitted" "chain $PBS_JOBID"
    else
        submitted=unnamed
        say "qsub printed no job id ($(tail -n1 <<<"$answer")): \`bocr follow\` shows the next job only after it has started"
    fi
    say "pages are left: job $submitted follows, and up to $((chain - 1)) after it"
}
