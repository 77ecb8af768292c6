#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Installs the packages in a fresh minimal Debian, decodes, and removes them again (as root, with
# debootstrap; a few minutes):
#
#     cmake --workflow --preset package
#     sh tests/package/fresh_root.sh build/package [FOLDER]
#
# FOLDER keeps the fresh root for the next time.  The archive is the one that this machine uses.
set -eu
debs=$(cd "$1" && pwd)
root=${2:-$(mktemp -d)}
suite=${SUITE:-bookworm}
mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" "Component: main" | head -n 1)

finish()
{
    umount "$root/proc" 2>/dev/null || true
    [ -n "${keep:-}" ] || rm -rf --one-file-system "$root"
}
keep=${2:-}
trap finish EXIT

[ -e "$root/bin/sh" ] || debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$root.log"
mount -t proc proc "$root/proc"
mkdir -p "$root/debs"
rm -f "$root"/debs/*
cp "$debs"/*.deb "$root/debs"
inside()
{
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}
step()
{
    printf '\n== %s\n' "$*"
}

step install
inside sh -c 'apt-get -qq update; apt-get -qqy install --no-install-recommends /debs/*.deb python3 curl >/dev/null'
inside dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\n' trajd trajd-tools libtraj0 libtrajclient0 libtraj-dev \
    python3-trajd
inside getent passwd trajd
inside stat -c '%A %U %G %n' /var/lib/trajd /etc/trajd/config.json

step 'the commands of the README: a live dashboard on a simulated rig'
inside sh -ec 'cd /tmp
    trajctl demo 2>/tmp/demo.log & demo=$!
    trap "kill $demo 2>/dev/null || true" EXIT
    for i in $(seq 300); do curl -fsS -o /tmp/page http://127.0.0.1:5610/ 2>/dev/null && break; sleep 1; done
    sleep 3
    python3 -c "import trajd
with trajd.Control() as control: decoded = control.status()[\"frames\"][\"decoded\"]
print(\"decoded for the dashboard:\", decoded)
raise SystemExit(decoded == 0)"
    kill -INT $demo
    wait $demo
    [ -s /tmp/page ]'

step 'a model for the service, and the service as its user'
inside sh -ec 'cd /tmp
    trajctl simulate --trials-per-target 6 --out s.h5 2>/dev/null
    trajctl train --quiet --session s.h5 --out m.tjm
    install -o trajd -g trajd -m 0640 m.tjm /var/lib/trajd/model.tjm
    trajd --config /etc/trajd/config.json --check-config
    setpriv --reuid trajd --regid trajd --clear-groups trajd --config /etc/trajd/config.json 2>/tmp/log & echo $! >/tmp/pid
    trap "kill $(cat /tmp/pid) 2>/dev/null || true" EXIT
    for i in 1 2 3 4 5 6 7 8 9 10; do trajctl status >/dev/null 2>&1 && break; sleep 1; done
    trajctl pause off
    trajctl intents --quiet --out i.jsonl --idle 3 & reader=$!
    sleep 1
    trajctl replay --quiet --asap --session s.h5
    wait $reader
    trajctl decode --model m.tjm --session s.h5 --out d.jsonl
    echo "intents over the sockets: $(wc -l <i.jsonl), by decode: $(wc -l <d.jsonl)"
    [ "$(wc -l <i.jsonl)" -eq "$(wc -l <d.jsonl)" ]
    (trajctl dashboard --seconds 4 >/tmp/url & sleep 2; curl -fsS -o /tmp/page http://127.0.0.1:5610/; wait)
    echo "the dashboard: $(head -c 15 /tmp/page), $(wc -c </tmp/page) bytes"
    python3 -c "import trajd
with trajd.Control() as control: print(\"python: decoded\", control.status()[\"frames\"][\"decoded\"])"'

step 'remove: the user, the model and the configuration stay'
inside sh -ec 'apt-get -qqy remove trajd trajd-tools libtraj-dev libtraj0 libtrajclient0 python3-trajd >/dev/null
    getent passwd trajd; ls -l /var/lib/trajd /etc/trajd; ! command -v trajd'

step 'purge with a model left: the user stays; without one nothing of trajd does'
inside sh -ec 'dpkg --purge trajd 2>&1 | tail -n 2; getent passwd trajd >/dev/null; [ ! -e /etc/trajd ]
    apt-get -qqy install --no-install-recommends /debs/trajd_*.deb >/dev/null
    rm /var/lib/trajd/model.tjm
    dpkg --purge trajd 2>&1 | tail -n 2
    ! getent passwd trajd
    dpkg --purge trajd-tools libtraj-dev libtraj0 libtrajclient0 python3-trajd >/dev/null 2>&1
    find / -xdev -iname "*traj*" ! -path "/debs/*" ! -path "/tmp/*" ! -path "/var/log/*" -print >/tmp/left
    cat /tmp/left
    [ ! -s /tmp/left ]'
echo "installed, decoded, removed, purged: nothing is left"
