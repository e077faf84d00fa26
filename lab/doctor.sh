#!/bin/sh
# Finds a Python for lab/doctor.py, which says what this machine lacks.
cd "$(dirname "$0")/.." || exit 1
for python in "${PYTHON:-}" .venv/bin/python python3.13 python3.12 python3.11 python3 python; do
    if [ -n "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1; then
        exec "$python" lab/doctor.py
    fi
done
echo "missing  Python: no Python answers. Install 3.11 or later from https://www.python.org/downloads/." >&2
exit 1
