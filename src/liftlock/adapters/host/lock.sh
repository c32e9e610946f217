# shellcheck shell=sh disable=SC2034,SC2154  # what one part sets, another reads
#
# One phase at a time: the lock and who holds it, the fence that outdates older controllers, and the journal.

open_lock() { # fails where nothing can be written
    if [ ! -d "$state/incoming" ] || [ ! -d "$state/staged" ]; then
        (umask 077 && exec mkdir -p "$state/incoming" "$state/staged") || return 1
    fi
    true >>"$state/lock" && exec 9>>"$state/lock" # the failure of exec alone would end the shell
}

lock() { # fails while somebody else holds it; a probe holds it for an instant, therefore more than one try
    flock -n 9 || { sleep 0.5 && flock -n 9; } || { sleep 0.5 && flock -n 9; }
}

started_at() { # started_at <process>: sets started, in the kernel's ticks, which tell it from a later one of its number
    started=''
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    # shellcheck disable=SC2086 # words are wanted
    set -- ${stat##*) }
    started=${20}
}

own() { # say who holds the lock; the log is ours now
    started_at $$ || :
    echo "$LL_PLAN $LL_ATTEMPT $LL_PHASE $$ $started" >"$state/owner"
    log=$state/log && printf '' >"$log"
}

read_owner() { # sets holder, holder_pid and holder_started
    holder='an unknown phase' holder_pid='' holder_started=''
    { read -r plan attempt phase holder_pid holder_started <"$state/owner"; } 2>/dev/null || return 0
    holder="$phase of plan $plan, attempt $attempt, since $(date -u -r "$state/owner" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null)"
}

check_fence() { # refuse an outdated controller; the highest of the file's lines counts, one that a crash cut off is lower
    fence=0
    [ -e "$state/fence" ] || return 0
    while read -r line || [ -n "$line" ]; do
        [ -n "$line" ] || continue
        is_number "$line" || refuse 'fence unreadable' ".liftlock/fence says $line"
        [ "$line" -le "$fence" ] || fence=$line
    done <"$state/fence"
    [ "$LL_FENCE" -ge "$fence" ] || refuse 'stale fence' "$LL_FENCE came after $fence"
}

raise_fence() { # not for what switches nothing: a rollout that has the host goes on with the fence it has
    case $LL_PHASE in stage | prune) return 0 ;; esac
    # It holds at once, for whoever has the lock; journal_begin flushes it, before anything is switched.
    [ "$LL_FENCE" -eq "$fence" ] || printf '\n%s\n' "$LL_FENCE" 2>/dev/null >>"$state/fence" || refuse_write "$state/fence"
    reached fence_written
}

hold() { # take the lock for this run, and outdate every older controller
    find_missing_tools || refuse "$problem"
    [ -z "$missing" ] || refuse 'missing tools' "$missing"
    open_lock || refuse_write "$state"
    lock || { read_owner && refuse busy "$holder"; }
    reached locked
    check_fence
    raise_fence
    own
}

prepare() { # look first where nothing of ours is yet, and in any case once the lock is ours
    [ -e "$state/lock" ] || look
    hold && look
}

write() { # write <file of .liftlock> <line>: durably, whole or not at all
    place=$state/$1
    printf '%s\n' "$2" >"$state/new" && flush "$state/new" && mv -f "$state/new" "$place" && flush "${place%/*}"
}

append() { # append <state of this phase>: to the journal; a line that a crash has cut off is ended first
    [ -n "$journaled" ] || [ ! -s "$state/journal" ] || [ -z "$(tail -c 1 "$state/journal")" ] || echo >>"$state/journal"
    journaled=1
    printf '%s %s %s %s\n' "$LL_PLAN" "$LL_ATTEMPT" "$LL_PHASE" "$1" >>"$state/journal"
}

journal() { append "$1" && flush "$state/journal"; }

journal_begin() { # journal_begin <from> <to>: refuse where it cannot be written; only this line tells the versions
    { append "begin ${1:--} $2" && flush "$state/journal" "$state/fence"; } || refuse_write "$state/journal"
    reached journal_begin
}
