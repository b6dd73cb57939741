#!/bin/sh
# Installs what all roles need. Runs as root on the machine that becomes the image.
set -eu
# From 23.4 on its status is 2 after any warning.
if command -v cloud-init >/dev/null; then cloud-init status --wait || echo "cloud-init: status $?"; fi

# With a time, Debian as it was then: the same versions at each bake.
apt() { apt-get -qq "$@"; }
if [ -n "$DEBIAN_SNAPSHOT" ]; then
	release=$(. /etc/os-release && echo "$VERSION_CODENAME")
	archive=${DEBIAN_SNAPSHOT_URL:-http://snapshot.debian.org/archive}
	signed="signed-by=/usr/share/keyrings/debian-archive-keyring.gpg check-valid-until=no"
	cat >"$IMAGE_UPLOADS/snapshot.list" <<-END
		deb [$signed] $archive/debian/$DEBIAN_SNAPSHOT $release main
		deb [$signed] $archive/debian/$DEBIAN_SNAPSHOT $release-updates main
		deb [$signed] $archive/debian-security/$DEBIAN_SNAPSHOT $release-security main
	END
	apt() { apt-get -qq -o Dir::Etc::SourceList="$IMAGE_UPLOADS/snapshot.list" -o Dir::Etc::SourceParts=- "$@"; }
fi
apt update
apt -y upgrade
# shellcheck disable=SC2086 # a list of words
apt -y install --no-install-recommends ca-certificates make python3-venv $APT_PACKAGES

mkdir "$IMAGE_UPLOADS/source"
tar -xzf "$IMAGE_UPLOADS/visionfleet.tar.gz" -C "$IMAGE_UPLOADS/source"
cd "$IMAGE_UPLOADS/source"

# In memory, where Debian 13 has /tmp, PyTorch's builds do not fit.
TMPDIR=/var/tmp
export TMPDIR
# Python's packages by their hashes, then ours, for which everything must be there.
python3 -m venv /opt/visionfleet
sh packer/packages.sh /opt/visionfleet requirements torch
# The value of the second is that of `build isolation`.
PIP_NO_INDEX=1 PIP_NO_BUILD_ISOLATION=0 make install EXTRAS=classifier
# So that no worker has to; for processors like that of this machine, others make it for themselves.
visionfleet model build --into /usr/share/visionfleet/models

install -m 644 "$IMAGE_UPLOADS/files/50-ec2.yaml" /etc/visionfleet/conf.d/
systemctl --quiet enable visionfleet-instance.service
/opt/visionfleet/bin/python packer/sbom.py >/usr/share/visionfleet/sbom.json
