// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"flanneld/internal/host/identity"
	"flanneld/internal/host/ruleset"
	"flanneld/internal/packet"
)

func family(b ruleset.Blocked) string {
	if b.Chain.Family == ruleset.FamilyInet {
		return "inet"
	}
	return "ip"
}

// describe puts into words what drops a flow.
func describe(b ruleset.Blocked) string {
	where := fmt.Sprintf("%s of nf_tables' table %s %s", b.Hook, family(b), b.Chain.Table)
	if b.Legacy {
		where = fmt.Sprintf("%s of iptables-legacy's table %s", b.Hook, b.Chain.Table)
	}
	return fmt.Sprintf("traffic %s is dropped in %s: %s", b.Flow.Name, where, b.Why)
}

// describeTranslated puts into words what gives a flow another source address.
func describeTranslated(b ruleset.Blocked) string {
	return fmt.Sprintf("traffic %s gets another source address in chain %s of nf_tables' table %s %s, before flanneld can keep its own (priority %d): %s",
		b.Flow.Name, b.Chain.Name, family(b), b.Chain.Table, identity.Priority, b.Why)
}

// adviceFor is what to type, in the words of the program that made the rules.
func adviceFor(b ruleset.Blocked, network netip.Prefix) string {
	if b.Flow.Port != 0 {
		return portAdvice(b)
	}
	if b.Flow.Proto == protoIPIP {
		return protocolAdvice(b)
	}
	if b.Flow.Proto == packet.ICMP {
		return pingAdvice(b, network)
	}
	switch {
	case b.Chain.Table == identity.DockerTable:
		return fmt.Sprintf(`set "allow-direct-routing": true and "bridge-accept-fwmark": "%#x/%#[1]x" in /etc/docker/daemon.json, `+
			"and restart docker", identity.Mark)
	case b.Chain.Table == "firewalld":
		return fmt.Sprintf("firewall-cmd --permanent --zone=trusted --add-source=%s && firewall-cmd --reload", network)
	case strings.Contains(b.Why, "ufw"):
		return fmt.Sprintf("ufw route allow from %s to %[1]s", network)
	case b.Legacy && b.Chain.Table == "filter" && strings.HasPrefix(b.Why, "policy"):
		return fmt.Sprintf("iptables-legacy -P %s ACCEPT", b.Chain.Name)
	case b.Legacy:
		return fmt.Sprintf("iptables-legacy -t %s -I %s -s %s -d %s -j ACCEPT", b.Chain.Table, b.Chain.Name, b.Flow.From, b.Flow.To)
	}
	return fmt.Sprintf("nft insert rule %s %s %s ip saddr %s ip daddr %s accept", family(b), b.Chain.Table, b.Chain.Name, b.Flow.From, b.Flow.To)
}

// portAdvice is the same for a flow to a port of this host.
func portAdvice(b ruleset.Blocked) string {
	proto := protoNames[b.Flow.Proto]
	switch {
	case b.Chain.Table == "firewalld":
		return fmt.Sprintf("firewall-cmd --permanent --add-port=%d/%s && firewall-cmd --reload", b.Flow.Port, proto)
	case strings.Contains(b.Why, "ufw"), b.Hook == "input" && usesUFW():
		return fmt.Sprintf("ufw allow %d/%s", b.Flow.Port, proto)
	case b.Legacy:
		return fmt.Sprintf("iptables-legacy -I INPUT -p %s --dport %d -j ACCEPT", proto, b.Flow.Port)
	}
	return fmt.Sprintf("nft insert rule %s %s %s %s dport %d accept", family(b), b.Chain.Table, b.Chain.Name, proto, b.Flow.Port)
}

// protocolAdvice is the same for a flow without ports to this host. ufw has no
// word for IPIP.
func protocolAdvice(b ruleset.Blocked) string {
	switch {
	case b.Chain.Table == "firewalld":
		return "firewall-cmd --permanent --add-protocol=ipip && firewall-cmd --reload"
	case strings.Contains(b.Why, "ufw"), b.Hook == "input" && usesUFW():
		return "add -A ufw-before-input -p 4 -j ACCEPT to /etc/ufw/before.rules, and ufw reload"
	case b.Legacy:
		return fmt.Sprintf("iptables-legacy -I INPUT -p %d -j ACCEPT", b.Flow.Proto)
	}
	return fmt.Sprintf("nft insert rule %s %s %s meta l4proto %d accept", family(b), b.Chain.Table, b.Chain.Name, b.Flow.Proto)
}

// pingAdvice is the same for echo requests from the network to this host.
func pingAdvice(b ruleset.Blocked, network netip.Prefix) string {
	switch {
	case b.Chain.Table == "firewalld":
		return fmt.Sprintf("firewall-cmd --permanent --zone=trusted --add-source=%s && firewall-cmd --reload", network)
	case strings.Contains(b.Why, "ufw"), b.Hook == "input" && usesUFW():
		return "add -A ufw-before-input -p icmp --icmp-type echo-request -j ACCEPT to /etc/ufw/before.rules, and ufw reload"
	case b.Legacy:
		return fmt.Sprintf("iptables-legacy -t %s -I %s -s %s -p icmp --icmp-type echo-request -j ACCEPT", b.Chain.Table, b.Chain.Name, network)
	}
	return fmt.Sprintf("nft insert rule %s %s %s ip saddr %s icmp type echo-request accept", family(b), b.Chain.Table, b.Chain.Name, network)
}

// ufwConfig is where ufw keeps its switch.
const ufwConfig = "/etc/ufw/ufw.conf"

// usesUFW reports whether ufw keeps the rules of this host.
func usesUFW() bool { return hasLine(ufwConfig, "ENABLED=yes") }

// hasLine reports whether a file has a line.
func hasLine(path, line string) bool {
	content, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	for have := range bytes.Lines(content) {
		if string(bytes.TrimSpace(have)) == line {
			return true
		}
	}
	return false
}
