#!/bin/sh
# Builds a static binary without symbols for each target, the same bytes in whatever directory:
#
#   sh deploy/dist/build.sh TOOLS OUT TARGET...        called by `make dist`
#
# Zig is the C compiler and the linker for every target; it brings musl, and what it makes does not depend on the compiler
# of the machine. Paths are replaced by fixed ones, in Rust and in C.
set -eu
tools=$1 out=$2
shift 2

export PATH="$tools/venv/bin:$tools/bin:$PATH"
cargo_home=${CARGO_HOME:-$HOME/.cargo}
sysroot=$(rustc --print sysroot)
unit=$(printf '\037')
# Later ones win where several fit.
CARGO_ENCODED_RUSTFLAGS="--remap-path-prefix=$cargo_home=/cargo${unit}--remap-path-prefix=$sysroot=/rust${unit}--remap-path-prefix=$PWD=/build"
CFLAGS="-ffile-prefix-map=$cargo_home=/cargo -ffile-prefix-map=$PWD=/build"
export CARGO_ENCODED_RUSTFLAGS CFLAGS CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_INCREMENTAL=0
# Without these, paths of the machine are in what Zig caches, and a cache from elsewhere could be used.
export XDG_CACHE_HOME="$tools/cache" ZIG_GLOBAL_CACHE_DIR="$tools/cache/zig"
mkdir -p "$out"
for target in "$@"; do
    # Adds the list of dependencies to the binary, where `cargo audit bin` and scanners of images find it.
    cargo auditable zigbuild --release --locked --bin auth-ticket --target "$target" --target-dir "$PWD/target/dist-build"
    install -m 755 "target/dist-build/$target/release/auth-ticket" "$out/auth-ticket-$target"
done
