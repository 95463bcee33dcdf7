// SPDX-License-Identifier: Apache-2.0

package ruleset

import "fmt"

// Stamp identifies the packet filter rules that this host has now, those of
// nf_tables and of iptables-legacy. Equal stamps mean equal rules, but for what
// Legacy does not see. It is "" where the kernel does not report it. It costs
// one netlink message, and a system call for each legacy table.
func Stamp() string {
	generation, err := Generation()
	if err != nil {
		return ""
	}
	legacy, err := Legacy()
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d;%s", generation, legacy)
}
