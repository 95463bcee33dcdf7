#!/bin/bash
# Runs as a service of the booted systemd; prints what it sees as name=value.
# Docker and flanneld are started before the host has an underlay address, which
# comes after $DELAY seconds.
say() { printf '%s=%s\n' "$1" "$(echo "${@:2}" | xargs)" >>/mnt/result; }

ip link set lo up
booted=$SECONDS

# Another node of the network, at a link without an address here yet.
ip netns add other
ip -n other link set lo up
ip link add eth9 type veth peer name eth0 netns other
ip -n other address add 192.168.77.1/24 dev eth0
ip -n other link set eth0 up
ip -n other route add default via 192.168.77.254
mkdir -m 755 /run/other
ip netns exec other /mnt/flanneld run --state-dir /run/other/state --run-dir /run/other --node-name other >/mnt/other.log 2>&1 &

# At first flanneld cannot start for a while; Docker must not give up.
mkdir -p /run/systemd/system/flanneld.service.d
printf '[Service]\nExecStartPre=/usr/bin/test -e /run/may-start\n' >/run/systemd/system/flanneld.service.d/fails.conf
systemctl daemon-reload
systemctl start --no-block docker.service
sleep 12
say failing "$(systemctl show -P ActiveState flanneld)"
say docker-tries "$(systemctl show -P NRestarts docker)" # 4 in 12 s: more than its own unit allows in a minute
rm -r /run/systemd/system/flanneld.service.d
systemctl daemon-reload
systemctl reset-failed flanneld 2>/dev/null # counts restarts from here

for try in $(seq 100); do
	case "$(systemctl show -P StatusText flanneld)" in "waiting for"*) break ;; esac
	sleep 0.1
done
sleep $((DELAY - (SECONDS - booted) > 1 ? DELAY - (SECONDS - booted) : 1))
say waiting "$(systemctl show -P ActiveState flanneld) $(systemctl show -P ActiveState docker)"
say status "$(systemctl show -P StatusText flanneld)"
/mnt/flanneld status 2>&1 | grep -q "waiting for the underlay" && say asked yes
before=$(systemctl show -P NRestarts flanneld)

came=$SECONDS
ip link set eth9 up
ip address add 192.168.77.2/24 dev eth9
ip route add default via 192.168.77.254
timeout 60 bash -c 'until [ "$(systemctl is-active docker)" = active ]; do sleep 0.1; done'
say docker-after $((SECONDS - came))
say docker "$(systemctl is-active docker)"
say flanneld "$(systemctl is-active flanneld)"
say restarts $(($(systemctl show -P NRestarts flanneld) - before))
say subnet "$(. /run/flannel/subnet.env && echo "$FLANNEL_SUBNET")"
say bridge "$(ip -4 -oneline addr show docker0 | awk '{print $4}')"

docker=/usr/bin/docker
[ -x $docker ] || docker=docker
mkdir -p /run/image/bin
cp "$(command -v busybox)" /run/image/bin/busybox
tar -C /run/image -c . | $docker import - lab
id=$($docker run --detach lab /bin/busybox sleep 600)
address=$($docker inspect --format '{{.NetworkSettings.IPAddress}}{{range .NetworkSettings.Networks}} {{.IPAddress}}{{end}}' "$id" | awk '{print $1}')
for try in $(seq 20); do
	ip netns exec other ping -c 1 -W 1 "$address" && say reached yes && break
done
$docker kill "$id"

journalctl --no-pager -o cat -u flanneld >/mnt/journal
journalctl --no-pager -o cat -u docker >>/mnt/journal
say end here
