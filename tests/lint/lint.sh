#!/bin/sh
# Runs one check of this folder: lint.sh NAME [ARGUMENT]. The tree it looks at is the one that this file lies in, which
# Bazel reaches through a link.
export PYTHONDONTWRITEBYTECODE=1
check=$1
shift
exec python3 "$(dirname "$(readlink -f "$0")")/$check.py" "$@"
