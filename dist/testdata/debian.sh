#!/bin/bash
# Prints the folder of a small Debian 12 with systemd, for the test of the
# package. It is made when there is none, or one older than a month. Needs root.
set -euo pipefail

cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/flanneld-lab
tree=$cache/debian-bookworm
if [ -n "$(find "$tree/made" -mtime -30 2>/dev/null)" ]; then
	echo "$tree"
	exit
fi

# The mirror that apt on this machine uses, where it runs the same release.
mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' |
	awk '$2 == "bookworm" && $3 == "main" { print $1; exit }')
mkdir -p "$cache"
work=$(mktemp -d "$cache/debian-XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
echo "making a Debian 12 in $tree, once a month" >&2
debootstrap --variant=minbase --include=systemd-sysv,dbus,iproute2,iptables,nftables bookworm \
	"$work/root" "${mirror:-http://deb.debian.org/debian}" >"$work/log" || { tail "$work/log" >&2; exit 1; }
rm -rf "$work"/root/var/cache/apt "$work"/root/var/lib/apt/lists/*
touch "$work/root/made"
rm -rf "$tree"
mv "$work/root" "$tree"
echo "$tree"
