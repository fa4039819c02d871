#!/bin/sh
# Runs a command in the working tree of a kit, on a machine without network:
#
#   sh run.sh python3 benchmarks/on_a_gpu.py
#
# `make kit` writes this file and ivtutorial-kit.tar.gz into dist/; both must lie in one folder. The archive is unpacked
# once, into ivtutorial-kit beside it, and the command starts in ivtutorial-kit/tree. Packages of the kit that are not
# installed here come onto PYTHONPATH for this one command, and nothing that is installed changes. PYTHON=python3.12
# chooses the interpreter that is looked at.
set -eu
python=${PYTHON:-python3}
here=$(cd "$(dirname "$0")" && pwd)
kit=$here/ivtutorial-kit
archive=$kit.tar.gz

fail() {
    echo "kit: $*" >&2
    exit 1
}

[ $# -gt 0 ] || fail "give the command to run, such as: sh run.sh python3 benchmarks/on_a_gpu.py"
[ -f "$archive" ] || fail "there is no $archive: copy run.sh and ivtutorial-kit.tar.gz into one folder"
command -v "$python" >/dev/null || fail "there is no '$python' here: set PYTHON to an interpreter that has torch"
sum=$(cksum <"$archive")
if [ ! -e "$kit" ]; then
    mkdir "$kit.part" 2>/dev/null ||
        fail "an unpacking was broken off, or is still at work: if none is, remove $kit.part and try again"
    tar -xzf "$archive" -C "$kit.part" 2>/dev/null || {
        rm -rf "$kit.part"
        fail "$archive cannot be unpacked: copy it again (or there is no room on the disk)"
    }
    echo "$sum" >"$kit.part/unpacked"
    mv "$kit.part" "$kit"
fi
[ "$(cat "$kit/unpacked" 2>/dev/null)" = "$sum" ] ||
    fail "$kit holds another kit, or half of one: remove it, or put this kit into another folder"

path=$kit/tree
for package in "$kit"/packages/*; do
    "$python" -c "from importlib.metadata import version; version('${package##*/}')" 2>/dev/null || path=$path:$package
done
export PYTHONPATH="$path${PYTHONPATH:+:$PYTHONPATH}" HF_HUB_OFFLINE="${HF_HUB_OFFLINE:-1}"
cd "$kit/tree"
exec "$@"
