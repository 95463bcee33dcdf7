#!/bin/bash
# Runs as a service of the booted systemd; prints what it sees as name=value.
say() { printf '%s=%s\n' "$1" "$(echo "${@:2}" | xargs)" >>/mnt/result; }

# Active, but not with the same process as before. For a moment after a process
# was killed, systemd still calls the unit active, without a process.
active_again() {
	timeout 30 bash -c "until [ \$(systemctl show -P ActiveState flanneld) = active ] &&
		now=\$(systemctl show -P MainPID flanneld) && [ \$now != $1 ] && [ \$now != 0 ]; do sleep 0.1; done"
}

ip link set lo up

timeout 60 systemctl start docker # which waits for flanneld
say docker "$(systemctl is-active docker)"
say flanneld "$(systemctl is-active flanneld)"
say subnet "$(. /run/flannel/subnet.env && echo "$FLANNEL_SUBNET")"
say bridge "$(ip -4 -oneline addr show docker0 | awk '{print $4}')"
say index "$(cat /sys/class/net/flannel0/ifindex)"
say forwarding "$(cat /proc/sys/net/ipv4/ip_forward)"
for table in raw filter; do
	say "chain-$table" "$(iptables -t $table -S FLANNELD-flannel0 | head -n 1)"
done
say state "$(stat -c '%a' /var/lib/flanneld) $(stat -c '%a' /run/flannel) $(stat -c '%a' /run/flannel/subnet.env /run/flannel/docker)"

systemctl reload flanneld
say reloaded $? "$(systemctl is-active flanneld)"

pid=$(systemctl show -P MainPID flanneld)
say capabilities "$(awk '/^CapEff|^CapBnd/ {print $2}' "/proc/$pid/status" | sort -u)"
systemctl restart flanneld
active_again "$pid" && say restarted "$(cat /sys/class/net/flannel0/ifindex)" "$(. /run/flannel/subnet.env && echo "$FLANNEL_SUBNET")"

pid=$(systemctl show -P MainPID flanneld)
kill -KILL "$pid"
active_again "$pid" && say killed "$(cat /sys/class/net/flannel0/ifindex)" "$(. /run/flannel/subnet.env && echo "$FLANNEL_SUBNET")"

systemctl stop flanneld
say stopped "$(systemctl show -P Result flanneld)" "$(systemctl show -P ExecMainStatus flanneld)"
say kept "$(ls /run/flannel/subnet.env /run/flannel/docker)" "$(cat /sys/class/net/flannel0/ifindex)"

mkdir -p /run/systemd/system/flanneld.service.d
printf '[Service]\nEnvironment=FLANNELD_MTU=many\n' >/run/systemd/system/flanneld.service.d/wrong.conf
systemctl daemon-reload
systemctl start flanneld
say wrong "$(systemctl show -P ActiveState flanneld)" "$(systemctl show -P ExecMainStatus flanneld)"

journalctl --no-pager -o cat -u flanneld >/mnt/journal
say end here
