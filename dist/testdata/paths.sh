#!/bin/bash
# Runs as a service of the booted systemd; says as name=value by which paths the
# daemon in the unit's sandbox reaches one that runs without, in a namespace.
say() { printf '%s=%s\n' "$1" "$(echo "${@:2}" | xargs)" >>/mnt/result; }

ip link set lo up
mount -t bpf -o nosuid,nodev,noexec,mode=700 bpf /sys/fs/bpf
ip netns add other
ip link add under0 type veth peer name under1 netns other
ip address add 192.168.77.9/24 dev under0
ip link set under0 up
ip -n other link set lo up
ip -n other address add 192.168.77.10/24 dev under1
ip -n other link set under1 up

mkdir -p /tmp/other
ip netns exec other /mnt/flanneld run --node-name other --iface under1 --backend auto \
	--state-dir /tmp/other/state --run-dir /tmp/other/run >/mnt/other.log 2>&1 &
timeout 20 bash -c 'until test -e /tmp/other/run/subnet.env; do sleep 0.1; done'

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
