#!/bin/sh
# Installs what all roles need. Runs as root on the machine that becomes the image.
set -eu
# From 23.4 on its status is 2 after any warning.
if command -v cloud-init >/dev/null; then cloud-init status --wait || echo "cloud-init: status $?"; fi

apt-get -qq update
apt-get -qq -y upgrade
# shellcheck disable=SC2086 # a list of words
apt-get -qq -y install --no-install-recommends ca-certificates make python3-venv $APT_PACKAGES

mkdir "$IMAGE_UPLOADS/source"
tar -xzf "$IMAGE_UPLOADS/visionfleet.tar.gz" -C "$IMAGE_UPLOADS/source"
make -C "$IMAGE_UPLOADS/source" install EXTRAS=classifier
# So that no worker has to; for processors like that of this machine, others make it for themselves.
visionfleet model build --into /usr/share/visionfleet/models

install -m 644 "$IMAGE_UPLOADS/files/50-ec2.yaml" /etc/visionfleet/conf.d/
systemctl --quiet enable visionfleet-instance.service
