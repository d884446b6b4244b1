# Sourced by the programs of this folder: finds a Python and starts the package bootstrap, in the same process.
# usage: bootstrap MODULE EXTRA [ARGUMENT...]

bootstrap() {
    # Links to these scripts work too: "$0" is followed to where it lives.
    here=$(dirname -- "$(readlink -f -- "$0")")
    for python in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11 python; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            exec "$python" -B "$here/bootstrap/run_module.py" bootstrap "$@"
        fi
    done
    echo "pizza needs Python 3.11 or newer, and none was found: install python3, or set PYTHON to one." >&2
    exit 1
}
