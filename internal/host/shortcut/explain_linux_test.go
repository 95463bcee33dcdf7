// SPDX-License-Identifier: Apache-2.0

package shortcut

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
)

// What this kernel or this process cannot have is no problem, and says what is
// missing. Anything else is one.
func TestWhatIsMissingForGoodIsNoProblem(t *testing.T) {
	for _, c := range []struct {
		err  error
		says string
	}{
		{ebpf.ErrNotSupported, "Linux 6.6"},
		{syscall.ENOSYS, "filter of system calls"},
		{syscall.EPERM, "CAP_BPF"},
		{syscall.EROFS, "ReadWritePaths=/sys/fs/bpf/flanneld"},
		{&ebpf.VerifierError{Cause: syscall.EINVAL, Log: []string{"invalid func unknown#152"}}, "does not accept the programs"},
	} {
		var l *lack
		err := explain(fmt.Errorf("load: %w", c.err))
		if !errors.As(err, &l) || !strings.Contains(l.why, c.says) {
			t.Errorf("%v: %+v", c.err, err)
		}
	}
	for _, noMemory := range []error{syscall.ENOMEM, &ebpf.VerifierError{Cause: syscall.ENOMEM}} {
		var l *lack
		if err := explain(noMemory); errors.As(err, &l) {
			t.Errorf("no memory: %+v", l)
		}
	}
}

// The first Update, which tells what peers there are, lets Ensure begin. A
// later one is written at once.
func TestTheFirstUpdateMakesAnEnsureDue(t *testing.T) {
	p := NewPart("flannel0")
	if s := p.State(); s.Ready || s.Why != "it is not set up yet" {
		t.Errorf("the state of a new part is %+v", s)
	}
	due := func() bool {
		select {
		case <-p.Due():
			return true
		default:
			return false
		}
	}
	if due() {
		t.Error("an Ensure is due before the first update")
	}
	p.Update(nil, nil)
	if !due() {
		t.Error("no Ensure is due after the first update")
	}
	p.Update([]Peer{testPeer(1)}, nil)
	if due() {
		t.Error("an Ensure is due after an update that the kernel did not refuse")
	}
}

// A configuration that cannot be is an error that names the field.
func TestConfigurationsThatMakeNoSenseAreRefused(t *testing.T) {
	good := Config{Device: "flannel0", Underlay: "eth0", Lease: testPeer(1).Prefix, Endpoint: testPeer(1).Endpoint, MTU: 1472}
	if err := good.validate(); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*Config){
		"no device":     func(c *Config) { c.Device = "" },
		"same device":   func(c *Config) { c.Underlay = c.Device },
		"no lease":      func(c *Config) { c.Lease = Peer{}.Prefix },
		"no port":       func(c *Config) { c.Endpoint = Peer{}.Endpoint },
		"MTU too small": func(c *Config) { c.MTU = 67 },
	} {
		bad := good
		change(&bad)
		if bad.validate() == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}
