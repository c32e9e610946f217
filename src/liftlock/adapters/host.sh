# shellcheck shell=sh
#
# The host's side of liftlock: one whole phase per run, in plain POSIX sh (dash, busybox ash, bash).
# program.py puts the settings (LL_...), the function product_environment and a method before this text
# and sends all of it as the argument of one `sh -c`, so stdin is free for the artifact.
#
# Phases: probe (changes nothing), upgrade (stage and switch), stage, switch, roll_back.
# Answers: lines "LL1 <nonce> <key>=<value>" on stdout, the last one "end=1". What the product's commands
# print goes to a log file and comes back as log= lines, so nothing but this program can write an answer.
# Time: the way forward takes at most LL_PHASE_TIMEOUT, the upload included, and then LL_HEALTH_DEADLINE, and so
# does the way back. It goes on when nobody listens any more: a controller that dies leaves no half switched host.

set -u
umask 022
trap '' HUP INT PIPE
trap 'rm -f "$part"' EXIT
exec 2>&1
PATH=$PATH:/usr/sbin:/sbin
newline='
'
state=$LL_BASE/.liftlock log=/dev/null
problem='' tools='' installed='' running='' asked='' touched='' part='' to=$LL_TO from=''

# ---- answering

say() { # say <key> <value>: one frame; control bytes and length are no way out of it
    value=$2
    case $value in *[[:cntrl:]]*) value=$(printf '%s' "$value" | tr '\n\t' '  ' | tr -d '\000-\037\177') ;; esac
    [ "${#value}" -le 4000 ] || value=$(printf '%s' "$value" | head -c 4000)
    printf 'LL1 %s %s=%s\n' "$LL_NONCE" "$1" "$value" 2>/dev/null || :
}

finish() { # finish <result> [cause] [detail]: answer and end
    say result "$1" && say cause "${2-}" && say detail "${3-}"
    if [ -n "$asked" ]; then say version "$running"; else say version "$installed"; fi
    tail -c 65536 "$log" | tail -n 100 | tr -d '\000-\011\013-\037\177' |
        awk -v frame="LL1 $LL_NONCE log=" '{ print frame substr($0, 1, 1000) }' 2>/dev/null
    say end 1
    exit 0
}

refuse() { finish refused "$@"; } # refuse <cause> [detail]: nothing of the product was changed
note() { printf '== %s\n' "$1" >>"$log"; } # note <text>: a line of our own between the product's output
last_lines() { tail -c 2000 "$log" | tail -n 3 | awk 'NR > 1 { printf " | " } { printf "%s", substr($0, 1, 300) }'; }

# ---- settings: data is matched before use and never evaluated

is_name() { [ "${#1}" -le 200 ] && case $1 in '' | [.-]* | *[!A-Za-z0-9._+~:!-]*) return 1 ;; esac }
# At most 15 digits, and never octal.
is_number() { case $1 in '' | 0?* | *[!0-9]* | ????????????????*) return 1 ;; esac }
is_decimal() { case $1 in '' | *[!0-9.]* | *.*.*) return 1 ;; esac }
is_directory() { case $1/ in *[[:cntrl:]]* | */../* | *// | [!/]*) return 1 ;; esac }
is_url() { case $1 in http://?* | https://?*) ;; *) return 1 ;; esac }
is_hex() { case $1 in '' | *[!0-9a-f]*) return 1 ;; esac }
is_sha256() { [ "${#1}" -eq 64 ] && is_hex "$1"; }
must() { "$1" "$3" || refuse 'bad setting' "$2"; } # must <test> <setting> <value>

check_settings() {
    must is_directory LL_BASE "$LL_BASE"
    must is_name LL_VERSION_KEY "$LL_VERSION_KEY"
    must is_number LL_HEALTH_TIMES "$LL_HEALTH_TIMES"
    must is_decimal LL_HEALTH_INTERVAL "$LL_HEALTH_INTERVAL"
    must is_number LL_HEALTH_DEADLINE "$LL_HEALTH_DEADLINE"
    must is_number LL_PHASE_TIMEOUT "$LL_PHASE_TIMEOUT"
    [ -z "$LL_HEALTH_URL" ] || must is_url LL_HEALTH_URL "$LL_HEALTH_URL"
    [ "$LL_PHASE" != probe ] || return 0
    must is_name LL_TO "$LL_TO"
    [ -z "$LL_FROM" ] || must is_name LL_FROM "$LL_FROM"
    must is_name LL_PLAN "$LL_PLAN"
    must is_number LL_ATTEMPT "$LL_ATTEMPT"
    must is_number LL_FENCE "$LL_FENCE"
    [ -n "$LL_HEALTH_URL$LL_HEALTH_COMMAND" ] || [ "$LL_PHASE" = stage ] || refuse 'bad setting' LL_HEALTH_COMMAND
    [ "$LL_PHASE" != roll_back ] || return 0
    must is_sha256 LL_SHA256 "$LL_SHA256"
    [ "$LL_PHASE" = switch ] || must is_number LL_LENGTH "$LL_LENGTH"
}

# ---- the host

has() { command -v "$1" >/dev/null 2>&1; }
flush() { sync "$1" 2>/dev/null || sync; } # flush <file or directory>, to the disk
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
    for tool in awk cat chmod date df flock head ln mkdir mktemp mv readlink rm sed sha256sum sleep sync tail \
        timeout tr wc $tools; do
        has "$tool" || missing="$missing $tool"
    done
    case $(mv --help 2>&1) in *-T*) ;; *) missing="$missing mv-T" ;; esac
    ! has timeout || timeout -k 1 5 true 2>/dev/null || missing="$missing timeout-k"
    [ -z "$LL_HEALTH_URL" ] || has curl || has wget || has python3 || missing="$missing curl"
    missing=${missing# }
}

measure() { # sets free_bytes and free_inodes of the filesystem of the base; empty where it cannot be told
    place=$LL_BASE
    while [ ! -d "$place" ]; do place=${place%/*} && place=${place:-/}; done
    free_bytes=$(df -Pk "$place" 2>/dev/null | awk 'NR == 2 && $4 ~ /^[0-9]+$/ { printf "%.0f", $4 * 1024 }')
    free_inodes=$(df -Pi "$place" 2>/dev/null | awk 'NR == 2 && $2 > 0 && $4 ~ /^[0-9]+$/ { print $4 }')
}

look() { # refuse unless this host is as the controller thinks; changes nothing
    [ -d "$LL_BASE" ] || refuse 'base missing' "$LL_BASE"
    [ -w "$LL_BASE" ] || refuse 'base not writable' "$LL_BASE"
    method_installed || [ "$LL_PHASE $problem" = 'roll_back current is dangling' ] || refuse "$problem"
    [ "$LL_PHASE" != stage ] || return 0 # it may run days ahead, before the hops in between
    case $installed in "$LL_TO" | "${LL_FROM:-$installed}") return 0 ;; esac
    refuse 'another version is installed' "${installed:-none} instead of $LL_FROM"
}

hold() { # take the lock for this run, and outdate every older controller
    find_missing_tools || refuse "$problem"
    [ -z "$missing" ] || refuse 'missing tools' "$missing"
    (umask 077 && mkdir -p "$state/incoming" "$state/staged" && true >>"$state/lock") ||
        refuse 'base not writable' "$state"
    exec 9>>"$state/lock"
    # A probe holds it for an instant, therefore more than one try.
    flock -n 9 || { sleep 0.5 && flock -n 9; } || { sleep 0.5 && flock -n 9; } ||
        refuse busy "$(head -c 300 "$state/owner" 2>/dev/null)"
    fence=0
    if [ -e "$state/fence" ]; then fence=$(head -c 20 "$state/fence"); fi
    is_number "$fence" || refuse 'fence unreadable' "$state/fence"
    [ "$LL_FENCE" -ge "$fence" ] || refuse 'stale fence' "$LL_FENCE came after $fence"
    write fence "$LL_FENCE" || refuse 'base not writable' "$state/fence"
    write owner "$LL_PLAN $LL_ATTEMPT $LL_PHASE $(date -u +%Y-%m-%dT%H:%M:%SZ)"
    log=$state/log && printf '' >"$log"
}

prepare() { # look first where nothing of ours is yet, and in any case once the lock is ours
    [ -e "$state/lock" ] || look
    hold && look
}

write() { # write <file of .liftlock> <line>: durably, whole or not at all
    printf '%s\n' "$2" >"$state/$1.new" && flush "$state/$1.new" && mv -f "$state/$1.new" "$state/$1" && flush "$state"
}

journal() { # journal <state of this phase>; a line cut off by a crash is ended first
    [ -z "$(tail -c 1 "$state/journal" 2>/dev/null)" ] || echo >>"$state/journal"
    printf '%s %s %s %s\n' "$LL_PLAN" "$LL_ATTEMPT" "$LL_PHASE" "$1" >>"$state/journal" && flush "$state/journal"
}

# ---- the product's commands: their own environment, no stdin, no lock, no ear on our signals, a time limit

product() { # product <seconds> <directory> <command>; in a subshell, it does not return
    trap - HUP INT PIPE
    cd "$2" || exit 126
    export LIFTLOCK_BASE="$LL_BASE" LIFTLOCK_VERSION="$to" LIFTLOCK_PREVIOUS="$from"
    product_environment
    exec timeout -k 5 "$1" sh -c -- "$3"
}

run() { # run <step> <directory> <command>
    note "$1"
    limit
    began=$clock
    (product "$seconds" "$2" "$3") </dev/null >>"$log" 2>&1 9>&-
    status=$?
    [ "$status" -ne 0 ] || return 0
    now
    problem="$1: exit $status"
    case $status in 124 | 137 | 143) [ $((clock - began)) -lt "$seconds" ] || problem="$1: timed out" ;; esac
    note "$problem"
    return 1
}

restart() { [ -z "$LL_RESTART" ] || run restart "$LL_BASE/current" "$LL_RESTART"; }

# ---- health

ask_url() { # ask_url <seconds>: prints the body and, as the last line, the HTTP status; 000 when it is not whole
    unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
    if has curl; then
        timeout -k 1 "$(($1 + 1))" curl -q -g -s -m "$1" -w '\n%{http_code}' --url "$LL_HEALTH_URL" || printf '\n000'
    elif has wget; then
        exec 3>&1
        code=$(timeout -k 1 "$1" wget -q -S -O - "$LL_HEALTH_URL" 2>&1 >&3 3>&-)
        status=$?
        code=$(printf '%s\n' "$code" | sed -n 's/.*HTTP\/[0-9.]* \([0-9][0-9][0-9]\).*/\1/p' | head -n 1)
        [ "$code" != 200 ] || [ "$status" -eq 0 ] || code=000
        printf '\n%s' "${code:-000}"
    else
        timeout -k 1 "$1" python3 -c "$python_get" "$LL_HEALTH_URL" || printf '\n000'
    fi
}

python_get='import sys, http.client as h, urllib.parse as p; u = p.urlsplit(sys.argv[1]);
c = (h.HTTPSConnection if u.scheme == "https" else h.HTTPConnection)(u.hostname, u.port);
c.request("GET", (u.path or "/") + ("?" + u.query if u.query else "")); a = c.getresponse();
sys.stdout.buffer.write(a.read(60000) + b"\n%03d" % a.status)'

ask_command() { # ask_command <seconds>: prints the output and, as the last line, the exit status
    # It may leave someone behind who keeps the pipe open: cat ends all the same.
    { (product "$1" "$LL_BASE/current" "$LL_HEALTH_COMMAND") 2>>"$log"; printf '\n%s' "$?"; } |
        timeout -k 1 "$(($1 + 7))" cat
}

ask_product() { if [ -n "$LL_HEALTH_URL" ]; then ask_url "$1"; else ask_command "$1"; fi; }

read_answer() { # prints status, version and the first of the body, a line each; only a top-level key of JSON counts
    awk -v key="\"$LL_VERSION_KEY\"" -v json="$LL_HEALTH_URL" '
    NR > 1 { text = text last " "; if (last ~ /[^ \t\r]/) line = last }
    { last = $0 }
    END {
        body = substr(text, 1, 300)
        if (json == "") { version = line; sub(/[ \t\r]+$/, "", version); text = "" }
        while (match(text, /"([^"\\]|\\.)*"|[][{}:,]|[^][{}:," \t\r]+/)) {
            token = substr(text, RSTART, RLENGTH)
            text = substr(text, RSTART + RLENGTH)
            if (token == "{" || token == "[") depth++
            else if (token == "}" || token == "]") depth--
            else if (token == ":") name = before
            else if (depth == 1 && before == ":" && name == key) { version = token; gsub(/^"|"$/, "", version); break }
            before = token
        }
        print last; print version; print body; print "."
    }'
}

ask() { # ask <seconds> <expected version, empty for any>: one request; sets running, and problem when it is not well
    asked=1
    answer=$({ ask_product "$1" </dev/null 9>&- | head -c 65536 | read_answer; } 2>/dev/null)
    code=${answer%%"$newline"*} && answer=${answer#*"$newline"}
    running=${answer%%"$newline"*} && answer=${answer#*"$newline"} && answer=${answer%"$newline".}
    case ${LL_HEALTH_URL:+url}$code in
    url200 | 0) problem='' ;;
    url000 | 124 | 137) problem='health: no answer' running='' ;;
    url[1-5][0-9][0-9]) problem="health: HTTP $code" ;;
    [1-9] | [1-9][0-9] | [12][0-9][0-9]) problem="health: exit $code" ;;
    *) problem='health: answer too long' ;;
    esac
    [ -z "$problem" ] || return 1
    [ -n "$running" ] || { problem='health: no version answered' && return 1; }
    [ "$running" = "${2:-$running}" ] || { problem="health: version $running answered, expected $2" && return 1; }
}

verify() { # verify <version>: healthy so many times in a row before the deadline
    now && deadline=$((clock + LL_HEALTH_DEADLINE + 1))
    good=0 told='' problem='health: no answer'
    while now && [ "$clock" -lt "$deadline" ]; do
        left=$((deadline - clock))
        [ "$left" -le 10 ] || left=10
        if ask "$left" "$1"; then
            good=$((good + 1))
            [ "$good" -lt "$LL_HEALTH_TIMES" ] || return 0
            problem='health: not steady'
        else
            good=0
            [ "$problem" = "$told" ] || note "$problem: $answer"
            told=$problem
        fi
        sleep "$LL_HEALTH_INTERVAL" 2>/dev/null || sleep 1
    done
    return 1
}

# ---- phases

probe() {
    find_missing_tools || missing=''
    problem=''
    method_installed || :
    [ -d "$LL_BASE" ] || problem='base missing'
    cause=$problem
    measure
    say installed "$installed"
    if [ -n "$LL_HEALTH_URL$LL_HEALTH_COMMAND" ]; then
        to=$installed
        if ask 10 ''; then say healthy 1; else say healthy 0 && say detail "$answer"; fi
        say running "$running"
        cause=${cause:-$problem}
    fi
    say free_bytes "$free_bytes" && say free_inodes "$free_inodes"
    say missing_tools "$missing"
    if [ ! -r "$state/lock" ] || ! has flock || flock -s -n "$state/lock" true; then say busy 0; else say busy 1; fi
    say journal "$(tail -c 1000 "$state/journal" 2>/dev/null | tail -n 1)"
    say cause "$cause"
    say end 1
}

verified() { [ "$(sha256sum <"$1" | head -c 64)" = "$LL_SHA256" ]; } # verified <file>: whether it is the artifact
refuse_unless_staged() { staged || refuse 'not staged' "$LL_TO"; }
staged() { method_has "$LL_TO" && [ "$(head -c 64 "$state/staged/$LL_TO" 2>/dev/null)" = "$LL_SHA256" ]; }

receive() { # receive <file>: the artifact from stdin, under its name only once it is whole and verified
    measure
    wanted=$((LL_LENGTH * 3))
    [ "${free_bytes:-$wanted}" -ge "$wanted" ] || refuse 'not enough space' "$wanted bytes needed, $free_bytes free"
    [ "${free_inodes:-100}" -ge 100 ] || refuse 'not enough inodes' "$free_inodes free"
    rm -f "$state/incoming"/.part.*
    part=$(mktemp "$state/incoming/.part.XXXXXX") || refuse 'base not writable' "$state/incoming"
    say need "$LL_LENGTH"
    limit
    timeout -k 5 "$seconds" head -c "$LL_LENGTH" >"$part" 9>&-
    size=$(($(wc -c <"$part")))
    [ "$size" -eq "$LL_LENGTH" ] || refuse 'upload incomplete' "$size of $LL_LENGTH bytes"
    verified "$part" || refuse 'sha256 does not match'
    flush "$part"
    mv -f "$part" "$1" || refuse 'base not writable' "$1"
}

stage() {
    if staged; then say have 1 && return; fi
    [ "$installed" != "$LL_TO" ] || refuse 'the release is current'
    artifact=$state/incoming/$LL_SHA256
    if [ -f "$artifact" ] && verified "$artifact"; then say have 1; else receive "$artifact"; fi
    rm -f "$state/staged/$LL_TO"
    method_stage "$artifact" || refuse "$problem" "$(last_lines)"
    write "staged/$LL_TO" "$LL_SHA256" || refuse 'base not writable' "$state/staged"
}

refuse_if_current() { # what is current is never switched to, nor touched
    [ "$installed" = "$LL_TO" ] || return 0
    verify "$LL_TO" && finish already_current
    refuse 'installed but not healthy' "$problem"
}

refuse_if_late() { # a slow upload must not take the time of the restart; what is staged waits for the next attempt
    limit && [ "$seconds" -ge $((LL_PHASE_TIMEOUT / 2)) ] || refuse 'staged too late to switch' "$seconds s are left"
}

forward() {
    [ -z "$LL_BACKUP" ] || [ -z "$previous" ] || run backup "$LL_BASE/current" "$LL_BACKUP" || return 1
    [ -z "$LL_BEFORE" ] || run before_switch "$LL_BASE/releases/$LL_TO" "$LL_BEFORE" || return 1
    flush_filesystem "$LL_BASE"
    touched=1
    method_activate "$LL_TO" && restart || return 1
    [ -z "$LL_AFTER" ] || run after_switch "$LL_BASE/current" "$LL_AFTER" || return 1
    verify "$LL_TO"
}

back() {
    if [ -n "$touched" ]; then method_roll_back "$previous" || return 1; fi
    [ -n "$previous" ] || { problem='nothing to go back to' && return 1; }
    # Where nothing was switched, a product that is well needs no restart.
    if [ -n "$touched" ] || ! ask 10 "$previous"; then restart || :; fi
    verify "$previous"
}

switch() {
    previous=$installed from=$installed
    journal begin || refuse 'journal not writable'
    if forward; then
        journal switched
        method_prune
        rm -f "$state/incoming"/*
        finish switched
    fi
    cause=$problem detail=$(last_lines)
    note "going back to ${previous:-nothing}"
    start_phase_time
    to=$previous from=$LL_TO
    if back; then
        journal rolled_back
        finish rolled_back "$cause" "$detail"
    fi
    journal failed
    finish failed "$cause" "the way back: $problem | $detail"
}

roll_back() {
    method_has "$LL_TO" || refuse 'the release is not on the host' "$LL_TO"
    from=$installed
    journal begin || refuse 'journal not writable'
    if [ "$installed" != "$LL_TO" ] || ! ask 10 "$LL_TO"; then
        { method_roll_back "$LL_TO" && restart; } || undone=$problem
    fi
    if verify "$LL_TO"; then
        journal switched
        finish switched
    fi
    journal failed
    finish failed "${undone:-$problem}" "$(last_lines)"
}

is_hex "$LL_NONCE" || exit 2
echo
check_settings
start_phase_time
case $LL_PHASE in
probe) probe ;;
upgrade) prepare && refuse_if_current && stage && refuse_if_late && switch ;;
stage) prepare && stage && finish staged ;;
switch) prepare && refuse_if_current && refuse_unless_staged && switch ;;
roll_back) prepare && roll_back ;;
*) refuse 'bad setting' LL_PHASE ;;
esac
