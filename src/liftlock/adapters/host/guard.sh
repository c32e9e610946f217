# shellcheck shell=sh disable=SC2034,SC2154  # what one part sets, another reads
#
# confirm_within: a switched host goes back by itself unless its controller comes again and confirms.
#
# The marker `.liftlock/unconfirmed` says "<plan> <attempt> <version> <version before> <deadline>", the deadline in
# seconds since 1970. A watcher, phase auto in a session of its own, ends when the marker is gone or another's. No
# watcher survives a reboot of the host: the marker then stays, probe shows it, and the host stays as it is until the
# next phase that switches, or `confirm`. Each of these takes the marker away, as whoever comes through is not cut off.

read_marker() { # sets marker and its words: marked is the version that waits, unmarked the one before
    marker=''
    { read -r marker <"$state/unconfirmed"; } 2>/dev/null || return 1
    read -r marked_plan marked_attempt marked unmarked _ <<END
$marker
END
    is_name "$marked" && is_name "$unmarked" && is_number "$marked_attempt"
}

is_ours() { [ "$marked_plan" = "$LL_PLAN" ] && [ "$marked_attempt" -le "$LL_ATTEMPT" ]; }
forget_marker() { [ ! -e "$state/unconfirmed" ] || { rm -f "$state/unconfirmed" && flush "$state"; }; }

await_confirmation() { # after the switch and before the answer
    [ -n "$LL_CONFIRM_WITHIN" ] && [ -n "$previous" ] || return 0
    until=$(($(date +%s) + LL_CONFIRM_WITHIN))
    problem='the confirmation cannot be awaited'
    write unconfirmed "$LL_PLAN $LL_ATTEMPT $LL_TO $previous $until" || return 1
    reached marked
    # shellcheck disable=SC2016 # the new shell is to expand it
    setsid sh -c 'eval "$1"' liftlock "$program" auto </dev/null >/dev/null 2>&1 9>&- &
    reached watched
}

auto() { # the watcher
    read_marker && is_ours && [ "$marked_attempt" -eq "$LL_ATTEMPT" ] || return 0
    mine=$marker
    now && until=$((clock + LL_CONFIRM_WITHIN))
    while now && [ "$clock" -lt "$until" ]; do
        still_waits || return 0
        sleep 1
    done
    still_waits && open_lock || return 0
    # Whoever holds the lock now may confirm, or replace the release.
    until flock -n 9; do
        still_waits || return 0
        sleep 1
    done
    still_waits || return 0
    own
    go_back_unconfirmed
}

still_waits() { read_marker && [ "$marker" = "$mine" ]; }

go_back_unconfirmed() {
    previous=$unmarked from=$marked to=$unmarked touched=1
    if ! method_installed || [ "$installed" != "$marked" ] || ! method_has "$previous"; then
        journal refused
        forget_marker
        return
    fi
    note "not confirmed within $LL_CONFIRM_WITHIN s: going back to $previous"
    start_phase_time
    journal "begin $from $to" || : # a full disk does not keep it from going back
    reached auto_begin
    if back; then journal rolled_back; else journal failed; fi
    reached auto_end
    forget_marker
}
