#!/bin/sh
# Packs the binaries that build.sh has made; every archive is the same, byte for byte, for the same SOURCE_DATE_EPOCH.
#
#   sh deploy/dist/pack.sh VERSION WORK OUT TARGET...        called by `make dist`
set -eu
version=$1 work=$2 out=$3
shift 3
umask 022
export LC_ALL=C TZ=UTC
rm -rf "$out" "$work/common" "$work/stage"
mkdir -p "$out" "$work/common" "$work/stage"

# What all archives have. The binary of this machine's kind writes its own manual and completions.
common=$work/common
own=$work/bin/auth-ticket-$(uname -m)-unknown-linux-musl
mkdir -p "$common/man/man1" "$common/completions"
"$own" man --out "$common/man/man1"
"$own" completions bash >"$common/completions/auth-ticket.bash"
"$own" completions zsh >"$common/completions/_auth-ticket"
"$own" completions fish >"$common/completions/auth-ticket.fish"
cp README*.md CHANGELOG.md SECURITY.md LICENSE-MIT LICENSE-APACHE "$common"
/usr/bin/python3 deploy/dist/dependencies.py licences "$@" >"$common/LICENSES-THIRD-PARTY.txt"
# Not what only a clone can use.
cp -r deploy docs "$common"
rm -rf "$common/deploy/dist" "$common/deploy/checks.mk" "$common/deploy/Containerfile"
/usr/bin/python3 deploy/dist/linked.py "$common"

# `tar` of a directory in $work/stage, without anything of who packs it, and when, and in what order.
pack() {
    tar --create --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw \
        --mtime="@$SOURCE_DATE_EPOCH" --directory "$work/stage" "$1" | gzip -n -9 >"$out/$1.tar.gz"
}

for target in "$@"; do
    name=auth-ticket-$version-$target
    cp -r "$common" "$work/stage/$name"
    install -m 755 "$work/bin/auth-ticket-$target" "$work/stage/$name/auth-ticket"
    pack "$name"
    sh deploy/dist/deb.sh "$version" "$target" "$work" "$out"
done

# The package of the nginx module, where it was made before.
for deb in "${work%/*}"/nginx/deb/*.deb; do
    [ ! -e "$deb" ] || cp "$deb" "$out"
done
# The program for npx, from these binaries.
if [ -e clients/npm-bin/pack.mjs ]; then
    programs=
    for target in "$@"; do
        case $target in
            x86_64-*) programs="$programs linux-x64=$work/bin/auth-ticket-$target" ;;
            aarch64-*) programs="$programs linux-arm64=$work/bin/auth-ticket-$target" ;;
        esac
    done
    # shellcheck disable=SC2086
    node clients/npm-bin/pack.mjs "$out/npm" $programs >/dev/null
fi

cd "$out"
files=$(find . -type f | sed 's|^\./||' | sort)
sums=$(sha256sum $files)
cd - >/dev/null
echo "$sums" | /usr/bin/python3 deploy/dist/dependencies.py sbom "$@" >"$out/auth-ticket-$version.cdx.json"
cd "$out"
sha256sum $(find . -type f | sed 's|^\./||' | sort) >"$work/SHA256SUMS"
mv "$work/SHA256SUMS" SHA256SUMS
# shellcheck disable=SC2012
ls -l --time-style=+ $(find . -type f | sed 's|^\./||' | sort) | awk '{ printf "%10d  %s\n", $5, $6 }'
for target in "$@"; do
    size=$(stat -c %s "auth-ticket-$version-$target.tar.gz")
    [ "$size" -le 15728640 ] || { echo "error: the archive for $target has $size bytes, more than 15 MiB" >&2; exit 1; }
done
