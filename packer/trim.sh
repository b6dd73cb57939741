#!/bin/sh
# Leaves out what a boot does not need. An image is replaced, not kept up: nothing upgrades it in
# place, and what only tidies up over weeks would run on machines that live for minutes.
set -eu
masked="apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
	e2scrub_reap.service fstrim.timer man-db.timer unattended-upgrades.service"
# shellcheck disable=SC2086 # a list of words
systemctl --quiet mask $masked
