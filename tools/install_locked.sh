#!/usr/bin/env bash
# usage: tools/install_locked.sh FOLDER
# Make a virtual environment with the node and what locks/run.txt names, each package checked against its
# hash, and nothing else: no pip, no setuptools. The wheel is built by what locks/build.txt names.
set -euo pipefail
[ $# -eq 1 ] || { sed -n 's/^# //p' "$0" >&2; exit 2; }
folder=$1
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/build"
pip() { "$work/build/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
pip install --require-hashes -r locks/build.txt
pip wheel --no-deps --no-build-isolation --wheel-dir "$work" .
"$python" -m venv --without-pip "$folder"
pip --python "$folder/bin/python" install --no-cache-dir --no-compile --require-hashes -r locks/run.txt
pip --python "$folder/bin/python" install --no-deps --no-compile "$work"/*.whl
