# shellcheck shell=sh disable=SC2034,SC2154  # what one part sets, another reads
#
# Phases prune and unlock: releases that nobody needs, and a phase that hangs.

prune() { # only what was staged here, never what is current, the way back, asked for, or not yet installed
    set -f
    tried=" $(awk '$4 == "begin" && NF >= 6 { print $6; print $5 }' "$state/journal" 2>/dev/null | tr '\n' ' ') "
    needed=" $installed $(previous_of "$installed") $LL_KEPT "
    ! read_marker || needed="$needed$unmarked "
    left=$LL_KEEP removed=''
    # The newest first: what was staged last. What is no version is passed over.
    # shellcheck disable=SC2045
    for version in $(ls -t "$state/staged"); do
        is_name "$version" || continue
        case $needed in *" $version "*) continue ;; esac
        case $tried in *" $version "*) ;; *) continue ;; esac
        left=$((left - 1))
        [ "$left" -lt 0 ] || continue
        remove "$version" || finish failed "$problem" "$version"
        removed="$removed $version"
        reached pruned
    done
    set +f
    method_prune
    journal 'done'
    finish 'done' '' "removed:${removed:- nothing}"
}

previous_of() { # previous_of <version>: what ran before it was last installed
    awk -v to="$1" '$4 == "begin" && NF >= 6 && $6 "" == to "" && $3 != "roll_back" && $3 != "auto" { before = $5 }
        END { print before }' "$state/journal" 2>/dev/null
}

remove() { # remove <version> and its artifact; that data is of it, or above it, stays noted
    sha256=''
    read -r sha256 <"$state/staged/$1" || :
    method_remove "$1" || return 1
    ! is_sha256 "$sha256" || rm -f "$state/incoming/$sha256"
    rm -f "$state/staged/$1"
}

unlock() { # end the phase that holds the lock, and outdate its controller
    [ -e "$state/lock" ] || finish 'done' '' 'not held'
    find_missing_tools || :
    open_lock || refuse_write "$state"
    read_owner
    if flock -n 9; then held='not held'; else end_holder; fi
    # Also a lower one: a controller whose clock was fast must not keep everybody out until theirs have caught up.
    write fence "$LL_FENCE" || refuse_write "$state/fence"
    own
    journal 'done' || refuse_write "$state/journal"
    finish 'done' '' "$held"
}

end_holder() { # sets held
    held="held: $holder"
    is_number "$holder_pid" && started_at "$holder_pid" && [ "$started" = "$holder_started" ] ||
        refuse 'not held by a phase of ours' "$held"
    # By number and start: a product that a phase has left running is no longer below it.
    victims=$(list_tree "$holder_pid")
    for signal in TERM KILL; do
        for victim in $victims; do
            started_at "${victim%:*}" && [ "$started" = "${victim#*:}" ] || continue
            # It would hand the signal on to all that its command has started, and ends with its command.
            case $signal$stat in TERM*'(timeout) '*) continue ;; esac
            kill -s "$signal" "${victim%:*}" 2>/dev/null
        done
        for _ in 1 2 3 4 5 6; do
            if flock -n 9; then return; fi
            sleep 0.5
        done
    done
    refuse 'still held' "$holder"
}

list_tree() { # list_tree <process>: it and all that it has started and that still belongs to it, as number:start
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v root="$1" '
    { pid = $1; sub(/^.*\) /, ""); parent[pid] = $2; started[pid] = $20 }
    END {
        below[root]
        do {
            found = 0
            for (pid in parent) if (!(pid in below) && parent[pid] in below) { below[pid]; found = 1 }
        } while (found)
        for (pid in below) print pid ":" started[pid]
    }'
}
