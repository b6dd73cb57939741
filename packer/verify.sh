#!/bin/sh
# Tells every fault of the image that was made, and fails when there is one. Changes nothing.
set -u
faults=$(mktemp)
any=$(mktemp -d)
chmod 755 "$any"
units="visionfleet-instance.service visionfleet-signal.service visionfleet.target visionfleet-web.service visionfleet-scaler.service
	visionfleet-classifiers.target visionfleet-classifier@.service"
homes="$(echo ~root) /home"

fault() { echo "fault: $*" | tee -a "$faults" >&2; }

# Each line of standard input is a fault of this kind.
none() { while read -r line; do fault "$1: $line"; done; }

units_are_as_they_should() {
	for unit in $units; do
		[ -e "/usr/lib/systemd/system/$unit" ] || fault "unit is not installed: $unit"
		state=$(systemctl is-enabled "$unit" 2>&1)
		case $unit/$state in
		visionfleet-instance.service/enabled) ;;
		visionfleet-instance.service/*) fault "unit is $state, not enabled: $unit" ;;
		visionfleet-signal.service/static) ;;
		*/disabled | */enabled-runtime) ;; # the role of an instance starts them; a generator may link
		*) fault "unit is $state, not disabled: $unit" ;;
		esac
	done
	for timer in apt-daily apt-daily-upgrade; do
		state=$(systemctl is-enabled "$timer.timer" 2>&1)
		[ "$state" = masked ] || fault "unit is $state, not masked: $timer.timer"
	done
}

# As the user of the daemons, who must be able to read it all; from a folder that is not somebody's
# home, which is closed from Debian 13 on, and where OpenVINO looks for files.
cd /
as_daemon() { setpriv --reuid visionfleet --regid visionfleet --clear-groups --no-new-privs "$@"; }

the_daemons_can_work() {
	as_daemon visionfleet config check >/dev/null || fault "configuration is refused"
	photos=/usr/share/visionfleet/photos
	case $(as_daemon visionfleet config show) in
	*"name: efficientnet_lite0 "*) expected='"top1": 1.0,' ;;
	*) # what a model of one's own makes of the photo is not known, but that it can
		cp "$photos/967_espresso.jpg" "$any/000_any.jpg"
		photos=$any expected='"unreadable": 0,'
		;;
	esac
	answer=$(as_daemon visionfleet evaluate --json "$photos") || fault "no image can be classified"
	case $answer in
	*"$expected"*) ;;
	*) fault "a cup of coffee is not taken for an espresso: $answer" ;;
	esac
	[ -s /usr/share/visionfleet/sbom.json ] || fault "there is no list of packages"
	# They may not write there, and would compile it anew at every start.
	/opt/visionfleet/bin/python - <<-END | none "module is not compiled"
		import importlib.util, pathlib, visionfleet, visionfleetd
		for package in visionfleet, visionfleetd:
		    for module in pathlib.Path(package.__file__).parent.rglob("*.py"):
		        if not pathlib.Path(importlib.util.cache_from_source(module)).exists():
		            print(module)
	END
}

nothing_is_secret() {
	# shellcheck disable=SC2086 # a list of words
	{
		find /etc/ssh -name 'ssh_host_*' | none "SSH key of the machine"
		find $homes -name authorized_keys -size +0 | none "SSH key of a person"
		find $homes -name '.*_history' -size +0 | none "history of a shell"
		find $homes -name .aws | none "credentials of AWS"
		find /etc/credstore /etc/credstore.encrypted -type f 2>/dev/null | none "credential"
		grep -rlIE -e '-----BEGIN [A-Z ]*PRIVATE KEY-----' /etc $homes 2>/dev/null | none "private key"
		grep -rlIE -e '(AKIA|ASIA)[0-9A-Z]{16}|aws_secret_access_key' /etc $homes 2>/dev/null |
			none "credentials of AWS"
	}
	awk -F: '$2 !~ /^[!*]/ { print $1 }' /etc/shadow | none "password of a user"
	if [ -e /etc/visionfleet/environment ]; then fault "environment of the daemons is set"; fi
	# What a boot writes from user data; other files are the operator's, for all machines.
	find /etc/visionfleet/conf.d -name 80-operator.yaml -o -name 90-instance.yaml | none "settings of one machine"
}

nothing_is_left_over() {
	[ -e /etc/machine-id ] || fault "there is no /etc/machine-id"
	[ ! -s /etc/machine-id ] || fault "/etc/machine-id is not empty"
	find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run \) -prune -o \
		-type f -perm -0002 -print -o -type d -perm -0002 -not -perm -1000 -print | none "writable by all"
	# shellcheck disable=SC2086 # a list of words
	find $homes -maxdepth 3 -path '*/.cache/pip' | none "cache of pip"
	find /var/lib/apt/lists -type f -name '*_Packages*' | none "list of apt"
	if [ -e "$IMAGE_UPLOADS" ]; then fault "upload of the making: $IMAGE_UPLOADS"; fi
}

units_are_as_they_should
the_daemons_can_work
nothing_is_secret
nothing_is_left_over
rm -r "$any"
if [ -s "$faults" ]; then exit 1; fi
rm -f "$faults"
echo "the image is as it should be"
