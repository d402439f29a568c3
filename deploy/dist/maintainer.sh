#!/bin/sh
# Prints who answers for the Debian packages: DEB_MAINTAINER, which has to have the form that Debian's tools read.
set -eu
maintainer=${DEB_MAINTAINER:-The auth-ticket authors <nobody@auth-ticket.invalid>}
newline='
'
case $maintainer in
    # `grep` reads lines, and a second one would be a field of its own in the package.
    *"$newline"*) good=false ;;
    *) printf '%s\n' "$maintainer" | grep -qxE '[^][:space:]<>[]([^<>]*[^[:space:]<>])? <[^[:space:]<>@]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*>' && good=true || good=false ;;
esac
if [ "$good" = false ]; then
    echo "error: DEB_MAINTAINER is to be \"Name <name@example.org>\", and is \"$maintainer\"" >&2
    exit 1
fi
printf '%s\n' "$maintainer"
