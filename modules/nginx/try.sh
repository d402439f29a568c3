#!/bin/sh
# Fetches the source of nginx that another release of Debian has ($1, as trixie), without Debian's patches, and builds it in $2
# with the options of this release's.
set -eu
release=$1
work=$2
rm -rf "$work"
mkdir -p "$work/apt/lists/partial" "$work/apt/cache" "$work/nginx"
cd "$work/apt"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb-src [signed-by=$keyring] http://deb.debian.org/debian $release main" >sources.list
try_apt() {
    apt-get -qq -o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User=root "$@"
}
try_apt update
try_apt source --download-only --tar-only nginx
tar -xzf nginx_*.orig.tar.gz --strip-components=1 -C "$work/nginx"
cd "$work/nginx"
bash -c '. /usr/share/nginx/src/conf_flags && ./configure "${NGX_CONF_FLAGS[@]}"' >configure.log 2>&1 || { tail configure.log >&2; exit 1; }
make -s -j"$(nproc)" -f objs/Makefile binary >make.log 2>&1 || { tail make.log >&2; exit 1; }
objs/nginx -v
