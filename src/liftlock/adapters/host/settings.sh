# shellcheck shell=sh disable=SC2034,SC2154  # what one part sets, another reads
#
# Settings: data is matched before use and never evaluated.

is_name() { [ "${#1}" -le 200 ] && case $1 in '' | [.-]* | *[!A-Za-z0-9._+~:!-]*) return 1 ;; esac }
# At most 15 digits, and never octal.
is_number() { case $1 in '' | 0?* | *[!0-9]* | ????????????????*) return 1 ;; esac }
is_decimal() { case $1 in '' | *[!0-9.]* | *.*.*) return 1 ;; esac }
is_directory() { case $1/ in *[[:cntrl:]]* | */../* | *// | [!/]*) return 1 ;; esac }
is_url() { case $1 in http://?* | https://?*) ;; *) return 1 ;; esac }
is_hex() { case $1 in '' | *[!0-9a-f]*) return 1 ;; esac }
is_sha256() { [ "${#1}" -eq 64 ] && is_hex "$1"; }
is_status() { case $1 in [1-5][0-9][0-9]) ;; *) return 1 ;; esac }
is_place() { # host:port
    case ${1%:*} in '' | *[!]A-Za-z0-9._:[-]*) return 1 ;; esac
    is_number "${1##*:}"
}
must() { "$1" "$3" || refuse 'bad setting' "$2"; } # must <test> <setting> <value>

check_settings() {
    must is_directory LL_BASE "$LL_BASE"
    check_health_settings
    [ "$LL_PHASE" != probe ] || return 0
    must is_name LL_PLAN "$LL_PLAN"
    must is_number LL_ATTEMPT "$LL_ATTEMPT"
    must is_number LL_FENCE "$LL_FENCE"
    case $LL_PHASE in
    confirm | unlock) return 0 ;;
    prune)
        must is_number LL_KEEP "$LL_KEEP"
        set -f
        for version in $LL_KEPT; do must is_name LL_KEPT "$version"; done
        set +f
        return 0
        ;;
    esac
    must is_name LL_TO "$LL_TO"
    set -f
    for version in $LL_FROM; do must is_name LL_FROM "$version"; done
    set +f
    [ -n "$LL_HEALTH_URL$LL_HEALTH_COMMAND" ] || [ "$LL_PHASE" = stage ] || refuse 'bad setting' LL_HEALTH_COMMAND
    [ -z "$LL_CONFIRM_WITHIN" ] || must is_number LL_CONFIRM_WITHIN "$LL_CONFIRM_WITHIN"
    case $LL_PHASE in roll_back | auto) return 0 ;; esac
    must is_sha256 LL_SHA256 "$LL_SHA256"
    [ "$LL_PHASE" = switch ] || must is_number LL_LENGTH "$LL_LENGTH"
}

check_health_settings() {
    must is_name LL_VERSION_KEY "$LL_VERSION_KEY"
    must is_number LL_HEALTH_TIMES "$LL_HEALTH_TIMES"
    must is_decimal LL_HEALTH_INTERVAL "$LL_HEALTH_INTERVAL"
    must is_number LL_HEALTH_DEADLINE "$LL_HEALTH_DEADLINE"
    must is_number LL_PHASE_TIMEOUT "$LL_PHASE_TIMEOUT"
    must is_status LL_HEALTH_STATUS "$LL_HEALTH_STATUS"
    [ -z "$LL_HEALTH_URL" ] || must is_url LL_HEALTH_URL "$LL_HEALTH_URL"
    [ -z "$LL_HEALTH_TCP" ] || must is_place LL_HEALTH_TCP "$LL_HEALTH_TCP"
}
