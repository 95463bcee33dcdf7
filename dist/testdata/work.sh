#!/bin/bash
# Runs as a service of the booted systemd; says as name=value what the daemon
# does in the unit's sandbox beside carrying packets. Another daemon runs
# without one, in a namespace.
. /mnt/other.sh
say() { printf '%s=%s\n' "$1" "$(echo "${@:2}" | xargs)" >>/mnt/result; }

# A modprobe that notes what it is asked for.
mkdir /run/scene
printf '#!/bin/sh\necho "$@" >>/run/scene/modules\n' >/run/scene/modprobe
chmod 755 /run/scene/modprobe
modules() { cat /run/scene/modules; rm -f /run/scene/modules; }

# Start with the lines of a drop-in. systemd 252 to 257 let the unit write to
# /run, against ProtectSystem=strict. flanneld does not need that: here it
# cannot.
start() {
	systemctl stop flanneld
	mkdir -p /run/systemd/system/flanneld.service.d
	printf '[Service]\nReadOnlyPaths=/run\nEnvironment=PATH=/run/scene:%s\n' "$PATH" >/run/systemd/system/flanneld.service.d/scene.conf
	printf '%s\n' "$@" >>/run/systemd/system/flanneld.service.d/scene.conf
	systemctl daemon-reload
	timeout 30 systemctl start flanneld
}
problems() { /mnt/flanneld status --exit-zero | sed -n 's/^problem  *//p'; }

ip link set lo up
other
. /tmp/other/run/subnet.env
far=${FLANNEL_SUBNET%/*}
ip -n other link add br0 type bridge
ip -n other address add "$FLANNEL_SUBNET" dev br0
ip -n other link set br0 up

# A command that finds nodes: what it may and may not do.
cat >/etc/seeds <<'COMMAND'
#!/bin/sh
{
	echo "home=${HOME-none}"
	getent hosts localhost >/dev/null && echo names=resolved
	python3 -c 'import ctypes, ssl; ctypes.CFUNCTYPE(None)(lambda: None)' && echo python=runs
	echo x >/tmp/x && echo tmp=writable
	echo x >/etc/x || echo etc=read-only
	ls /root /home || echo home=hidden
	cat /etc/of-another-user || echo other=unreadable
	su -s /bin/sh nobody -c true || echo user=stays
	ping -c 1 -W 1 127.0.0.1 >&2 || echo ping=fails
	python3 -c 'import mmap; mmap.mmap(-1, 4096, prot=7)' || echo code=refused
} >/var/lib/flanneld/seen 2>/dev/null
echo 192.168.77.10
COMMAND
chmod 755 /etc/seeds
echo x >/etc/of-another-user
chown 65534 /etc/of-another-user
chmod 600 /etc/of-another-user
start Environment=FLANNELD_JOIN=exec:/etc/seeds Environment=FLANNELD_METRICS=127.0.0.1:8287 Environment=FLANNELD_IP_MASQ=true
say exec "$(cat /var/lib/flanneld/seen)"
say joined "$(/mnt/flanneld nodes | grep -c ' alive ')"
for page in metrics healthz readyz; do
	curl -sf -o /dev/null http://127.0.0.1:8287/$page && say $page yes
done

. /run/flannel/subnet.env
ip link add br1 type bridge
ip address add "$FLANNEL_SUBNET" dev br1
ip link set br1 up
timeout 20 bash -c "until /mnt/flanneld trace $far >/mnt/trace; do sleep 0.5; done"
say trace "$(grep -o '^arrived' /mnt/trace)"

iptables -t raw -F
ip route del "$FLANNEL_NETWORK"
timeout 20 bash -c 'until iptables -t raw -S | grep -q "^-A FLANNELD-flannel0" && ip route | grep -q "dev flannel0"; do sleep 0.2; done'
say repaired $?
timeout 20 bash -c 'until /mnt/flanneld status; do sleep 0.5; done' >/dev/null
say cleanup "$(/mnt/flanneld cleanup 2>&1 | grep -o 'flanneld is running')"
say problems "$(problems)"
say modules "$(modules)"
/mnt/flanneld leave
say left $? "$(iptables -t raw -S | grep -c FLANNELD)"

# The older iptables. Its lock is not there before.
nft flush ruleset
update-alternatives --set iptables "$(command -v iptables-legacy)"
rm -f /run/xtables.lock
start Environment=FLANNELD_IP_MASQ=true
iptables -V
say legacy-modules "$(modules)"
say legacy "$(iptables -t raw -S | grep -c '^-A FLANNELD-flannel0')" "$(problems)"
iptables -t raw -F
timeout 20 bash -c 'until iptables -t raw -S | grep -q "^-A FLANNELD-flannel0"; do sleep 0.2; done'
say legacy-repaired $?
/mnt/flanneld leave
say legacy-left $? "$(iptables -t raw -S | grep -c FLANNELD)"

# A sealed network, and its key in the usual place.
(umask 077 && /mnt/flanneld keygen >/etc/flanneld.key)
rm -rf /var/lib/flanneld/*
start Environment=FLANNELD_SEALED=true Environment=FLANNELD_KEY_FILE=/etc/flanneld.key
say sealed "$(/mnt/flanneld status | grep -o '^sealed.*data yes')" "$(problems)"
(umask 077 && /mnt/flanneld keygen >/etc/flanneld.key)
systemctl reload flanneld
timeout 10 bash -c 'until journalctl -o cat -u flanneld | grep -q "cluster key read again"; do sleep 0.2; done'
say reloaded $?
systemctl stop flanneld

journalctl --no-pager -o cat -u flanneld >/mnt/journal
cat /mnt/other.log >>/mnt/journal
say end here
