# shellcheck shell=sh disable=SC2034,SC2154  # what one part sets, another reads
#
# Health: which version answers, and whether it is well.

read_answer() { # prints status, version and the first of the body, a line each; only a top-level key of JSON counts
    LL_HEALTH_BODY=$LL_HEALTH_BODY awk -v key="\"$LL_VERSION_KEY\"" -v json="$LL_HEALTH_URL" '
    NR > 1 { text = text last " "; if (last ~ /[^ \t\r]/) line = last }
    { last = $0 }
    END {
        body = substr(text, 1, 300)
        lacking = ENVIRON["LL_HEALTH_BODY"] != "" && !index(text, ENVIRON["LL_HEALTH_BODY"])
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
        print last (lacking ? " lacking" : ""); print version; print body; print "."
    }'
}

ask() { # ask <seconds> <expected version, empty for any>: one request; sets running, and problem when it is not well
    answer=$({ ask_product "$1" </dev/null 9>&- | read_answer; } 2>/dev/null)
    code=${answer%%"$newline"*} && answer=${answer#*"$newline"}
    running=${answer%%"$newline"*} && answer=${answer#*"$newline"} && answer=${answer%"$newline".}
    case ${LL_HEALTH_URL:+url}$code in
    "url$LL_HEALTH_STATUS" | 0) problem='' ;;
    "url$LL_HEALTH_STATUS lacking" | '0 lacking') problem='health: the expected text is missing' ;;
    url000* | 124* | 137*) problem='health: no answer' running='' ;;
    url[1-5][0-9][0-9]*) problem="health: HTTP ${code%% *}" ;;
    [1-9] | [1-9][0-9] | [12][0-9][0-9] | [1-9]*' lacking') problem="health: exit ${code%% *}" ;;
    *) problem='health: answer too long' ;;
    esac
    [ -z "$problem" ] || return 1
    [ -n "$running" ] || { problem='health: no version answered' && return 1; }
    [ "$running" = "${2:-$running}" ] || { problem="health: version $running answered, expected $2" && return 1; }
    [ -z "$LL_HEALTH_TCP" ] || accepts "$1" "${LL_HEALTH_TCP%:*}" "${LL_HEALTH_TCP##*:}" >/dev/null 2>&1 9>&- ||
        { problem="health: $LL_HEALTH_TCP accepts no connection" && return 1; }
}

verify() { # verify <version>: healthy so many times in a row before the deadline
    now && deadline=$((clock + LL_HEALTH_DEADLINE + 1))
    good=0 rises=0 told='' same=0 before='' problem='health: no answer'
    while now && [ "$clock" -lt "$deadline" ]; do
        left=$((deadline - clock))
        [ "$left" -le 10 ] || left=10
        if ask "$left" "$1"; then
            [ "$good" -gt 0 ] || rises=$((rises + 1))
            good=$((good + 1))
            tell 'health: well'
            [ "$good" -lt "$LL_HEALTH_TIMES" ] || { told='' && return 0; }
            problem='health: not steady'
        else
            good=0
            # A question that the deadline cut short tells less than the answer before it.
            if [ "$problem" = 'health: no answer' ] && now && [ "$clock" -ge "$deadline" ]; then problem=${before:-$problem}; fi
            before=$problem
            tell "$problem: $answer"
        fi
        sleep "$LL_HEALTH_INTERVAL" 2>/dev/null || sleep 1
    done
    tell ''
    [ "$rises" -le 1 ] || problem='health: not steady'
    return 1
}

tell() { # tell <what was found>: in the log once, with its count, when something else follows; the empty text ends it
    if [ "$1" = "$told" ]; then same=$((same + 1)) && return; fi
    case $same in 0) ;; 1) note "$told" ;; *) note "$told ($same times)" ;; esac
    told=$1 same=1
}
