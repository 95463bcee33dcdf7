// SPDX-License-Identifier: Apache-2.0

// Package dist holds what is installed beside the program: the systemd unit,
// its settings, and the drop-in for docker.service. There is no code here but
// the tests that keep them true.
package dist

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"flanneld/internal/cni"
	"flanneld/internal/config"
	"flanneld/internal/host/kernelpath"
)

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// unit is the unit as make install writes it for a prefix.
func unit(t *testing.T, bindir string) string {
	t.Helper()
	return strings.NewReplacer("@BINDIR@", bindir, "@SYSCONFDIR@", "/etc").Replace(read(t, "flanneld.service.in"))
}

// examples are the variables of the environment file with the value shown.
func examples(t *testing.T) map[string]string {
	t.Helper()
	shown := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^#(FLANNELD_\w+)=(.*)$`).FindAllStringSubmatch(read(t, "flanneld.default"), -1) {
		if _, twice := shown[m[1]]; twice {
			t.Errorf("%s is explained twice", m[1])
		}
		shown[m[1]] = strings.Trim(m[2], "'")
	}
	return shown
}

func TestEverySettingIsExplained(t *testing.T) {
	shown := examples(t)
	for _, s := range config.Settings() {
		value, ok := shown[s.Variable()]
		delete(shown, s.Variable())
		if !ok {
			t.Errorf("%s is not in flanneld.default", s.Variable())
		} else if s.Default != "" && value != s.Default {
			t.Errorf("%s shows %q, the default is %q", s.Variable(), value, s.Default)
		}
	}
	for name := range shown {
		t.Errorf("flanneld.default explains %s, which is no setting", name)
	}
}

func TestEveryExampleIsAccepted(t *testing.T) {
	for name, value := range examples(t) {
		only := map[string]string{name: value}
		if _, err := config.Load(nil, func(variable string) (string, bool) { v, ok := only[variable]; return v, ok }); err != nil {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

func TestSettingsAreAllCommentedOut(t *testing.T) {
	for line := range strings.Lines(read(t, "flanneld.default")) {
		if line != "\n" && line[0] != '#' {
			t.Errorf("a fresh installation sets %s", line)
		}
	}
}

func TestUnitFollowsThePrefix(t *testing.T) {
	text := unit(t, "/opt/x/bin")
	if !strings.Contains(text, "\nExecStart=/opt/x/bin/flanneld run\n") {
		t.Error("ExecStart does not follow the prefix")
	}
	if m := regexp.MustCompile(`@\w+@`).FindString(text); m != "" {
		t.Errorf("%s is never replaced", m)
	}
}

// ip route shows flanneld's routes by name.
func TestRoutesHaveANameForTheirProtocol(t *testing.T) {
	if text, want := read(t, "rt_protos.d/flanneld.conf"), fmt.Sprintf("\n%d\tflanneld\n", kernelpath.Protocol); !strings.HasSuffix(text, want) {
		t.Errorf("%q does not end with %q", text, want)
	}
}

// The example is a network configuration that starts this program's plugin.
func TestExampleOfCNIStartsThePlugin(t *testing.T) {
	var list struct {
		Name       string
		CNIVersion string
		Plugins    []struct{ Type string }
	}
	if err := json.Unmarshal([]byte(read(t, "10-flanneld.conflist")), &list); err != nil {
		t.Fatal(err)
	}
	if list.Name != "flanneld" || list.CNIVersion != "1.0.0" || len(list.Plugins) != 3 || !cni.Called(list.Plugins[0].Type) {
		t.Errorf("read %+v", list)
	}
}
