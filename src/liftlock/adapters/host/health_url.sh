# shellcheck shell=sh disable=SC2034,SC2154  # what one part sets, another reads
#
# Health by HTTP: only in the program of a product that has such a URL.

ask_product() { ask_url "$1" | head -c 65536; } # ask_product <seconds>: prints the body and, as the last line, the HTTP status

ask_url() { # 000 when it is not whole
    unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
    if has curl; then
        curl -q -g -s -m "$1" -w '\n%{http_code}' --url "$LL_HEALTH_URL" || printf '\n000'
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
