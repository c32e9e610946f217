# shellcheck shell=sh disable=SC2034,SC2154  # what one part sets, another reads
#
# A port that must accept connections as well: only in the program of a product that names one.

accepts() { # accepts <seconds> <host> <port>: whether a connection comes about; each way ends with it, whoever keeps it open
    at=${2#[} at=${at%]}
    if has python3; then
        timeout -k 1 "$1" python3 -c "$python_connect" "$at" "$3"
    elif has nc; then
        case $(nc --help 2>&1) in
        *BusyBox*) timeout -k 1 "$1" nc -w "$1" "$at" "$3" -e true ;;
        *) timeout -k 1 "$1" nc -z "$at" "$3" ;;
        esac
    elif has bash; then
        # shellcheck disable=SC2016 # bash is to expand it
        timeout -k 1 "$1" bash -c ': </dev/tcp/"$1"/"$2"' bash "$at" "$3"
    else
        # Once connected, curl looks at its telnet options, finds a bad one, and ends.
        case $(curl -q -g -s -m 1 -t none -w '%{time_connect}' --url "telnet://$2:$3" </dev/null) in *[1-9]*) ;; *) return 1 ;; esac
    fi
}

python_connect='import sys, socket; socket.create_connection(sys.argv[1:])'
