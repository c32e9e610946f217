# shellcheck shell=sh disable=SC2034,SC2154  # what one part sets, another reads
#
# Health by command: only in the program of a product without a URL.

ask_product() { # ask_product <seconds>: prints the output and, as the last line, the exit status
    # It may leave someone behind who keeps the pipe open: head ends all the same.
    { (product "$1" "$LL_BASE/current" "$LL_HEALTH_COMMAND") 2>>"$log"; printf '\n%s' "$?"; } |
        timeout -k 1 "$(($1 + 7))" head -c 65536
}
