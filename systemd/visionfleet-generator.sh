#!/bin/sh
# systemd runs this at boot and at every daemon-reload: one classifier per CPU set or GPU.
exec /usr/bin/visionfleet placement --generate "$1"
