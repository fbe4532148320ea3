# The job after this one: whether there is one, and how it is submitted. Part of scripts/pbs-job.
# shellcheck shell=bash

readonly SUBMIT_LIMIT=60        # seconds for qsub to answer

# How the run stood before this job.
settled_before=0 account_before=''
remember_before() {
    settled_before=$(status_number settled)
    account_before=$(account_identity)
}

status_number() {
    local number
    number=$(tr -d '\n' 2>/dev/null <"$run_directory/status.json" | sed -nE "s/.*\"$1\" *: *([0-9]+).*/\1/p") || true
    echo "${number:-0}"
}

account_identity() {
    stat -c '%i %.Z' "$run_directory/finished.json" 2>/dev/null || true
}

# Why the run stopped early, as its last account in this job tells; empty where it gave none.
stop_reason() {
    [[ $(account_identity) != "$account_before" ]] || return 0
    tr -d '\n' <"$run_directory/finished.json" | sed -nE 's/.*"stopped" *: *\{? *"([a-z-]+)".*/\1/p'
}

# Of all starts of this job. Pages that are read again can make the first number fall.
settled_a_page() {
    local settled
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

# A job that was submitted by hand is not in the list yet.
list_this_job() {
    cut -f1 "$(jobs_list)" 2>/dev/null | grep -qxF "$PBS_JOBID" || list_job "$PBS_JOBID" submitted
}

# Whether somebody has submitted a job that waits for this one.
has_successor() {
    cut -f3 "$(jobs_list)" | grep -qxF -e "after $PBS_JOBID" -e "chain $PBS_JOBID"
}

# Submits the next job, which waits for the end of this one.
submitted=''
submit_next() {
    local told command
    if [[ $chain -eq 0 ]]; then return; fi
    if ! settled_a_page; then
        say "no job follows: this one settled no page"
        return
    fi
    if has_successor; then
        say "a job waits for this one already: none is submitted"
        return
    fi
    command=(qsub -W "depend=afterany:$PBS_JOBID" -v "BOCR_CHAIN=$((chain - 1))" "$script")
    # From where this job was submitted: its script may rely on that.
    if ! told=$(cd "${PBS_O_WORKDIR:-.}" && timeout "$SUBMIT_LIMIT" "${command[@]}" 2>&1 </dev/null); then
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
