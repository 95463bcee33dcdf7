#!/bin/bash
# Boots the systemd of a Debian tree in namespaces of its own and runs inside.sh
# there. The tree is not written to: an overlay in memory lies over it.
#
#   deb-boot.sh DIR CGROUP TREE    DIR has inside.sh and the packages, and takes
#                                  the results; CGROUP is an empty group of the
#                                  version 2 hierarchy
set -eu

if [ "${4-}" != inside ]; then
	echo $$ >"$2/cgroup.procs"
	exec unshare --fork --pid --mount --net --cgroup --uts --ipc --kill-child -- "$0" "$1" "$2" "$3" inside
fi

mount --make-rprivate /
mkdir -p "$1/over"
mount -t tmpfs tmpfs "$1/over"
root=$1/over/root
mkdir "$root" "$1/over/upper" "$1/over/work"
mount -t overlay overlay -o "lowerdir=$3,upperdir=$1/over/upper,workdir=$1/over/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
for dir in run tmp; do mount -t tmpfs tmpfs "$root/$dir"; done
mount --bind "$1" "$root/mnt"
cd "$root"
pivot_root . .
umount -l .
cd /

hostname packaged
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
units=/etc/systemd/system
cat >$units/scene.target <<'UNIT'
[Unit]
Wants=systemd-journald.service dbus.service scene.service
UNIT
cat >$units/scene.service <<'UNIT'
[Unit]
After=dbus.service
[Service]
Type=oneshot
ExecStart=/bin/bash /mnt/inside.sh
StandardOutput=file:/mnt/inside.log
StandardError=file:/mnt/inside.log
ExecStopPost=/bin/systemctl exit 0
UNIT
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=other \
	/lib/systemd/systemd --system --unit=scene.target --log-target=console
