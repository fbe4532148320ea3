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

# Submits the next job, which waits for the end of this one.
submitted=''
submit_next() {
    local told command
    if [[ $chain -eq 0 ]]; then return; fi
    if ! settled_a_page; then
        say "no job follows: this one settled no page"
        return
    fi
    command=(qsub -W "depend=afterany:$PBS_JOBID" -v "BOCR_CHAIN=$((chain - 1))" "$script")
    # From where this job was submitted: its script may rely on that.
    if ! told=$(cd "${PBS_O_WORKDIR:-.}" && timeout "$SUBMIT_LIMIT" "${command[@]}" 2>&1 </dev/null); then
        say "the next job could not be submitted ($(tail -n1 <<<"$told")); on a login node: qsub -v BOCR_CHAIN=$((chain - 1)) $script"
        return
    fi
    # A site's wrapper of qsub may say more than the id.
    submitted=$(grep -oE '^[0-9]+[^ ]*$' <<<"$told" | tail -n1) || submitted=unknown
    printf '%s\t%s\tchain %s\n' "$submitted" "$(date -u +%FT%TZ)" "$PBS_JOBID" >>"$run_directory/job/jobs.tsv"
    say "pages are left: job $submitted follows, and up to $((chain - 1)) after it"
}
