#!/bin/bash
# Runs as a service of the booted systemd; says as name=value how flanneld ends
# with settings that the unit's sandbox forbids, and what a drop-in permits.
say() { printf '%s=%s\n' "$1" "$(echo "${@:2}" | xargs -d '\n')" >>/mnt/result; }

# Start with the lines of a drop-in.
start() {
	systemctl stop flanneld
	mkdir -p /run/systemd/system/flanneld.service.d
	printf '[Service]\nRestart=no\n' >/run/systemd/system/flanneld.service.d/scene.conf
	printf '%s\n' "$@" >>/run/systemd/system/flanneld.service.d/scene.conf
	systemctl daemon-reload
	systemctl reset-failed flanneld
	timeout 20 systemctl start flanneld
}
seen() { say "$1" "$(systemctl show -P ActiveState flanneld)" "$(journalctl -o cat -n 1 -u flanneld _COMM=flanneld)"; }

ip link set lo up
ip link add under0 type veth peer name under1
ip address add 192.168.77.9/24 dev under0
ip link set under0 up
ip link set under1 up
mkdir -p /etc/elsewhere
(umask 077 && /mnt/flanneld keygen >/root/key)

while read -r name setting; do
	start "Environment=$setting"
	seen "$name"
done <<'SETTINGS'
metrics FLANNELD_METRICS=127.0.0.1:80
port FLANNELD_PORT=443
gossip FLANNELD_GOSSIP_PORT=443
subnet-file FLANNELD_SUBNET_FILE=/etc/elsewhere/subnet.env
docker-file FLANNELD_DOCKER_FILE=/etc/elsewhere/docker
run-dir FLANNELD_RUN_DIR=/etc/run
state-dir FLANNELD_STATE_DIR=/etc/state
state-home FLANNELD_STATE_DIR=/root/state
key-file FLANNELD_KEY_FILE=/root/key
SETTINGS

start "Environment=FLANNELD_METRICS=127.0.0.1:80 FLANNELD_PORT=443 FLANNELD_GOSSIP_PORT=444" CapabilityBoundingSet=CAP_NET_BIND_SERVICE
say ports-permitted "$(systemctl show -P ActiveState flanneld)" "$(/mnt/flanneld status --exit-zero | grep ^endpoint)"
mkdir -p -m 700 /etc/state
mkdir -p /etc/run
start "Environment=FLANNELD_SUBNET_FILE=/etc/elsewhere/subnet.env FLANNELD_STATE_DIR=/etc/state FLANNELD_RUN_DIR=/etc/run" \
	"ReadWritePaths=/etc/elsewhere /etc/state /etc/run"
say places-permitted "$(systemctl show -P ActiveState flanneld)" "$(ls /etc/elsewhere/subnet.env /etc/state/lease /etc/run/docker | xargs)"
systemctl stop flanneld

journalctl --no-pager -o cat -u flanneld >/mnt/journal
say end here
