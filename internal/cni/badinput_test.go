// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"os"
	"strings"
	"testing"
)

func TestBadConfigurationHasACode(t *testing.T) {
	for _, c := range []struct {
		more  string
		code  uint
		words string
	}{
		{`"subnetFile":7`, 7, "subnetFile is a JSON number, and must be a string"},
		{`"delegate":"bridge"`, 7, "delegate is a JSON string, and must be an object"},
		{`"ipam":[]`, 7, "ipam is a JSON array, and must be an object"},
		{`"runtimeConfig":true`, 7, "runtimeConfig is a JSON bool, and must be an object"},
		{`"delegate":{"type":7}`, 7, "delegate.type must be a string"},
		{`"delegate":{"type":"flanneld-cni"}`, 7, "this plugin itself"},
		{`"delegate":{"name":"x"}`, 7, "delegate.name is set"},
		{`"delegate":{"ipam":{}}`, 7, "delegate.ipam is set"},
		{`"delegate":{"type":"../bridge"}`, 7, "plugin ../bridge is not in CNI_PATH="},
		{`"delegate":{"type":"macvlan"}`, 7, "plugin macvlan is not in CNI_PATH="},
		{`"ipam":{"routes":"all"}`, 7, "ipam.routes is no list of routes"},
		{`"ipam":{"routes":[{"dst":"everywhere"}]}`, 7, "ipam.routes is no list of routes"},
		{`"name":""`, 7, "name"},
		{`"name":"a/b"`, 7, "name"},
		{`"cniVersion":"2.0.0"`, 1, "2.0.0"},
		{`"cniVersion":"1.2.0"`, 1, "1.2.0"},
		{`"cniVersion":"new"`, 1, "new"},
	} {
		r := newRuntime(t)
		r.refused("ADD", r.conf(c.more), c.code, c.words)
		if r.calls() != "" || r.kept() != "" {
			t.Errorf("%s: a delegate ran, or something was kept: %q", c.more, r.kept())
		}
	}
	r := newRuntime(t)
	r.refused("ADD", `{"name":`, 6)
	r.refused("ADD", "", 6)
	r.refused("CHECK", r.conf(`"cniVersion":"0.3.1"`), 1, "CHECK")
	r.refused("GC", r.conf(`"cniVersion":"1.0.0"`), 1, "GC")
	r.refused("STATUS", r.conf(`"cniVersion":"1.0.0"`), 1, "STATUS")
	r.refused("GC", r.conf(`"cniVersion":"1.1.0","cni.dev/valid-attachments":{}`), 7, "cni.dev/valid-attachments", "must be an array")
}

// Fields that this plugin does not know are the delegate's, or a later
// version's.
func TestUnknownFieldsAreLetPass(t *testing.T) {
	r := newRuntime(t)
	r.must("ADD", r.conf(`"future":{"a":1},"delegate":{"future":[]}`))
	if given := r.read("ADD"); !strings.Contains(given, `"future":[]`) || strings.Contains(given, `"a":1`) {
		t.Errorf("the delegate was given %s", given)
	}
}

func TestBadEnvironmentHasACode(t *testing.T) {
	for _, c := range []struct {
		name, value string
		words       string
	}{
		{"CNI_CONTAINERID", "", "CNI_CONTAINERID"},
		{"CNI_CONTAINERID", "../c1", "containerID"},
		{"CNI_IFNAME", "a/b", "interface name"},
		{"CNI_IFNAME", "much-too-long-a-name", "interface name"},
		{"CNI_NETNS", "", "CNI_NETNS"},
		{"CNI_NETNS", "/run/netns/gone", "CNI_NETNS=/run/netns/gone is no network namespace"},
		{"CNI_PATH", "", "CNI_PATH"},
	} {
		r := newRuntime(t)
		r.env[c.name] = c.value
		r.refused("ADD", r.conf(""), 4, c.words)
	}
	newRuntime(t).refused("UPDATE", `{"name":"mynet"}`, 4, "UPDATE")
}

func TestBadSubnetFileHasACode(t *testing.T) {
	for _, c := range []struct {
		env   string
		words string
	}{
		{"", "FLANNEL_NETWORK and FLANNEL_SUBNET are missing"},
		{env4[:40], "line 2 is not NAME=VALUE"},
		{strings.Replace(env4, "FLANNEL_MTU=1472\n", "", 1), `FLANNEL_MTU=""`},
		{strings.Replace(env4, "1472", "-1", 1), `FLANNEL_MTU="-1"`},
		{strings.Replace(env4, "FLANNEL_IPMASQ=false\n", "", 1), "FLANNEL_IPMASQ is missing"},
		{strings.Replace(env4, "FLANNEL_NETWORK=10.244.0.0/16\n", "", 1), "FLANNEL_NETWORK is missing"},
		{strings.Replace(env4, "10.244.0.0/16", "10.0.0.0/16", 1), "FLANNEL_SUBNET=10.244.7.0/24 is not in FLANNEL_NETWORK=10.0.0.0/16"},
		{strings.Replace(env4, "10.244.7.1/24", "10.244.7.1/8", 1), "is not in FLANNEL_NETWORK"},
		{strings.Replace(env4, "10.244.7.1/24", "fd00::1/64", 1), "is no subnet of its family"},
		{strings.Replace(env4, "10.244.7.1/24", "10.244.7.1/24,10.244.8.1/24", 1), "more than one subnet"},
		{strings.Replace(env4, "10.244.7.1/24", "$(id)", 1), "FLANNEL_SUBNET"},
		{"hello\n", "line 1"},
		{strings.Repeat("#", 1<<20), "too many"},
	} {
		r := newRuntime(t)
		r.write("subnet.env", c.env)
		r.refused("ADD", r.conf(""), 6, r.path("subnet.env"), c.words, "restart flanneld")
	}
	r := newRuntime(t)
	r.refused("ADD", r.conf(`"subnetFile":"`+r.path("none")+`"`), 11, r.path("none")+" is not there")
	r.refused("ADD", r.conf(`"subnetFile":"`+r.dir+`"`), 5, r.dir)
}

func TestFoldersThatCannotBeWrittenHaveACode(t *testing.T) {
	r := newRuntime(t)
	r.write("data", "a file where the folder should be")
	r.refused("ADD", r.conf(""), 5, r.path("data"), "dataDir")
	if r.calls() != "" {
		t.Error("the delegate ran, and DEL would not know how")
	}
	r.refused("GC", r.conf(`"cniVersion":"1.1.0"`), 5, r.path("data"))
	r.must("DEL", r.conf(""))
}

func TestDelegateThatTalksNonsense(t *testing.T) {
	for script, words := range map[string]string{
		"exit 3": "exit status 3", "echo hello; exit 1": "hello", "echo hello": "bridge", "echo oh no >&2; exit 1": "oh no",
		"kill -9 $$": "killed", `echo '{"cniVersion":"9.0.0"}'`: "9.0.0",
	} {
		r := newRuntime(t)
		r.delegate("bridge", "test $CNI_COMMAND = DEL && exit 0\n"+script)
		r.refused("ADD", r.conf(""), 999, "bridge: ", words)
		if r.kept() != "" {
			t.Errorf("%s: left %q", script, r.kept())
		}
	}
}

func TestOlderDelegateIsNamed(t *testing.T) {
	r := newRuntime(t)
	r.delegate("bridge", `echo '{"code":3,"msg":"missing containerID"}'; exit 1`)
	older := strings.NewReplacer(`["0.4.0","1.1.0"]`, `["0.4.0","1.0.0"]`).Replace(r.read("bin/bridge"))
	r.write("bin/bridge", older)
	for _, command := range []string{"ADD", "GC"} {
		r.refused(command, r.conf(`"cniVersion":"1.1.0"`), 1, r.path("bin/bridge")+" knows versions up to 1.0.0", "set cniVersion")
	}
	r.refused("ADD", r.conf(`"cniVersion":"1.0.0"`), 3, "bridge: missing containerID")
}

func TestWholeFileOfFlannelIsRead(t *testing.T) {
	r := newRuntime(t)
	if err := os.MkdirAll(r.path("data"), 0o700); err != nil {
		t.Fatal(err)
	}
	// As flannel's plugin leaves it: DEL by this one follows it.
	r.write("data/c1", `{"type":"bridge","name":"mynet","ipam":{"type":"host-local"}}`)
	r.must("DEL", r.conf(""))
	if r.read("DEL") != `{"ipam":{"type":"host-local"},"name":"mynet","type":"bridge"}` || r.kept() != "" {
		t.Errorf("DEL was given %s", r.read("DEL"))
	}
}
