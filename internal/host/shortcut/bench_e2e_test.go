// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package shortcut

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
)

const vxlanTopology = `
	ip -n hN link add flannel.1 type vxlan id 1 dstport 8472 local 192.0.2.N nolearning
	ip -n hN link set flannel.1 address 0a:00:00:00:00:0N
	ip -n hN address add 10.244.N.0/32 dev flannel.1
	ip -n hN link set flannel.1 up
	ip -n cN link set eth0 mtu 1450
`

// vxlanPeer is the other host, as VXLAN reaches it.
const vxlanPeer = `
	ip -n hN neigh add 10.244.M.0 lladdr 0a:00:00:00:00:0M dev flannel.1
	ip netns exec hN bridge fdb append 0a:00:00:00:00:0M dev flannel.1 dst 192.0.2.M
`

// addVXLAN joins the hosts by VXLAN as well. The function adds or deletes the
// routes that lead to it.
func addVXLAN(b *testing.B) (change func(verb string)) {
	b.Helper()
	for _, n := range []string{"1", "2"} {
		linktest.Script(b, strings.ReplaceAll(vxlanTopology, "N", n))
	}
	linktest.Script(b, strings.NewReplacer("N", "1", "M", "2").Replace(vxlanPeer))
	linktest.Script(b, strings.NewReplacer("N", "2", "M", "1").Replace(vxlanPeer))
	return func(verb string) {
		linktest.Run(b, "ip -n h1 route "+verb+" 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink")
		linktest.Run(b, "ip -n h2 route "+verb+" 10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink")
	}
}

// BenchmarkAgainstVXLAN compares with the kernel's VXLAN between the same
// containers, in turns of a second: TCP with 1 and 4 streams, and datagrams of
// 64 bytes in 1 and 8 flows, as iperf3 measures them.
func BenchmarkAgainstVXLAN(b *testing.B) {
	twoHosts(b)
	if cut := os.Getenv("SEGMENTATION_OFF"); cut != "" {
		for _, h := range []string{"h1", "h2"} {
			linktest.Script(b, "ip netns exec "+h+" ethtool -K eth0 tso off gso off")
			linktest.Script(b, "ip netns exec "+h+" ethtool -K eth0 tx-udp_tnl-segmentation off")
		}
	}
	change := addVXLAN(b)
	for port := 5201; port < 5203; port++ {
		server := exec.Command("ip", "netns", "exec", "c2", "iperf3", "-s", "-p", fmt.Sprint(port))
		if err := server.Start(); err != nil {
			b.Fatal(err)
		}
		defer func() { server.Process.Kill(); server.Wait() }()
	}
	time.Sleep(time.Second)
	for _, load := range []struct{ name, args string }{
		{"tcp1", "-P 1"}, {"tcp4", "-P 4"}, {"udp1", "-u -b 0 -l 36 -P 1"}, {"udp8", "-u -b 0 -l 36 -P 8"},
	} {
		b.Run(load.name, func(b *testing.B) {
			rate := map[string]float64{}
			cpu := map[string]float64{}
			for range b.N {
				for _, path := range []string{"shortcut", "vxlan"} {
					if path == "vxlan" {
						change("add")
					}
					bits, used := iperf(b, load.args)
					rate[path] += bits
					cpu[path] += used
					if path == "vxlan" {
						change("delete")
					}
				}
			}
			b.ReportMetric(rate["shortcut"]/float64(b.N), "shortcut")
			b.ReportMetric(rate["vxlan"]/float64(b.N), "vxlan")
			b.ReportMetric(rate["shortcut"]/rate["vxlan"], "of-vxlan")
			b.ReportMetric(cpu["shortcut"]/float64(b.N), "retransmits")
			b.ReportMetric(cpu["vxlan"]/float64(b.N), "vxlan-retransmits")
		})
	}
}

// iperf measures for a second: Gbit/s, or thousands of packets a second, and
// what was sent again.
func iperf(b *testing.B, args string) (rate, again float64) {
	b.Helper()
	time.Sleep(300 * time.Millisecond)
	line := strings.Fields("netns exec c1 iperf3 -J -t 2 -O 0.5 -c 10.244.2.2 " + args)
	var out bytes.Buffer
	cmd := exec.Command("ip", line...)
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		b.Fatalf("%v: %s", err, out.String())
	}
	var result struct {
		End struct {
			Sum  struct{ Packets, Lost_packets, Seconds float64 }
			Sent struct {
				Retransmits float64
			} `json:"sum_sent"`
			Received struct {
				Bits    float64 `json:"bits_per_second"`
				Packets float64
				Lost    float64 `json:"lost_packets"`
				Seconds float64
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		b.Fatal(err)
	}
	if strings.Contains(args, "-u") {
		s := result.End.Sum
		return (s.Packets - s.Lost_packets) / s.Seconds / 1e3, s.Lost_packets / s.Packets
	}
	return result.End.Received.Bits / 1e9, result.End.Sent.Retransmits
}
