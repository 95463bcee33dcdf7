#!/bin/bash
# Runs as a service of the booted systemd; says as name=value what the unit's
# sandbox leaves of the short-cut. The underlay is a device that goes nowhere.
say() { printf '%s=%s\n' "$1" "$(echo "${@:2}" | xargs)" >>/mnt/result; }
pins() { find /sys/fs/bpf/flanneld -type f 2>/dev/null | wc -l; }

# The line of status, once it has these words, and the number of pins.
look() {
	timeout 20 bash -c "until /mnt/flanneld status --exit-zero | grep -q 'short-cut.*$1'; do sleep 0.2; done"
	echo "$(/mnt/flanneld status --exit-zero | sed -n 's/^short-cut  *//p'), $(pins) pins"
}

ip link set lo up
ip link add under0 type veth peer name under1
ip address add 192.168.77.9/24 dev under0
ip link set under0 up
ip link set under1 up

# Without a file system for pins. The sandbox does not let flanneld mount one.
timeout 60 systemctl start flanneld
say unmounted "$(look 'bpf file system')"

# systemd mounts it at a boot, but not in a container, which this claims to be.
mount -t bpf -o nosuid,nodev,noexec,mode=700 bpf /sys/fs/bpf
say late "$(look 'the kernel carries')"
systemctl stop flanneld

timeout 60 systemctl start flanneld
say mounted "$(look 'the kernel carries')"
systemctl stop flanneld
say stopped "$(pins) pins"
timeout 60 systemctl start flanneld
say again "$(look 'the kernel carries')"

# Without its directory there, the daemon cannot make another one.
/mnt/flanneld shortcut off
timeout 30 bash -c 'while find /sys/fs/bpf/flanneld -type f | grep -q .; do sleep 0.2; done'
rm -r /sys/fs/bpf/flanneld
made() { journalctl -o cat -u flanneld | grep -c 'made the devices'; }
before=$(made)
/mnt/flanneld shortcut auto
sleep 4
say removed "$(look 'read-only')"
say removed-made $(($(made) - before))
systemctl restart flanneld
say restarted "$(look 'the kernel carries')"

/mnt/flanneld leave >/mnt/leave.out 2>&1
say left "$? $(pins) pins, links: $(ip -oneline link show type veth | grep -c 'gro[01][@:]')"
cat /mnt/leave.out

journalctl --no-pager -o cat -u flanneld >/mnt/journal
say end here
