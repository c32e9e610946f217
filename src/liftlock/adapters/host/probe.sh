# shellcheck shell=sh disable=SC2034,SC2154  # what one part sets, another reads
#
# Phases probe and confirm: what is here; probe changes nothing.

probe() {
    look_around
    tell_findings
}

look_around() { # sets what tell_findings tells
    missing='' free_bytes='' free_inodes=''
    # confirm asks how the product is; what the host has room for was asked before.
    if [ "$LL_PHASE" = probe ]; then
        find_missing_tools || missing=''
        measure
    fi
    problem='' healthy='' busy=0 unconfirmed=0
    method_installed || :
    [ -d "$LL_BASE" ] || problem='base missing'
    cause=$problem found=''
    if [ -n "$LL_HEALTH_URL$LL_HEALTH_COMMAND" ]; then
        to=$installed
        if ask 10 ''; then healthy=1; else healthy=0 found=$answer; fi
        cause=${cause:-$problem}
    fi
    if find_backup "$installed"; then healthy=0 cause='restore is pending' found="the backup of $saved"; fi
    if [ -r "$state/lock" ] && has flock; then { flock -s -n 8 || busy=1; } 8<"$state/lock"; fi
    if read_marker && [ "$marked" = "$installed" ]; then unconfirmed=1; fi
}

tell_findings() {
    say installed "$installed"
    [ -z "$healthy" ] || { say healthy "$healthy" && say running "$running"; }
    say free_bytes "$free_bytes" && say free_inodes "$free_inodes"
    say missing_tools "$missing"
    say busy "$busy"
    say unconfirmed "$unconfirmed"
    list_staged
    say staged "$lying"
    plan='' attempt='' phase='' step='' there='' here=''
    # Only the first words of the last line: a beginning tells both versions, and perhaps more.
    read -r plan attempt phase step there here _ <<END
$(tail -n 1 "$state/journal" 2>/dev/null)
END
    line="$plan $attempt $phase $step $there $here"
    while [ "$line" != "${line% }" ]; do line=${line% }; done
    say journal "$line"
    say cause "$cause" && say detail "$found"
    say end 1
}

list_staged() { # sets lying: the versions that lie here, verified
    lying=''
    for mark in "$state/staged"/*; do
        version=${mark##*/}
        ! is_name "$version" || ! method_has "$version" || lying="$lying $version"
    done
}

confirm() { # what waits for this very attempt, or for an earlier one of its plan, need not go back by itself
    look_around
    if [ "$unconfirmed$healthy" = 11 ] && [ "$running" = "$installed" ] && is_ours; then
        if ! open_lock || ! lock; then
            busy=1
        elif read_marker && [ "$marked" = "$installed" ] && is_ours; then
            forget_marker && unconfirmed=0
            reached confirmed
            journal 'done'
        fi
    fi
    tell_findings
}
