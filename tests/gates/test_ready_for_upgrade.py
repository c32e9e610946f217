"""Is this host ready for the upgrade? Every message here is read as the reason why a release was refused.

`liftlock gate` runs each test on each host. `host` is testinfra's Host, `liftlock_host` the host as the
inventory knows it, `product` and `release` what is about to be installed. Change and extend at will.
The host needs sh, coreutils, and one of curl, wget and python3.
"""

from __future__ import annotations

import json

import pytest

BACKUP_MAX_HOURS = 24
SPACE_FACTOR = 3  # the artifact, its unpacked files, and as much again for what they write

FETCH = """
if command -v curl >/dev/null; then curl -fsS --max-time 10 "$1"
elif command -v wget >/dev/null; then wget -q -T 10 -t 1 -O - "$1"
else python3 -c 'import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=10).read().decode())' "$1"
fi
"""


def size(octets):
    """In the largest unit of which there is at least one."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if octets >= factor:
            return f"{octets / factor:.1f} {unit}"
    return f"{octets} bytes"


@pytest.fixture
def base(liftlock_host, product):
    """The folder on the host that holds the product."""
    return liftlock_host.base or product.base


def test_service_is_healthy(host, liftlock_host, product):
    url = f"http://127.0.0.1:{liftlock_host.variables['port']}/health"
    answer = host.run("sh -c %s fetch %s", FETCH, url)
    why = answer.stderr.strip().splitlines()[-1:] or [f"exit status {answer.rc}"]
    assert answer.succeeded, f"the service does not answer healthy on {url} ({why[0]}): repair it before the upgrade"
    try:
        version = json.loads(answer.stdout).get(product.health.version_key)
    except (ValueError, AttributeError):
        version = None
    assert version, f"the service answers on {url}, but not with its version: is this {product.name}?"


def test_current_release_is_a_link(host, base):
    current = host.file(f"{base}/current")
    assert current.is_symlink, f"{base}/current is not a link to a release: this host was not installed by liftlock"
    target = host.check_output("readlink -f %s", f"{base}/current")
    releases = host.check_output("readlink -f %s", f"{base}/releases")
    assert target.startswith(f"{releases}/"), f"{base}/current points to {target}, which is not in {base}/releases"
    assert host.file(target).is_directory, f"{base}/current points to {target}, which is not there"


def test_space_for_the_new_release(host, base, release):
    needed = SPACE_FACTOR * release.artifact.length
    table = host.check_output("df -Pk %s", base)
    free = int(table.splitlines()[-1].split()[3]) * 1024
    assert free >= needed, (
        f"only {size(free)} free for {base}, {size(needed)} needed ({SPACE_FACTOR} x the artifact): make room"
    )


def test_recent_backup(host, base):
    marker = f"{base}/data/last-backup"
    assert host.file(marker).exists, f"no backup has been made yet ({marker} is missing): run bin/backup"
    made, now = host.check_output("stat -c %%Y %s && date +%%s", marker).split()
    hours = (int(now) - int(made)) // 360 / 10  # in tenths
    assert hours <= BACKUP_MAX_HOURS, (
        f"the last backup is {hours:g} h old, at most {BACKUP_MAX_HOURS} h allowed: run bin/backup"
    )


def test_no_maintenance(host, base):
    marker = f"{base}/data/maintenance"
    assert not host.file(marker).exists, (
        f"an operator has put this host into maintenance ({marker}): finish that first, then remove the file"
    )
