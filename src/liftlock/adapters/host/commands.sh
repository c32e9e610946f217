# shellcheck shell=sh disable=SC2034,SC2154  # what one part sets, another reads
#
# The product's commands: their own environment, no stdin, no lock, no ear on our signals, a time limit.

product() { # product <seconds> <directory> <command>; in a subshell, it does not return
    trap - HUP INT PIPE
    cd "$2" || exit 126
    export LIFTLOCK_BASE="$LL_BASE" LIFTLOCK_VERSION="$to" LIFTLOCK_PREVIOUS="$from" LIFTLOCK_BACKUP="$saved"
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
