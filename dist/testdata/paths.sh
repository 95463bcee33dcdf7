#!/bin/bash
# Runs as a service of the booted systemd; says as name=value by which paths the
# daemon in the unit's sandbox reaches one that runs without, in a namespace.
. /mnt/other.sh
say() { printf '%s=%s\n' "$1" "$(echo "${@:2}" | xargs)" >>/mnt/result; }

ip link set lo up
mount -t bpf -o nosuid,nodev,noexec,mode=700 bpf /sys/fs/bpf
other --backend auto

mkdir -p /run/systemd/system/flanneld.service.d
for backend in udp vxlan,udp host-gw,udp; do
	printf '[Service]\nEnvironment=FLANNELD_BACKEND=%s FLANNELD_JOIN=192.168.77.10\n' $backend \
		>/run/systemd/system/flanneld.service.d/backend.conf
	systemctl daemon-reload
	timeout 60 systemctl restart flanneld
	case $backend in
	udp) path='udp (kernel)' ;;
	vxlan,udp) path=vxlan ;;
	*) path=direct ;;
	esac
	timeout 40 bash -c "until /mnt/flanneld nodes | grep '^other ' | grep -qF ' $path '; do sleep 0.2; done"
	say "${backend%,udp}" "$(/mnt/flanneld nodes | grep '^other ' | grep -oF " $path ")" \
		"$(/mnt/flanneld status | sed -n 's/^problem  *//p')"
	/mnt/flanneld nodes >>/mnt/other.log
done
systemctl stop flanneld

journalctl --no-pager -o cat -u flanneld >/mnt/journal
cat /mnt/other.log >>/mnt/journal
say end here
