# shellcheck shell=sh disable=SC2034,SC2154  # what one part sets, another reads
#
# The host's side of liftlock: one whole phase per run, in plain POSIX sh (dash, busybox ash, bash).
# program.py joins the settings (LL_...), the function product_environment, a method and the parts of this
# folder that the phase needs, and sends the text as an argument of one `sh`, so stdin is free for the artifact.
#
# Phases: probe (changes nothing), upgrade (stage and switch), stage, switch, confirm, roll_back, prune, unlock;
# and auto, which the host starts itself: going back unless `confirm` came in time.
# Answers: lines "LL1 <nonce> <key>=<value>" on stdout, the last one "end=1". What the product's commands
# print goes to a log file and comes back as log= lines, so nothing but this program can write an answer.
# Time: the way forward takes at most LL_PHASE_TIMEOUT, the upload included, and then LL_HEALTH_DEADLINE, and so
# does the way back. It goes on when nobody listens any more: a controller that dies leaves no half switched host.

set -u
umask 022
trap '' HUP INT PIPE
trap '[ -z "$part" ] || rm -f "$part"' EXIT
exec 2>&1
PATH=$PATH:/usr/sbin:/sbin
newline='
'
state=$LL_BASE/.liftlock log=/dev/null program=${1-}
problem='' tools='' installed='' running='' touched='' part='' to=$LL_TO from='' saved='' answer='' journaled=''

say() { # say <key> <value>: one frame; control bytes and length are no way out of it
    value=$2
    case $value in *[[:cntrl:]]*) value=$(printf '%s' "$value" | tr '\n\t' '  ' | tr -d '\000-\037\177') ;; esac
    [ "${#value}" -le 4000 ] || value=$(printf '%s' "$value" | head -c 4000)
    printf 'LL1 %s %s=%s\n' "$LL_NONCE" "$1" "$value" 2>/dev/null || :
}

finish() { # finish <result> [cause] [detail]: answer and end
    say result "$1" && say cause "${2-}" && say detail "${3-}"
    say installed "$installed" # as this phase found it
    say version "$running"     # what answered last; nobody knows what runs where nobody asked
    [ ! -s "$log" ] || tell_log
    say end 1
    exit 0
}

tell_log() { # what the product's commands have printed, long lines in pieces
    size=$(($(wc -c <"$log"))) most=262144
    [ "$size" -le "$most" ] || say log "[$((size - most)) bytes before this are in $log on the host, until its next phase]"
    tail -c "$most" "$log" | tr -d '\000-\011\013-\037\177' | awk -v frame="LL1 $LL_NONCE log=" '
    { at = 1; do { print frame substr($0, at, 1000); at += 1000 } while (at <= length($0)) }' 2>/dev/null
}

refuse() { finish refused "$@"; } # refuse <cause> [detail]: nothing of the product was changed
note() { printf '== %s\n' "$1" >>"$log"; } # note <text>: a line of our own between the product's output
last_lines() { tail -c 2000 "$log" | tail -n 3 | awk 'NR > 1 { printf " | " } { printf "%s", substr($0, 1, 300) }'; }
