# shellcheck shell=sh disable=SC2034,SC2154  # what one part sets, another reads
#
# Only under test: what happens at the one named place LL_FAILPOINT=<name>:<action>. Otherwise program.py leaves out
# this part and every line that calls it.

reached() { # reached <name>
    [ "${LL_FAILPOINT%%:*}" = "$1" ] || return 0
    case ${LL_FAILPOINT#*:} in
    kill) kill -s KILL $$ ;;
    term) kill -s TERM $$ ;;
    stop) kill -s STOP $$ ;;
    'sleep '*) sleep "${LL_FAILPOINT#*:sleep }" ;;
    esac
}
