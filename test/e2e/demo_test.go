// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"flanneld/test/lab"
)

// buildDemo compiles the demonstration that `make demo` runs.
func buildDemo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "demo")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", path, "flanneld/test/demo")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the demonstration: %v\n%s", err, out)
	}
	return path
}

// leftovers lists everything that a lab makes and that outlives careless
// programs: processes, namespaces, cgroups, mounts.
func leftovers(t *testing.T) string {
	t.Helper()
	var found []string
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range processes {
		data, _ := os.ReadFile(path)
		line := strings.ReplaceAll(string(data), "\x00", " ")
		for _, name := range []string{"flanneld run", "dockerd ", "containerd", "/demo"} {
			if strings.Contains(line, name) {
				found = append(found, line)
				break
			}
		}
	}
	for _, pattern := range []string{"/run/netns/*", "/sys/fs/cgroup/" + lab.CgroupPrefix() + "*", "/sys/fs/cgroup/*/" + lab.CgroupPrefix() + "*"} {
		paths, _ := filepath.Glob(pattern)
		found = append(found, paths...)
	}
	sort.Strings(found)
	return strings.Join(append(found, read(t, "/proc/self/mounts")), "\n")
}

func TestDemoShowsItAllAndLeavesNothingBehind(t *testing.T) {
	demo := buildDemo(t)
	before := leftovers(t)
	cmd := exec.Command(demo)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	start := time.Now()
	err := cmd.Run()
	if err != nil || time.Since(start) > 90*time.Second {
		t.Errorf("the demonstration took %v: %v\n%s", time.Since(start), err, output.String())
	}
	mentions(t, "the demonstration", output.String(), "host1", "host2", "host3", "alive", "Gbit/s", "10.244.", "nothing is left")
	// Each of the two tables of nodes has two other hosts. The first has the
	// kernel path, the second flanneld's own format.
	if direct, udp := nodesBy(output.String(), "direct"), nodesBy(output.String(), "udp"); direct != 2 || udp != 2 {
		t.Errorf("%d nodes are reached by direct, and %d by udp\n%s", direct, udp, output.String())
	}
	if after := leftovers(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// nodesBy counts the lines of tables of nodes with a path.
func nodesBy(output, path string) (n int) {
	for line := range strings.Lines(output) {
		words := strings.Fields(line)
		if slices.Contains(words, "alive") && slices.Contains(words, path) {
			n++
		}
	}
	return n
}

func TestDemoThatIsInterruptedLeavesNothingBehind(t *testing.T) {
	demo := buildDemo(t)
	before := leftovers(t)
	for _, sig := range []os.Signal{syscall.SIGKILL, os.Interrupt, syscall.SIGTERM} {
		cmd := exec.Command(demo)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var seen strings.Builder
		buf := make([]byte, 4096)
		for !strings.Contains(seen.String(), "pings the two others") {
			n, err := out.Read(buf)
			if err != nil {
				t.Fatalf("the demonstration ended early: %v\n%s", err, seen.String())
			}
			seen.Write(buf[:n])
		}
		cmd.Process.Signal(sig)
		cmd.Wait()
		lab.Eventually(t, 10*time.Second, "nothing to be left after "+sig.String(), func() error {
			after := leftovers(t)
			if sig == syscall.SIGKILL { // empty cgroups stay, for the next run to clear
				after = withoutCgroups(after)
			}
			return lab.Expect(after == before, "before:\n%s\nafter:\n%s", before, after)
		})
	}
}

func withoutCgroups(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "/sys/fs/cgroup/") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

func TestSuiteWithoutRootFailsInsteadOfSkipping(t *testing.T) {
	demo := buildDemo(t)
	if err := os.Chmod(filepath.Dir(demo), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", demo)
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("it succeeded")
	}
	mentions(t, "the output", string(out), "needs root")
}
