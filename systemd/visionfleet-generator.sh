#!/bin/sh
# systemd runs this at boot and at every daemon-reload: one classifier per CPU set or GPU.
# Python takes half a second during which nothing else starts, so it runs only if classifiers are
# enabled, or the scaler, which may start them one by one.
for link in /etc/systemd/system/*.wants/visionfleet-classifiers.target \
	/run/systemd/system/*.wants/visionfleet-classifiers.target \
	/etc/systemd/system/*.wants/visionfleet-scaler.service \
	/run/systemd/system/*.wants/visionfleet-scaler.service; do
	if [ -e "$link" ]; then exec /usr/bin/visionfleet placement --generate "$1"; fi
done
