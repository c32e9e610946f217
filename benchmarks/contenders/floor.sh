#!/bin/sh
# OpenSSH alone: floor.sh PORT BASE upgrades one host, as `xargs -P` calls it; the rest comes in the environment.
# Two connections, as liftlock must make: one that does the work, a fresh one that looks at what came of it.
# Host keys are checked, and the algorithms are the cheap ones that liftlock picks.
set -eu
port=$1 base=$2

reach() { # reach <command>
    ssh -F none -T -p "$port" -i "$KEY" -c aes128-gcm@openssh.com \
        -o KexAlgorithms=curve25519-sha256 -o ControlMaster=no -o ControlPath=none -o BatchMode=yes \
        -o IdentitiesOnly=yes -o IdentityAgent=none -o UpdateHostKeys=no \
        -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$KNOWN_HOSTS" -o GlobalKnownHostsFile=none \
        "$ADDRESS" "$1"
}

reach "set -e
cd '$base'
cat >artifact
echo '$SHA256  artifact' | sha256sum -c --status
mkdir 'releases/$VERSION'
tar -xf artifact -C 'releases/$VERSION'
rm artifact
ln -s 'releases/$VERSION' next
mv -fT next current" <"$ARTIFACT"

seen=$(reach "readlink '$base/current' && cat '$base/current/VERSION'")
[ "$seen" = "releases/$VERSION
$VERSION" ]
