#!/bin/bash
# Boots this machine's systemd once more in namespaces of its own, with flanneld
# installed, and runs inside.sh there. It does not write to the real /etc, /var
# and /run: overlays and tmpfs cover them.
#
#   boot.sh DIR CGROUP    DIR has the files to install and takes the results;
#                         CGROUP is an empty group of the version 2 hierarchy
set -eu

if [ "${3-}" != inside ]; then
	echo $$ >"$2/cgroup.procs"
	exec unshare --fork --pid --mount --net --cgroup --uts --ipc --kill-child -- "$0" "$1" "$2" inside
fi

mount --make-rprivate /
mount -t proc proc /proc
mount --bind "$1" /mnt
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
for dir in etc var; do
	mkdir -p /run/over/$dir /run/over/work-$dir
	mount -t overlay overlay -o lowerdir=/$dir,upperdir=/run/over/$dir,workdir=/run/over/work-$dir /$dir
done
for dir in /var/lib/docker /var/lib/containerd /var/lib/flanneld; do
	mkdir -p $dir
	mount -t tmpfs tmpfs $dir
done

units=/etc/systemd/system
install -D -m 644 /mnt/flanneld.service $units/flanneld.service
install -D -m 644 /mnt/docker-flanneld.conf $units/docker.service.d/flanneld.conf
install -D -m 644 /mnt/flanneld.default /etc/default/flanneld
# None of the machine's own services: only what the target wants.
cat >$units/scene.target <<'UNIT'
[Unit]
Wants=systemd-journald.service scene.service
UNIT
cat >$units/scene.service <<'UNIT'
[Service]
Type=oneshot
EnvironmentFile=/mnt/environment
ExecStart=/bin/bash /mnt/inside.sh
StandardOutput=file:/mnt/inside.log
StandardError=file:/mnt/inside.log
ExecStopPost=/bin/systemctl exit 0
UNIT
mount --make-rshared / # as systemd does, but not in a container
rm -f /etc/resolv.conf
export container=other
exec /lib/systemd/systemd --system --unit=scene.target --log-target=console
