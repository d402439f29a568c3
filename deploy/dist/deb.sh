#!/bin/sh
# The Debian package of one target, from the files that pack.sh has put into WORK/common.
#
#   sh deploy/dist/deb.sh VERSION TARGET WORK OUT        DEB_MAINTAINER="Name <address>" is who packs it
set -eu
version=$1 target=$2 work=$3 out=$4
maintainer=$(sh deploy/dist/maintainer.sh)
case $target in
    x86_64-*) arch=amd64 ;;
    aarch64-*) arch=arm64 ;;
    *) echo "error: which architecture of Debian is $target?" >&2; exit 1 ;;
esac
# 1.0.0-rc.1 comes before 1.0.0 in Debian, too. What follows a dash would be the number of a package of somebody else's source.
debian_version=$(echo "$version" | sed 's/-/~/; s/-/./g')
common=$work/common
root=$work/stage/deb-$arch
doc=$root/usr/share/doc/auth-ticket
rm -rf "$root"
mkdir -p "$root/DEBIAN" "$doc" "$root/usr/share/man/man1" "$root/etc/auth-ticket"

install -D -m 755 "$work/bin/auth-ticket-$target" "$root/usr/bin/auth-ticket"
for file in "$common"/deploy/systemd/*.service "$common"/deploy/systemd/*.timer "$common"/deploy/systemd/*.socket; do
    unit=${file##*/}
    # Those in deploy/ are for a binary that was put into /usr/local by hand.
    sed 's|/usr/local/bin/auth-ticket|/usr/bin/auth-ticket|; /^#   install -m 644 /d
        s|Install as /etc/systemd/system/[^ ]*\( see [^ ]*\)\{0,1\}|Change it with systemctl edit.|' \
        "$file" | install -D -m 644 /dev/stdin "$root/usr/lib/systemd/system/$unit"
done
grep -v '^# Install as' "$common/deploy/systemd/sysusers.conf" | install -D -m 644 /dev/stdin "$root/usr/lib/sysusers.d/auth-ticket.conf"
grep -v '^# Install as' "$common/deploy/systemd/tmpfiles.conf" | install -D -m 644 /dev/stdin "$root/usr/lib/tmpfiles.d/auth-ticket.conf"
sed 's/^# Install as [^ ]* /# /' "$common/deploy/systemd/auth-ticket.toml" >"$root/etc/auth-ticket/auth-ticket.toml"
install -D -m 644 "$common/completions/auth-ticket.bash" "$root/usr/share/bash-completion/completions/auth-ticket"
install -D -m 644 "$common/completions/_auth-ticket" "$root/usr/share/zsh/vendor-completions/_auth-ticket"
install -D -m 644 "$common/completions/auth-ticket.fish" "$root/usr/share/fish/vendor_completions.d/auth-ticket.fish"
for page in "$common"/man/man1/*.1; do
    gzip -n -9 <"$page" >"$root/usr/share/man/man1/${page##*/}.gz"
done
{
    echo "auth-ticket ($debian_version) stable; urgency=medium"
    printf '\n  * What has changed is in CHANGELOG.md.\n\n'
    echo " -- $maintainer  $(date --utc --date="@$SOURCE_DATE_EPOCH" --rfc-email)"
} | gzip -n -9 >"$doc/changelog.gz"
gzip -n -9 <"$common/LICENSES-THIRD-PARTY.txt" >"$doc/LICENSES-THIRD-PARTY.txt.gz"
# All documents, under the names by which they link to each other.
for part in "$common"/*; do
    case ${part##*/} in
        man | completions | LICENSE*) ;;
        *) cp -r "$part" "$doc" ;;
    esac
done
ln -s ../../common-licenses/Apache-2.0 "$doc/LICENSE-APACHE"
ln -s copyright "$doc/LICENSE-MIT"
{
    echo "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"
    echo "Upstream-Name: auth-ticket"
    echo "Comment: What is linked into the binary has licences of its own: LICENSES-THIRD-PARTY.txt.gz in this directory."
    echo
    echo "Files: *"
    sed -n 's/^Copyright (c) /Copyright: /p' LICENSE-MIT
    echo "License: Expat or Apache-2.0"
    echo
    echo "License: Expat"
    sed '1,/^Copyright/d; /./!s/^$/./; s/^/ /' LICENSE-MIT | sed '1{/^ \.$/d}'
    echo
    echo "License: Apache-2.0"
    echo " On Debian systems, the text is in /usr/share/common-licenses/Apache-2.0."
} >"$doc/copyright"

install -D -m 644 deploy/dist/debian/lintian-overrides "$root/usr/share/lintian/overrides/auth-ticket"
for script in postinst prerm postrm; do
    install -m 755 "deploy/dist/debian/$script" "$root/DEBIAN/$script"
done
echo /etc/auth-ticket/auth-ticket.toml >"$root/DEBIAN/conffiles"
find "$root" -type d -exec chmod 755 {} + && find "$root" -type f ! -perm -100 -exec chmod 644 {} +
(cd "$root" && find usr -type f | sort | xargs md5sum >DEBIAN/md5sums && chmod 644 DEBIAN/md5sums)
size=$(find "$root/usr" "$root/etc" -type f -exec stat -c %s {} + | awk '{ kib += int(($1 + 1023) / 1024) } END { print kib }')
cat >"$root/DEBIAN/control" <<CONTROL
Package: auth-ticket
Version: $debian_version
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $size
Depends: ca-certificates, systemd | systemd-standalone-sysusers | systemd-sysusers, systemd | systemd-standalone-tmpfiles | systemd-tmpfiles
Section: net
Priority: optional
Description: login server for mini-programs, without a database
 Exchanges the login codes of WeChat, Alipay, Douyin and other platforms, and
 seals who logged in into expiring tickets. Every replica that has the same
 directory of keys checks them by cryptography alone.
 .
 Nothing is started before it is configured: set the appid in
 /etc/auth-ticket/auth-ticket.toml, put its secret into
 /etc/auth-ticket/wx-secret, and make keys with "auth-ticket keys init".
CONTROL
DPKG_DEB_THREADS_MAX=1 dpkg-deb -Zxz --root-owner-group --build "$root" "$out/auth-ticket_${debian_version}_$arch.deb" >/dev/null
