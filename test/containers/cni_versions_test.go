// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package containers

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"flanneld/test/lab"
)

// alone is a network configuration of this plugin alone.
func alone(version, more string) string {
	return `{"cniVersion":"` + version + `","name":"alone","plugins":[{"type":"flanneld-cni","delegate":{"isDefaultGateway":true}` + more + `}]}`
}

// TestCNIVersions attaches and detaches with each version of the specification
// that Debian's plugins know.
func TestCNIVersions(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	h.Start().WaitReady(ready)
	for _, version := range []string{"0.3.1", "0.4.0", "1.0.0"} {
		c := h.CNI(alone(version, ""), lab.DebianCNI)
		p := c.Add(nil)
		if !h.Lease().Contains(p.Addr) {
			t.Errorf("%s: %v is not in %v", version, p.Addr, h.Lease())
		}
		if version != "0.3.1" { // which has no CHECK
			if err := c.Check(p); err != nil {
				t.Errorf("%s: CHECK: %v", version, err)
			}
		}
		if err := c.Delete(p); err != nil {
			t.Errorf("%s: DEL: %v", version, err)
		}
		if got := c.Reserved(); len(got) != 0 {
			t.Errorf("%s: reserved: %v", version, got)
		}
	}
	c := h.CNI(alone("1.1.0", ""), lab.DebianCNI)
	_, err := c.TryAdd("c1", h.Path(), nil)
	failed(t, "1.1.0 with Debian's bridge", err, 1, "/usr/lib/cni/bridge knows versions up to 1.0.0", "set cniVersion")
}

// TestCNIStatusAndGC: version 1.1.0, with plugins that know it.
func TestCNIStatusAndGC(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := pair(l)
	c := h1.CNI(alone("1.1.0", ""), lab.NewPlugins(t))
	if err := c.Status(); err != nil {
		t.Error(err)
	}
	lives, killed, lost := c.Add(nil), c.Add(nil), c.Add(nil)
	killed.Remove()
	lost.Remove()
	c.Forget() // as a runtime does that was killed: what is left is the plugins'
	if err := os.Remove(filepath.Join(h1.CNIFile("data"), lost.Name)); err != nil {
		t.Fatal(err)
	}
	if n := len(c.Reserved()); n != 3 {
		t.Fatalf("%d addresses are reserved", n)
	}
	if err := c.Collect(lives); err != nil {
		t.Error(err)
	}
	if got := c.Reserved(); len(got) != 1 || got[0] != lives.Addr {
		t.Errorf("after GC reserved: %v, want %v", got, lives.Addr)
	}
	if kept, err := os.ReadDir(h1.CNIFile("data")); err != nil || len(kept) != 1 {
		t.Errorf("after GC kept: %v, %v", kept, err)
	}
	if err := c.Check(lives); err == nil || !strings.Contains(err.Error(), "prevResult") {
		t.Errorf("CHECK after the runtime lost its results: %v", err)
	}

	l.Cut(h2)
	lab.Eventually(t, 60*time.Second, "STATUS while the other host is cut off", func() error {
		err, failure := c.Status(), (*types.Error)(nil)
		return lab.Expect(errors.As(err, &failure) && failure.Code == 51 && strings.Contains(failure.Msg, "1 of 1 other hosts"), "%v", err)
	})
	l.Heal(h2)
	lab.Eventually(t, 60*time.Second, "STATUS after that", c.Status)
	h1.Daemon.Stop()
	failed(t, "STATUS without a daemon", c.Status(), 50, "no flanneld answers", "systemctl start flanneld")
}

// TestCNIGCWithOldPlugins: addresses of killed containers are freed also where
// the delegate does not know GC.
func TestCNIGCWithOldPlugins(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	h.Start().WaitReady(ready)
	c := h.CNI(alone("1.0.0", ""), lab.DebianCNI)
	lives, killed := c.Add(nil), c.Add(nil)
	killed.Remove()
	c.Forget()
	c.Configure(alone("1.1.0", ""))
	failed(t, "GC of Debian's bridge", c.Collect(lives), 1, "/usr/lib/cni/bridge knows versions up to 1.0.0")
	if got := c.Reserved(); len(got) != 1 || got[0] != lives.Addr {
		t.Errorf("after GC reserved: %v, want %v", got, lives.Addr)
	}
}

// TestCNIBadInput: what goes wrong in the plugins of others arrives with a
// code, and leaves nothing behind.
func TestCNIBadInput(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h := l.Host()
	h.Start().WaitReady(ready)
	c := h.CNI(alone("1.0.0", ""), lab.DebianCNI)
	container := l.Namespace("container")
	c.Add(nil)

	_, err := c.TryAdd("c1", "/run/netns/gone", nil)
	failed(t, "ADD without a namespace", err, 4, "CNI_NETNS=/run/netns/gone is no network namespace")

	none := h.CNI(alone("1.0.0", ""))
	_, err = none.TryAdd("c1", container.Path(), nil)
	failed(t, "ADD without bridge", err, 7, "plugin bridge is not in CNI_PATH", "containernetworking-plugins")

	networks := h.CNIFile("networks")
	h.Exec(t, "mount", "-t", "tmpfs", "-o", "ro", "tmpfs", networks)
	_, err = c.TryAdd("c1", container.Path(), nil)
	failed(t, "ADD where host-local cannot write", err, 999, "bridge: ", "read-only file system")
	h.Exec(t, "umount", networks)

	if err := os.MkdirAll(h.CNIFile("full"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.Exec(t, "mount", "-t", "tmpfs", "-o", "ro", "tmpfs", h.CNIFile("full"))
	defer h.Exec(t, "umount", h.CNIFile("full"))
	c.Configure(alone("1.0.0", `,"dataDir":"`+h.CNIFile("full")+`"`))
	_, err = c.TryAdd("c1", container.Path(), nil)
	failed(t, "ADD where nothing can be kept", err, 5, "read-only file system", "set dataDir")
	c.Configure(alone("1.0.0", ""))

	container.Exec(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")
	_, err = c.TryAdd("c1", container.Path(), nil)
	failed(t, "ADD where eth0 is there", err, 999, "bridge: ", "eth0")
	// The specification wants a DEL after that, which removes eth0 as well.
	if got := c.Reserved(); len(got) != 1 {
		t.Errorf("ADDs that failed hold %v", got)
	}
	if _, err = c.TryAdd("c1", l.Namespace("another").Path(), nil); err != nil {
		t.Error(err)
	}
}

// TestCNITakesFlannelsPlace: a container that flannel's plugin has added is
// deleted by ours, and the other way round, with the same configuration.
func TestCNITakesFlannelsPlace(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	h.Start().WaitReady(ready)
	list := `{"cniVersion":"0.3.1","name":"cbr0","plugins":[{"type":"flannel","delegate":{"hairpinMode":true,"isDefaultGateway":true}}]}`
	theirs := filepath.Dir(lab.FlannelPlugin(t))
	ours := h.PluginFolder()
	c := h.CNI(list, lab.DebianCNI)
	for what, order := range map[string][2]string{"theirs, then ours": {theirs, ours}, "ours, then theirs": {ours, theirs}} {
		c.Folders(order[0], lab.DebianCNI)
		p := c.Add(nil)
		c.Folders(order[1], lab.DebianCNI)
		if err := c.Delete(p); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got := c.Reserved(); len(got) != 0 {
			t.Errorf("%s: reserved: %v", what, got)
		}
	}
}

// TestCNIDelegateGetsWhatFlannelGives starts flannel's own plugin and ours with
// the same configurations, and compares what the delegate reads.
func TestCNIDelegateGetsWhatFlannelGives(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h, container := l.Host(), l.Namespace("container")
	// What 0.9.1 cannot: IPv6, and more than one network. It knows versions up
	// to 0.4.0. Recordings of 1.9.1 are compared in internal/cni.
	later := []string{"ipv6-alone", "two-families", "several-networks"}
	cases, err := filepath.Glob("../../internal/cni/testdata/flannel/*/conf.json")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, file := range cases {
		name := filepath.Base(filepath.Dir(file))
		if strings.Contains(strings.Join(later, " "), name) {
			continue
		}
		theirs := recorded(t, h, container, lab.FlannelPlugin(t), filepath.Dir(file))
		ours := recorded(t, h, container, filepath.Join(h.PluginFolder(), "flannel"), filepath.Dir(file))
		if ours != theirs {
			t.Errorf("%s:\n  ours %s\ntheirs %s", name, ours, theirs)
		}
		compared++
	}
	if compared < 12 {
		t.Errorf("compared %d cases", compared)
	}
}

// recorded is what the delegate reads from standard input, for ADD and DEL.
func recorded(t *testing.T, h *lab.Host, container *lab.Namespace, plugin, dir string) string {
	t.Helper()
	work := t.TempDir()
	for _, name := range []string{"bridge", "ipvlan"} {
		script := "#!/bin/sh\nprintf '%s ' $CNI_COMMAND >>" + work + "/given\ncat >>" + work + "/given\necho '{\"cniVersion\":\"0.3.1\"}'\n"
		if err := os.WriteFile(filepath.Join(work, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	conf, err := os.ReadFile(filepath.Join(dir, "conf.json"))
	if err != nil {
		t.Fatal(err)
	}
	env, err := filepath.Abs(filepath.Join(dir, "subnet.env"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(`"1.0.0"`, `"0.4.0"`, `"1.1.0"`, `"0.4.0"`).Replace(string(conf))
	text = strings.Replace(text, "{", `{"subnetFile":"`+env+`","dataDir":"`+work+`/data",`, 1)
	for _, command := range []string{"ADD", "DEL"} {
		cmd := exec.Command(plugin)
		cmd.Stdin = strings.NewReader(text)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "CNI_COMMAND=" + command, "CNI_CONTAINERID=c1", "CNI_IFNAME=eth0",
			"CNI_NETNS=" + container.Path(), "CNI_PATH=" + work}
		if r := h.RunCommand(t, cmd); r.Status != 0 {
			t.Fatalf("%s %s of %s: %s%s", plugin, command, dir, r.Stdout, r.Stderr)
		}
	}
	given, err := os.ReadFile(filepath.Join(work, "given"))
	if err != nil {
		t.Fatal(err)
	}
	return string(given)
}
