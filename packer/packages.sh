#!/bin/sh
# packages.sh VENV LOCK...: installs Python's packages of these locks into a virtual environment, by
# their hashes. With TORCH_INDEX_URL, those of torch are builds of the same versions that PyPI has not.
set -eu
python=$1/bin/python
shift
locks=$(dirname "$0")
get() { "$python" -m pip install --quiet --disable-pip-version-check "$@"; }
for lock; do
	if [ "$lock" = torch ] && [ -n "$TORCH_INDEX_URL" ]; then
		# shellcheck disable=SC2046 # a list of words
		get --no-deps --index-url "$TORCH_INDEX_URL" $(sed -nE 's/^(torch|torchvision)(==[^ ]+).*/\1\2/p' "$locks/torch.lock")
	else
		get --require-hashes --requirement "$locks/$lock.lock"
	fi
done
