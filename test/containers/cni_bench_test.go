// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package containers

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// BenchmarkCNI compares ADD by the plugin with ADD by bridge alone, which is
// given what the plugin would give it, in alternating rounds. It also compares
// how long both take to say which versions they know: the cost of a start.
//
//	go test -tags e2e -run '^$' -bench CNI -benchtime 1x ./test/containers
func BenchmarkCNI(b *testing.B) {
	const rounds = 101
	l := lab.New(b)
	h := l.Host()
	h.Start().WaitReady(ready)
	lease := h.Lease()
	direct := fmt.Sprintf(`{"cniVersion":"1.0.0","name":"direct","plugins":[{"type":"bridge","isDefaultGateway":true,"isGateway":true,
		"ipMasq":true,"mtu":%s,"ipam":{"type":"host-local","ranges":[[{"subnet":"%s"}]],"routes":[{"dst":"%s"}]}}]}`,
		h.SubnetFile()["FLANNEL_MTU"], lease, h.SubnetFile()["FLANNEL_NETWORK"])
	ways := []*lab.CNI{h.CNI(direct, lab.DebianCNI), h.CNI(alone("1.0.0", ""), lab.DebianCNI)}
	programs := []string{filepath.Join(lab.DebianCNI, "bridge"), filepath.Join(h.PluginFolder(), "flanneld-cni")}
	for b.Loop() {
		var added, started [2][]time.Duration
		for round := range rounds {
			for i, way := range ways {
				p := &lab.Pod{Namespace: l.Namespace(fmt.Sprintf("bench%d.%d", i, round))}
				start := time.Now()
				if _, err := way.TryAdd(p.Name, p.Path(), nil); err != nil {
					b.Fatal(err)
				}
				added[i] = append(added[i], time.Since(start))
				if err := way.Delete(p); err != nil {
					b.Fatal(err)
				}
				p.Remove()

				cmd := exec.Command(programs[i])
				cmd.Env = []string{"CNI_COMMAND=VERSION"}
				cmd.Stdin = strings.NewReader(`{"cniVersion":"1.0.0"}`)
				start = time.Now()
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v: %s", err, out)
				}
				started[i] = append(started[i], time.Since(start))
			}
		}
		for what, times := range map[string][2][]time.Duration{"add": added, "start": started} {
			alone, ours := median(times[0]), median(times[1])
			b.ReportMetric(float64(alone.Microseconds())/1000, "ms-"+what+"-bridge")
			b.ReportMetric(float64(ours.Microseconds())/1000, "ms-"+what+"-flanneld")
			b.ReportMetric(float64(ours)/float64(alone), what+"-ratio")
		}
	}
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}
