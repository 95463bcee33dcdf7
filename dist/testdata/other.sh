# For scripts of a scene: a second host, in a namespace, with a daemon that runs
# without the unit. The unit reaches 192.168.77.10 by under0. Arguments are more
# of flanneld's.
other() {
	ip netns add other
	ip link add under0 type veth peer name under1 netns other
	ip address add 192.168.77.9/24 dev under0
	ip link set under0 up
	ip -n other link set lo up
	ip -n other address add 192.168.77.10/24 dev under1
	ip -n other link set under1 up
	mkdir -p /tmp/other
	ip netns exec other /mnt/flanneld run --node-name other --iface under1 "$@" \
		--state-dir /tmp/other/state --run-dir /tmp/other/run >/mnt/other.log 2>&1 &
	timeout 20 bash -c 'until test -e /tmp/other/run/subnet.env; do sleep 0.1; done'
}
