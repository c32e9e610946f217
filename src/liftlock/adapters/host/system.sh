# shellcheck shell=sh disable=SC2034,SC2154  # what one part sets, another reads
#
# The host: its tools, its clock, its disk.

has() { command -v "$1" >/dev/null 2>&1; }
flush() { sync "$@" 2>/dev/null || sync; } # flush <file or directory>..., to the disk
flush_filesystem() { sync -f "$1" 2>/dev/null || sync; }

now() { # sets clock: seconds that never jump, where the system has them
    if read -r clock _ 2>/dev/null </proc/uptime; then clock=${clock%%.*}; else clock=$(date +%s); fi
}

start_phase_time() { now && phase_end=$((clock + LL_PHASE_TIMEOUT)); }

limit() { # sets seconds: how long the next command may take
    now && seconds=$((phase_end - clock))
    [ "$seconds" -ge 1 ] || seconds=1
}

find_missing_tools() { # sets missing
    missing=''
    method_tools || return 1
    [ -z "$LL_CONFIRM_WITHIN" ] || tools="$tools setsid"
    for tool in awk cat date flock head ln ls mkdir mv readlink rm sed sha256sum sleep stat sync tail \
        timeout tr wc $tools; do
        has "$tool" || missing="$missing $tool"
    done
    if [ "$LL_PHASE" = probe ]; then
        case $(mv --help 2>&1) in *-T*) ;; *) missing="$missing mv-T" ;; esac
        ! has timeout || timeout -k 1 5 true 2>/dev/null || missing="$missing timeout-k"
    fi
    [ -z "$LL_HEALTH_URL" ] || has curl || has wget || has python3 || missing="$missing curl"
    [ -z "$LL_HEALTH_TCP" ] || has curl || has bash || has python3 || has nc || missing="$missing nc"
    missing=${missing# }
}

measure() { # sets free_bytes and free_inodes of the filesystem of the base; empty where it cannot be told
    place=$LL_BASE
    while [ ! -d "$place" ]; do place=${place%/*} && place=${place:-/}; done
    read -r blocks size all inodes <<END
$(stat -f -c '%a %S %c %d' "$place" 2>/dev/null)
END
    free_bytes='' free_inodes=''
    is_number "$blocks" && is_number "$size" && free_bytes=$((blocks * size))
    is_number "$inodes" && [ "$all" != 0 ] && free_inodes=$inodes
}

clear_away() { # clear_away <path>...: what of it is there
    for path; do
        if [ -e "$path" ] || [ -L "$path" ]; then rm -rf "$path"; fi
    done
}

refuse_write() { # refuse_write <path>: why it cannot be written
    measure
    [ "${free_bytes:-4096}" -ge 4096 ] && [ "${free_inodes:-1}" -ge 1 ] || refuse 'no space left' "$1"
    refuse 'base not writable' "$1"
}

look() { # refuse unless this host is as the controller thinks; changes nothing
    [ -d "$LL_BASE" ] || refuse 'base missing' "$LL_BASE"
    [ -w "$LL_BASE" ] || refuse 'base not writable' "$LL_BASE"
    method_installed || [ "$LL_PHASE $problem" = 'roll_back current is dangling' ] || refuse "$problem"
    # A release may be staged days ahead, before the hops in between.
    case $LL_PHASE in stage | prune) return 0 ;; esac
    [ -n "$LL_FROM" ] || return 0
    # On the way back it names every version of the plan's way; a host without any has nothing to be kept from.
    [ "$LL_PHASE${installed:+ any}" != roll_back ] || return 0
    case " $LL_TO $LL_FROM " in *" $installed "*) return 0 ;; esac
    refuse 'another version is installed' "${installed:-none} instead of $LL_FROM"
}
