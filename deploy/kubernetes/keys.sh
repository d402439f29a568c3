#!/bin/sh
# Changes the keys Secret of a cluster, as the rotation job does it or by hand. Needs kubectl 1.20 or later.
#
#   keys.sh with COMMAND...   fetch into memory, run COMMAND on the copy, send the difference back. For example:
#                                 sh keys.sh with auth-ticket keys revoke a1b2c3d4
#                                 sh keys.sh with auth-ticket cutoff add --all
#   keys.sh init              make the first keys and the Secret
#   keys.sh fetch DIR         the Secret into DIR/keys
#   keys.sh send DIR          the difference between DIR/keys and what was fetched back into the Secret
#
# KEYS_SECRET names the Secret [auth-ticket-keys]; kubectl takes the cluster and the namespace from its own settings.
#
# The difference goes back as one merge patch that carries the resourceVersion it was computed from: it is applied as a
# whole or refused with a conflict. It names only files that were added, deleted or (cutoffs.json) replaced, so labels and
# files that others have added stay. Not `kubectl apply`: that would keep a second copy of every key in an annotation.
# Keys are passed in files and pipes, never in arguments, which other processes can see.
set -eu
umask 077

secret=${KEYS_SECRET:-auth-ticket-keys}

die() {
    echo "error: $*" >&2
    exit 1
}

# Line 1: the resourceVersion. Then for each file: its name, a space, its content in base64.
template='{{.metadata.resourceVersion}}{{"\n"}}{{range $name, $content := .data}}{{$name}} {{$content}}{{"\n"}}{{end}}'

unpack() { # unpack FETCHED DIR
    mkdir -m 700 "$2"
    tail -n +2 "$1" | while read -r name content; do
        printf %s "$content" | base64 -d >"$2/$name"
    done
}

fetch() { # fetch DIR
    # One request, so that all files are of one moment.
    kubectl get secret "$secret" -o go-template="$template" >"$1/fetched"
    [ "$(wc -l <"$1/fetched")" -gt 1 ] || die "the Secret $secret is empty; make the first keys with: keys.sh init"
    unpack "$1/fetched" "$1/before"
    unpack "$1/fetched" "$1/keys"
}

# The members of "data" in the patch, separated by commas.
difference() { # difference DIR
    comma=
    for file in "$1"/keys/*; do
        name=${file##*/}
        old=$1/before/$name
        [ -f "$file" ] || continue
        if [ -f "$old" ]; then
            cmp -s "$old" "$file" && continue
            # A key that exists is never edited; if one differs, something is wrong with the copy.
            [ "$name" = cutoffs.json ] || die "$name is not what it was; nothing was sent"
        fi
        printf '%s"%s":"%s"' "$comma" "$name" "$(base64 <"$file" | tr -d '\n')"
        comma=,
    done
    for old in "$1"/before/*; do
        name=${old##*/}
        [ -f "$old" ] && [ ! -f "$1/keys/$name" ] || continue
        case $name in
        *.key) ;;
        *) die "$name is gone, which would undo a revocation; nothing was sent" ;;
        esac
        printf '%s"%s":null' "$comma" "$name"
        comma=,
    done
}

send() { # send DIR
    difference "$1" >"$1/difference"
    if [ ! -s "$1/difference" ]; then
        echo "nothing to send"
        return
    fi
    printf '{"metadata":{"resourceVersion":"%s"},"data":{%s}}' \
        "$(head -n 1 "$1/fetched")" "$(cat "$1/difference")" >"$1/patch.json"
    kubectl patch secret "$secret" --type=merge --patch-file="$1/patch.json" -o name ||
        die "nothing was sent; after a conflict (somebody else was first), start again"
}

# A directory that goes away with this process; in memory where the system has a place for that.
in_a_copy() {
    if [ -z "${TMPDIR-}" ] && [ -d /dev/shm ] && [ -w /dev/shm ]; then TMPDIR=/dev/shm; fi
    copy=$(TMPDIR=${TMPDIR:-/tmp} mktemp -d)
    trap 'rm -rf "$copy"' EXIT
    trap 'exit 1' HUP INT TERM
    export AUTH_TICKET_KEYS_DIR="$copy/keys"
}

case ${1-} in
fetch | send)
    [ $# -eq 2 ] || die "usage: keys.sh $1 DIR"
    "$1" "$2"
    ;;
with)
    shift
    [ $# -gt 0 ] || die "usage: keys.sh with COMMAND..."
    in_a_copy
    fetch "$copy"
    # What a failing command has done counts: keys revoke exits with 1 also when the key is revoked and nothing seals.
    status=0
    "$@" || status=$?
    send "$copy"
    exit "$status"
    ;;
init)
    in_a_copy
    auth-ticket keys init
    set --
    for file in "$copy"/keys/*; do
        set -- "$@" --from-file="$file"
    done
    kubectl create secret generic "$secret" "$@"
    ;;
*)
    echo "usage: keys.sh with COMMAND... | init | fetch DIR | send DIR" >&2
    exit 2
    ;;
esac
