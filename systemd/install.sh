#!/bin/sh
# What `make install` and `make uninstall` do; the Makefile tells the variables.
#   DESTDIR  root of the machine that is being made; empty: this one
#   PREFIX   where the virtual environment lies on that machine
#   EXTRAS   extras of the package: classifier, or nothing
#   PYTHON   interpreter of the virtual environment, at the same path on that machine
set -eu
umask 022
cd "$(dirname "$0")/.."

root=${DESTDIR%/}
venv=$root$PREFIX
lib=$root/usr/lib
etc=$root/etc/visionfleet
share=$root/usr/share
commands="visionfleet visionfleet-web visionfleet-scaler visionfleet-classifier"
units="visionfleet.target visionfleet-classifiers.target visionfleet-web.service visionfleet-scaler.service
	visionfleet-classifier@.service visionfleet-poweroff.path visionfleet-poweroff.service
	visionfleet-instance.service visionfleet-signal.service"
generator=$lib/systemd/system-generators/visionfleet-generator

install_packages() {
	"$PYTHON" -m venv "$venv"
	rm -rf build # a module that is gone would be packed again
	"$venv/bin/python" -m pip install --disable-pip-version-check --no-warn-script-location ".${EXTRAS:+[$EXTRAS]}"
	rm -rf build
	if [ -n "$root" ]; then # name the final place, not the one where they are made
		grep -rlIF "$venv" "$venv/bin" "$venv/pyvenv.cfg" | xargs sed -i "s|$venv|$PREFIX|g"
	fi
	install -d "$root/usr/bin"
	for command in $commands; do ln -sfn "$PREFIX/bin/$command" "$root/usr/bin/$command"; done
}

install_files() {
	for unit in $units; do install -D -m 644 -t "$lib/systemd/system" "systemd/$unit"; done
	case $EXTRAS in
	*classifier*) install -D -m 755 systemd/visionfleet-generator.sh "$generator" ;;
	esac
	install -D -m 644 systemd/visionfleet.sysusers "$lib/sysusers.d/visionfleet.conf"
	install -D -m 644 systemd/visionfleet.preset "$lib/systemd/system-preset/50-visionfleet.preset"
	install -D -m 644 models/README.md "$share/doc/visionfleet/model-card.md"
	install -D -m 644 models/espresso.jpg "$share/visionfleet/photos/967_espresso.jpg"
	install -D -m 644 -t "$share/doc/visionfleet" docs/*.md
	install -d -m 755 "$etc/conf.d"
	install -d -m 700 "$root/etc/credstore"
}

# An edited file stays; what this version ships lies beside it.
install_configuration() {
	shipped=etc/visionfleet.yaml own=$etc/visionfleet.yaml
	if [ ! -e "$own" ]; then
		install -m 644 "$shipped" "$own"
	elif ! cmp -s "$shipped" "$own"; then
		install -m 644 "$shipped" "$own.new"
		echo "$own stays as it is; the new one is $own.new"
	fi
}

# At the next boot systemd would do both; on this machine it is done now.
tell_systemd() {
	[ -z "$root" ] || return 0
	systemd-sysusers visionfleet.conf
	[ ! -d /run/systemd/system ] || systemctl daemon-reload
}

case $1 in
install)
	install_packages
	install_files
	install_configuration
	tell_systemd
	;;
uninstall) # configuration, keys, state and the user stay
	for unit in $units; do rm -f "$lib/systemd/system/$unit"; done
	for command in $commands; do rm -f "$root/usr/bin/$command"; done
	rm -f "$generator" "$lib/sysusers.d/visionfleet.conf" "$lib/systemd/system-preset/50-visionfleet.preset"
	rm -rf "$venv" "$share/visionfleet" "$share/doc/visionfleet"
	[ -n "$root" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
	;;
esac
