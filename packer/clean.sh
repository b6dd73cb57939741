#!/bin/sh
# Removes what must not be the same on every machine, what nobody else may know, and what is waste.
set -eu
if command -v cloud-init >/dev/null; then cloud-init clean --logs; fi
rm -rf "$IMAGE_UPLOADS"
apt-get -qq clean
rm -rf /var/lib/apt/lists/* ~root/.cache /home/*/.cache

rm -f /etc/ssh/ssh_host_* ~root/.ssh/authorized_keys /home/*/.ssh/authorized_keys
rm -f ~root/.*_history /home/*/.*_history
rm -rf ~root/.aws /home/*/.aws
rm -rf /var/log/journal/*
find /var/log -type f -exec truncate -s 0 {} +

# Empty, not absent: each machine makes its own, and it is not taken for a first boot, on which
# systemd would enable and disable units anew.
truncate -s 0 /etc/machine-id
rm -f /var/lib/dbus/machine-id /var/lib/systemd/random-seed
