#!/bin/sh
# Implements `make install` and `make uninstall`; the Makefile sets the variables.
#   DESTDIR  root directory of an image being built; empty: this machine
#   PREFIX   path of the virtual environment on that machine
#   EXTRAS   extras of the package: classifier, or nothing
#   PYTHON   interpreter of the virtual environment, at the same path on that machine
# It creates the environment; `visionfleet install` in it does the rest, as for a wheel.
set -eu
umask 022
# Debian 13 has /tmp in memory, where PyTorch's builds do not fit.
TMPDIR=${TMPDIR:-/var/tmp}
export TMPDIR
cd "$(dirname "$0")/.."

root=${DESTDIR%/}
venv=$root$PREFIX
visionfleet() { "$venv/bin/python" -m visionfleet "$@" --root "$root/" --prefix "$PREFIX"; }

case $1 in
install)
	"$PYTHON" -m venv "$venv"
	rm -rf build # a module that is gone would be packed again
	"$venv/bin/python" -m pip install --disable-pip-version-check --no-warn-script-location ".${EXTRAS:+[$EXTRAS]}"
	rm -rf build
	if [ -n "$root" ]; then # name the final place, not the one where they are made
		grep -rlIF "$venv" "$venv/bin" "$venv/pyvenv.cfg" | xargs sed -i "s|$venv|$PREFIX|g"
	fi
	visionfleet install
	;;
uninstall)
	[ ! -x "$venv/bin/python" ] || visionfleet install --remove
	rm -rf "$venv"
	;;
esac
