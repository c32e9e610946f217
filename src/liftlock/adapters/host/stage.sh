# shellcheck shell=sh disable=SC2034,SC2154  # what one part sets, another reads
#
# Phase stage: the release lies on the host, verified, and nothing is switched.

verified() { # verified <file>: whether it is the artifact
    sha256=$(sha256sum <"$1")
    [ "${sha256%% *}" = "$LL_SHA256" ]
}
staged() {
    sha256=''
    method_has "$LL_TO" && { read -r sha256 <"$state/staged/$LL_TO"; } 2>/dev/null && [ "$sha256" = "$LL_SHA256" ]
}
find_artifact() { # sets artifact; whether it is here, and verified just now
    artifact=$state/incoming/$LL_SHA256
    [ -f "$artifact" ] && verified "$artifact"
}
refuse_unless_staged() {
    { staged && find_artifact; } || refuse 'not staged' "$LL_TO"
    make_release
}

receive() { # receive <file>: the artifact from stdin, under its name only once it is whole and verified
    measure
    wanted=$((LL_LENGTH * 3))
    [ "${free_bytes:-$wanted}" -ge "$wanted" ] || refuse 'not enough space' "$wanted bytes needed, $free_bytes free"
    [ "${free_inodes:-100}" -ge 100 ] || refuse 'not enough inodes' "$free_inodes free"
    clear_away "$state/incoming"/.part.*
    part=$state/incoming/.part.$$
    true >"$part" || refuse_write "$state/incoming"
    say need "$LL_LENGTH"
    limit
    timeout -k 5 "$seconds" head -c "$LL_LENGTH" >"$part" 9>&-
    verified "$part" || refuse_upload
    # Not flushed: whoever finds it after a crash verifies it again.
    mv -f "$part" "$1" || refuse_write "$1"
    part=''
    reached received
}

refuse_upload() {
    size=$(($(wc -c <"$part")))
    [ "$size" -eq "$LL_LENGTH" ] || refuse 'upload incomplete' "$size of $LL_LENGTH bytes"
    refuse 'sha256 does not match'
}

stage() {
    if [ "$installed" = "$LL_TO" ]; then
        staged || refuse 'the release is current'
        say have 1 && return
    fi
    if find_artifact; then say have 1; else receive "$artifact"; fi
    make_release
}

make_release() { # of the verified $artifact, also where it was staged before: it may have been altered since
    staged || clear_away "$state/staged/$LL_TO"
    method_stage "$artifact" || refuse "$problem" "$(last_lines)"
    reached unpacked
    # Not flushed: torn or lost in a crash it fits no artifact, and the release is staged once more.
    printf '%s\n' "$LL_SHA256" >"$state/staged/$LL_TO" || refuse_write "$state/staged"
    reached staged
}

clear_incoming() { # after the switch: all but the artifacts of other releases that were staged, they are unpacked again
    waiting=''
    for mark in "$state/staged"/*; do
        if [ "$mark" != "$state/staged/$LL_TO" ] && read -r sha256 <"$mark"; then waiting="$waiting $sha256"; fi
    done 2>/dev/null
    for artifact in "$state/incoming"/*; do
        case "$waiting " in *" ${artifact##*/} "*) ;; *) clear_away "$artifact" ;; esac
    done
}

refuse_if_late() { # a slow upload must not take the time of the restart; what is staged waits for the next attempt
    limit && [ "$seconds" -ge $((LL_PHASE_TIMEOUT / 2)) ] || refuse 'staged too late to switch' "$seconds s are left"
}
