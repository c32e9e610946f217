# shellcheck shell=sh disable=SC2034,SC2154  # what one part sets, another reads
#
# The product's data. `.liftlock/irreversible/<version>` says that data may be of that version, and holds the version
# whose backup is the way back. It is written before anything can change data, and goes when that backup is restored.

back_up() {
    [ -n "$LL_BACKUP" ] && [ -n "$previous" ] || return 0
    saved=$previous
    run backup "$LL_BASE/current" "$LL_BACKUP" || return 1
    reached backed_up
    [ -z "$LL_VERIFY_BACKUP" ] || run verify_backup "$LL_BASE/current" "$LL_VERIFY_BACKUP" || return 1
    reached backup_verified
}

note_irreversible() { # data may change from now on
    [ -n "$LL_IRREVERSIBLE" ] && [ -n "$previous" ] || return 0
    problem='the way back cannot be noted'
    mkdir -p "$state/irreversible" || return 1
    write "irreversible/$LL_TO" "$previous" || return 1
    reached irreversible
}

find_backup() { # find_backup <version that is to run>: whether data is ahead of it; sets saved: whose backup is needed
    ahead='' saved='' nearest=''
    for mark in "$state/irreversible"/*; do
        version=${mark##*/} before=''
        is_name "$version" || continue
        read -r before <"$mark" || continue
        hops=$(count_hops "$before" "$1") || continue
        ahead="$ahead $version"
        [ -z "$nearest" ] || [ "$hops" -lt "$nearest" ] || continue
        nearest=$hops saved=$before
    done
    [ -n "$saved" ]
}

count_hops() { # count_hops <version> <older one>: how many hops lie between, as the journal tells; fails for no way
    awk -v at="$1" -v to="$2" '
    $4 == "begin" && NF >= 6 && ($3 == "upgrade" || $3 == "switch") { before[$6] = $5 }
    END {
        while (at "" != to "") {
            if (hops > 100 || !(at in before)) exit 1
            at = before[at]
            hops++
        }
        print hops + 0
    }' "$state/journal" 2>/dev/null
}

refuse_without_restore() { # no way over data that the old version cannot read, neither half back nor down
    find_backup "$installed" && refuse 'restore is pending' "the backup of $saved: roll back first"
    find_backup "$LL_TO" && refuse 'a release above it is irreversible' "roll back instead: only that restores a backup"
    saved=''
}

restore() { # restore <version that is to run>: bring back the data that it can read, if it is ahead
    find_backup "$1" || return 0
    [ -n "$LL_RESTORE" ] || { problem='restore: the product has no such command' && return 1; }
    run restore "$LL_BASE/current" "$LL_RESTORE" || return 1
    reached restored
    for version in $ahead; do rm -f "$state/irreversible/$version"; done
    flush "$state/irreversible"
}
