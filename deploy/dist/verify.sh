#!/bin/sh
# Makes everything that is in OUT once more from the commit, in another directory, with another name for Cargo's home and
# an empty cache of Zig, and compares.
#
#   sh deploy/dist/verify.sh OUT TOOLS        called by `make dist-verify`
set -eu
out=$1 tools=$2
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
source=$place/elsewhere/with-a-longer-name
mkdir -p "$source" "$place/home" "$place/tools"
git archive HEAD | tar -x -C "$source"
# The crates and tools that were downloaded, under other paths.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
for entry in "$cargo_home"/*; do
    ln -s "$entry" "$place/home/"
done
for entry in venv bin; do
    ln -s "$tools/$entry" "$place/tools/"
done
AUTH_TICKET_COMMIT=$(git rev-parse --short=9 HEAD)
export AUTH_TICKET_COMMIT
# The module for nginx comes from a build of its own.
if [ -d "${out%/*}/nginx/deb" ]; then
    mkdir -p "$source/target/nginx" && cp -r "${out%/*}/nginx/deb" "$source/target/nginx"
fi
env -u CARGO_TARGET_DIR CARGO_HOME="$place/home" make --no-print-directory -C "$source" dist DIST_TOOLS="$place/tools" >/dev/null
if ! diff "$out/SHA256SUMS" "$source/target/dist/SHA256SUMS"; then
    echo "error: the second build differs; it is kept in $place" >&2
    trap - EXIT
    exit 1
fi
echo "both builds are the same: $(wc -l <"$out/SHA256SUMS") files"
