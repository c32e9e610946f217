# shellcheck shell=sh disable=SC2034,SC2154  # what one part sets, another reads
#
# Method "archive": a release is a directory, and the link `current` says which one is installed.
# The contents of the archive are the contents of the release directory; nothing is stripped from names.
#
# A method is the functions below. They find the settings (LL_...) and `state` (the .liftlock directory);
# one that fails returns 1 and says why, in a short stable phrase, in `problem`.

method_tools() { # sets tools: what this method needs on the host
    case $LL_ARCHIVE in
    '' | *.tar) tools=tar ;;
    *.tar.gz | *.tgz) tools='tar gzip' ;;
    *.tar.xz) tools='tar xz' ;;
    *) problem='unknown archive type' && return 1 ;;
    esac
}

method_installed() { # sets installed: the version that is current, empty for none
    installed=''
    if [ ! -L "$LL_BASE/current" ]; then
        [ ! -e "$LL_BASE/current" ] || { problem='current is not a link' && return 1; }
        return 0
    fi
    link=$(readlink "$LL_BASE/current")
    link=${link#"$LL_BASE/"}
    link=${link%/}
    case $link in
    releases/*) is_name "${link#releases/}" ;;
    *) false ;;
    esac || { problem='current points outside releases' && return 1; }
    [ -d "$LL_BASE/$link" ] || { problem='current is dangling' && return 1; }
    installed=${link#releases/}
}

method_has() { # method_has <version>: whether that release is on the host
    [ -d "$LL_BASE/releases/$1" ]
}

method_stage() { # method_stage <file>: make the verified artifact the release LL_TO, whole or not at all
    clear_away "$LL_BASE/releases"/.unpack.*
    unpacked=$LL_BASE/releases/.unpack.$$
    mkdir -p "$unpacked" || { problem='releases not writable' && return 1; }
    if ! unpack "$1" >>"$log" 2>&1; then
        rm -rf "$unpacked"
        problem='unpack failed'
        measure
        [ "${free_bytes:-1048576}" -ge 1048576 ] || problem='no space left'
        return 1
    fi
    # What stands there now was never finished, and is not current: stage() saw to that.
    clear_away "$LL_BASE/releases/$LL_TO"
    mv -fT "$unpacked" "$LL_BASE/releases/$LL_TO" || { problem='releases not writable' && return 1; }
    flush_filesystem "$LL_BASE/releases" # only then is it noted as staged
}

unpack() { # unpack <file>, into $unpacked, as far as the phase's time allows
    set -- -C "$unpacked" -xf "$1"
    case $LL_ARCHIVE in
    *.gz | *.tgz) set -- -z "$@" ;;
    *.xz) set -- -J "$@" ;;
    esac
    limit
    # The owner is who runs this: -o means so to every tar that unpacks.
    timeout -k 5 "$seconds" tar -o --no-same-permissions "$@" </dev/null 9>&- # busybox timeout leaves a child that would keep the lock
}

method_activate() { # method_activate <version>: one rename makes it current
    clear_away "$state/link"
    ln -s "releases/$1" "$state/link" || { problem='activate: the link cannot be made' && return 1; }
    reached linked
    mv -fT "$state/link" "$LL_BASE/current" || { problem='activate: the link cannot be set' && return 1; }
    flush "$LL_BASE"
}

method_roll_back() { # method_roll_back <version>: make it current again; empty: nothing was installed before
    if [ -n "$1" ]; then
        method_activate "$1"
    else
        rm -f "$LL_BASE/current" && flush "$LL_BASE"
    fi
}

method_prune() { # remove what nobody needs after a switch; releases stay, they are the way back
    clear_away "$LL_BASE/releases"/.unpack.*
}

method_remove() { # method_remove <version>: whole or not at all; what a crash leaves of it, method_prune removes
    gone=$LL_BASE/releases/.unpack.$1
    rm -rf "$gone"
    [ ! -d "$LL_BASE/releases/$1" ] || mv -fT "$LL_BASE/releases/$1" "$gone" || { problem='releases not writable' && return 1; }
    rm -rf "$gone"
}
