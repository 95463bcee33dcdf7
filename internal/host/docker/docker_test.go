// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"os/exec"
	"strings"
	"testing"
)

// sampleText is the example of flannel's documentation.
const sampleText = `FLANNEL_NETWORK=10.244.0.0/16
FLANNEL_SUBNET=10.244.7.1/24
FLANNEL_MTU=1472
FLANNEL_IPMASQ=false
`

const dockerText = `DOCKER_OPT_BIP="--bip=10.244.7.1/24"
DOCKER_OPT_IPMASQ="--ip-masq=true"
DOCKER_OPT_MTU="--mtu=1472"
DOCKER_OPTS=" --bip=10.244.7.1/24 --ip-masq=true --mtu=1472"
`

func TestDockerOptsAreFlannelsByteForByte(t *testing.T) {
	lines := strings.SplitAfter(dockerText, "\n")
	individual, combined := strings.Join(lines[:3], ""), lines[3]
	for name, c := range map[string]struct {
		env  string
		o    Options
		want string
	}{
		"default":       {sampleText, Options{}, dockerText},
		"-i":            {sampleText, Options{Individual: true}, individual},
		"-c":            {sampleText, Options{Combined: true}, combined},
		"-i -c":         {sampleText, Options{Individual: true, Combined: true}, dockerText},
		"-k":            {sampleText, Options{Combined: true, Key: "DOCKER_NETWORK_OPTIONS"}, "DOCKER_NETWORK_OPTIONS" + strings.TrimPrefix(combined, "DOCKER_OPTS")},
		"-m":            {sampleText, Options{Combined: true, NoIPMasq: true}, "DOCKER_OPTS=\" --bip=10.244.7.1/24 --mtu=1472\"\n"},
		"--ip-masq":     {strings.Replace(sampleText, "false", "true", 1), Options{Combined: true}, strings.Replace(combined, "true", "false", 1)},
		"set before":    {sampleText, Options{Combined: true, Existing: "-D"}, "DOCKER_OPTS=\"-D  --bip=10.244.7.1/24 --ip-masq=true --mtu=1472\"\n"},
		"nothing there": {"", Options{}, "DOCKER_OPTS=\"\"\n"},
		"only the MTU":  {"FLANNEL_MTU=1450\n", Options{}, "DOCKER_OPT_MTU=\"--mtu=1450\"\nDOCKER_OPTS=\" --mtu=1450\"\n"},
	} {
		got, err := Opts([]byte(c.env), c.o)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %v, got\n%s\nwant\n%s", name, err, got, c.want)
		}
	}
}

func TestDockerOptsRefuseWhatAShellWouldRun(t *testing.T) {
	for name, c := range map[string]struct {
		env string
		o   Options
	}{
		"masquerade neither way": {"FLANNEL_IPMASQ=maybe\n", Options{}},
		"command in a value":     {"FLANNEL_SUBNET=`reboot`\n", Options{}},
		"blank in a value":       {"FLANNEL_SUBNET=\"10.0.0.1/24 --debug\"\n", Options{}},
		"key is no name":         {sampleText, Options{Key: "A B"}},
		"key is a command":       {sampleText, Options{Key: "$(reboot)"}},
		"quote set before":       {sampleText, Options{Existing: `"; reboot; "`}},
	} {
		if got, err := Opts([]byte(c.env), c.o); err == nil {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestShellGetsTheOptionsFromTheFile(t *testing.T) {
	out, err := exec.Command("sh", "-c", dockerText+"echo $DOCKER_OPTS").Output()
	if err != nil || string(out) != "--bip=10.244.7.1/24 --ip-masq=true --mtu=1472\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func FuzzOpts(f *testing.F) {
	f.Add([]byte(sampleText))
	f.Add([]byte("export FLANNEL_MTU='1472'\n#\nA=b"))
	f.Fuzz(func(t *testing.T, text []byte) {
		out, err := Opts(text, Options{})
		if err == nil && strings.ContainsAny(string(out), "$`\\;&|<>") {
			t.Errorf("%q: a shell would expand %q", text, out)
		}
	})
}
