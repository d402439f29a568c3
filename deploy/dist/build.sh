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
# A position-independent binary, which the kernel loads at another address each time. Without `-pie`, Zig links one for a fixed
# address. Of paths, later ones win where several fit.
CARGO_ENCODED_RUSTFLAGS="-Crelocation-model=pic${unit}-Ctarget-feature=+crt-static${unit}-Clink-arg=-pie${unit}--remap-path-prefix=$cargo_home=/cargo${unit}--remap-path-prefix=$sysroot=/rust${unit}--remap-path-prefix=$PWD=/build"
CFLAGS="-ffile-prefix-map=$cargo_home=/cargo -ffile-prefix-map=$PWD=/build"
export CARGO_ENCODED_RUSTFLAGS CFLAGS CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_INCREMENTAL=0
# Without these, paths of the machine are in what Zig caches, and a cache from elsewhere could be used.
export XDG_CACHE_HOME="$tools/cache" ZIG_GLOBAL_CACHE_DIR="$tools/cache/zig"
mkdir -p "$out"
for target in "$@"; do
    # Adds the list of dependencies to the binary, where `cargo audit bin` and scanners of images find it.
    cargo auditable zigbuild --release --locked --bin auth-ticket --target "$target" --target-dir "$PWD/target/dist-build"
    binary=target/dist-build/$target/release/auth-ticket
    headers=$(readelf -W -h -l "$binary")
    case $headers in *"DYN (Position-Independent Executable file)"*) ;; *) echo "error: $binary is not position-independent" >&2; exit 1 ;; esac
    case $headers in *INTERP*) echo "error: $binary is not static" >&2; exit 1 ;; esac
    install -m 755 "$binary" "$out/auth-ticket-$target"
done
