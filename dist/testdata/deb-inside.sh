#!/bin/bash
# Runs as a service of the booted systemd; says what it sees as name=value.
# Every step of the package's life: install, configure, upgrade, remove, purge.
say() { printf '%s=%s\n' "$1" "$(echo "${@:2}" | xargs)" >>/mnt/result; }

export DEBIAN_FRONTEND=noninteractive
package() { dpkg "$@" >/mnt/dpkg.out 2>&1; local status=$?; cat /mnt/dpkg.out; return $status; }
state() { echo "$(systemctl show -P ActiveState flanneld) $(systemctl is-enabled flanneld 2>/dev/null)"; }
drop_in() { systemctl show -P DropInPaths docker; }
lease() { (. /run/flannel/subnet.env && echo "$FLANNEL_SUBNET $(cat /sys/class/net/flannel0/ifindex)"); }
left() { # what is on the host
	ls -d /sys/class/net/flannel0 /run/flannel/subnet.env /run/flannel/docker 2>/dev/null
	nft list tables | grep -o 'flanneld.*'
	iptables -t raw -S 2>/dev/null | grep -o 'FLANNELD-flannel0' | head -n 1
}

ip link set lo up
ip link add under0 type veth peer name under1
ip address add 192.168.77.9/24 dev under0
ip link set under0 up
ip link set under1 up
# systemd mounts it at a boot, but not in a container, which this claims to be.
mount -t bpf -o nosuid,nodev,noexec,mode=700 bpf /sys/fs/bpf
printf '[Service]\nExecStart=/bin/sleep infinity\n' >/etc/systemd/system/docker.service
systemctl daemon-reload

package -i /mnt/old.deb
say install $? "$(flanneld version | cut -d ' ' -f 2)" "$(state)"
say advice "$(grep -o 'systemctl enable --now flanneld' /mnt/dpkg.out)"
say docker-unconfigured "$(drop_in)"
say conffiles "$(dpkg-query -W -f '${Conffiles}' flanneld | awk '{print $1}')"
say files "$(ls /usr/share/man/man8/flanneld.8.gz /usr/share/bash-completion/completions/flanneld \
	/usr/share/zsh/vendor-completions/_flanneld /usr/share/fish/vendor_completions.d/flanneld.fish | wc -l)"

say cni "$(readlink -f /usr/lib/cni/flanneld-cni /opt/cni/bin/flanneld-cni | sort -u)" \
	"$(CNI_COMMAND=VERSION /opt/cni/bin/flanneld-cni | grep -o 1.1.0 | sort -u)" "$(ls /usr/share/flanneld/10-flanneld.conflist)"

echo FLANNELD_IFACE=under0 >>/etc/default/flanneld
timeout 60 systemctl enable --now flanneld
say configured "$(state)"
say docker-configured "$(drop_in)"
before=$(lease)
say lease "$before"
id=$(flanneld status -o json | grep -o '"id": *"[^"]*"' | head -n 1)

pid=$(systemctl show -P MainPID flanneld)
package -i /mnt/new.deb
status=$?
timeout 30 bash -c "until [ \$(systemctl show -P ActiveState flanneld) = active ] &&
	[ \$(systemctl show -P MainPID flanneld) != $pid ]; do sleep 0.1; done"
say upgrade $status "$(readlink "/proc/$(systemctl show -P MainPID flanneld)/exe")" "$(flanneld version | cut -d ' ' -f 2)" "$(state)"
say upgrade-lease "$(lease)"
say upgrade-settings "$(grep -c '^FLANNELD_IFACE=under0$' /etc/default/flanneld)"

# The script before another version comes, without that version.
before_upgrade() { /var/lib/dpkg/info/flanneld.prerm upgrade "$1" >>/mnt/prerm.out 2>&1; echo "$? $(pins)"; }
pins() { find /sys/fs/bpf/flanneld -type f | wc -l; }
programs() { timeout 20 bash -c "until flanneld status --exit-zero | grep -q 'the kernel carries'; do sleep 0.2; done"; pins; }
say programs "$(programs)"
say before-higher "$(before_upgrade 0.2.1-1)"
say before-lower "$(before_upgrade 0.1.9-1)" "$(state)" "$(lease)"
systemctl restart flanneld
say programs-again "$(programs)"
package -i /mnt/old.deb
say downgrade $? "$(flanneld version | cut -d ' ' -f 2)" "$(state)" "$(lease)"
package -i /mnt/new.deb
say programs-then "$(programs)"
systemctl kill -s KILL flanneld
systemctl stop flanneld
say before-lower-stopped "$(before_upgrade 0.1.9-1)"
timeout 60 systemctl start flanneld
say lease-then "$(lease | cut -d ' ' -f 1)"
cat /mnt/prerm.out

systemctl stop flanneld
package -i /mnt/new.deb
say stopped $? "$(state)"
timeout 60 systemctl start flanneld

package -r flanneld
say remove $? "$(systemctl show -P LoadState flanneld)" "$(readlink /proc/[0-9]*/exe | grep -c flanneld)"
say remove-left "$(left)"
say remove-kept "$(ls -d /var/lib/flanneld/identity /etc/default/flanneld)"
say remove-docker "$(drop_in)"

package -i /mnt/new.deb
say again $? "$(state)"
timeout 60 systemctl start flanneld
say again-subnet "$(lease | cut -d ' ' -f 1)" "$([ "$id" = "$(flanneld status -o json | grep -o '"id": *"[^"]*"' | head -n 1)" ] && echo same identity)"

package -P flanneld
say purge $? "$(dpkg-query -W -f '${Status}' flanneld 2>&1 | grep -o 'no packages found')"
say purge-said "$(grep -o "removing /var/lib/flanneld, this host's identity and lease" /mnt/dpkg.out | tr -d "'")"
say purge-left "$(left)" "$(find / -xdev -path /proc -prune -o -path /mnt -prune -o -iname '*flanneld*' -print)"

journalctl --no-pager -o cat -u flanneld >/mnt/journal
say end here
