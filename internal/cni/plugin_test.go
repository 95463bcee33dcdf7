// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestAddHandsOnAndKeepsWhatDelNeeds(t *testing.T) {
	r := newRuntime(t)
	out := r.must("ADD", r.conf(`"delegate":{"bridge":"b0"}`))
	if !strings.Contains(out, `"10.244.7.2/24"`) {
		t.Errorf("result %s", out)
	}
	given := r.read("ADD")
	if r.read("data/c1") != given || r.calls() != "ADD c1 eth0" {
		t.Errorf("kept %s, given %s", r.read("data/c1"), given)
	}
	// DEL undoes what was done, not what would be done today.
	r.write("subnet.env", strings.ReplaceAll(env4, "10.244.7.", "10.244.9."))
	r.must("DEL", r.conf(""))
	if r.read("DEL") != given || r.calls() != "DEL c1 eth0" || r.kept() != "" {
		t.Errorf("DEL was given %s, and left %q", r.read("DEL"), r.kept())
	}
}

func TestSecondInterfaceHasItsOwnState(t *testing.T) {
	r := newRuntime(t)
	r.must("ADD", r.conf(""))
	r.env["CNI_IFNAME"] = "net1"
	r.must("ADD", r.conf(`"name":"other"`))
	if r.kept() != "c1 c1:net1" {
		t.Fatalf("kept %q", r.kept())
	}
	r.must("DEL", r.conf(`"name":"other"`))
	r.must("DEL", r.conf(`"name":"other"`)) // again, which must not take eth0's
	if r.kept() != "c1" {
		t.Errorf("kept %q", r.kept())
	}
}

func TestDelSucceedsWhenStateIsGone(t *testing.T) {
	r := newRuntime(t)
	r.env["CNI_NETNS"] = ""
	r.must("DEL", r.conf(""))
	if r.calls() != "DEL c1 eth0" {
		t.Error("the delegate was not asked to free the address")
	}
	r.write("subnet.env", strings.ReplaceAll(env4, "MTU", "XXX"))
	r.must("DEL", r.conf(""))
	if err := os.Remove(r.path("subnet.env")); err != nil {
		t.Fatal(err)
	}
	r.must("DEL", r.conf(""))
	r.must("DEL", r.conf(`"delegate":{"type":7}`))
	r.write("subnet.env", env4)
	r.delegate("bridge", "exit 1")
	r.must("DEL", r.conf(""))
}

func TestDelSurvivesHalfAState(t *testing.T) {
	for _, half := range []string{"", `{"type":"bri`, `null`, `{"name":"mynet"}`, "[]"} {
		r := newRuntime(t)
		r.must("ADD", r.conf(""))
		r.calls()
		r.write("data/c1", half)
		r.must("DEL", r.conf(""))
		if r.calls() != "DEL c1 eth0" || r.kept() != "" {
			t.Errorf("%q: left %q", half, r.kept())
		}
	}
}

func TestFailedAddIsCleanedUp(t *testing.T) {
	r := newRuntime(t)
	r.delegate("bridge", `test $CNI_COMMAND = DEL && exit 0; printf %s '{"code":11,"msg":"no address\nfree"}'; exit 1`)
	r.refused("ADD", r.conf(""), 11, "bridge: no address free")
	if calls := r.calls(); calls != "ADD c1 eth0; DEL c1 eth0" || r.kept() != "" {
		t.Errorf("calls %s, left %q", calls, r.kept())
	}
	// Where the cleaning up fails, DEL does it.
	r.delegate("bridge", `echo '{"code":5,"msg":"read-only file system"}'; exit 1`)
	r.refused("ADD", r.conf(""), 5, "bridge: read-only file system")
	r.refused("DEL", r.conf(""), 5, "bridge: read-only file system")
	if r.kept() != "c1" {
		t.Fatalf("left %q", r.kept())
	}
	r.delegate("bridge", "")
	r.must("DEL", r.conf(""))
	if r.kept() != "" {
		t.Errorf("left %q", r.kept())
	}
}

func TestCheckHandsOnAndSeesAnotherLease(t *testing.T) {
	r := newRuntime(t)
	result := r.must("ADD", r.conf(""))
	withResult := r.conf(`"prevResult":` + result)
	r.must("CHECK", withResult)
	var given struct {
		PrevResult struct{ IPs []struct{ Address string } }
		IPMasq     bool
	}
	if err := json.Unmarshal([]byte(r.read("CHECK")), &given); err != nil {
		t.Fatal(err)
	}
	if len(given.PrevResult.IPs) != 1 || given.PrevResult.IPs[0].Address != "10.244.7.2/24" || !given.IPMasq {
		t.Errorf("CHECK was given %s", r.read("CHECK"))
	}
	r.write("subnet.env", strings.ReplaceAll(env4, "10.244.7.", "10.244.9."))
	r.refused("CHECK", withResult, codeLeaseChanged, "container c1", "10.244.7.0/24", "10.244.9.0/24", "start the container anew")
	r.write("subnet.env", env4)
	r.delegate("bridge", `echo '{"code":100,"msg":"route is gone"}'; exit 1`)
	r.refused("CHECK", withResult, 100, "bridge: route is gone")
	if err := os.Remove(r.path("subnet.env")); err != nil {
		t.Fatal(err)
	}
	r.refused("CHECK", withResult, 11, "subnet.env is not there")
}

func TestGCFreesWhatIsNotValid(t *testing.T) {
	r := newRuntime(t)
	for _, one := range []struct{ container, iface, name string }{
		{"c1", "eth0", "mynet"}, {"c2", "eth0", "mynet"}, {"c2", "net1", "mynet"}, {"c3", "eth0", "mynet"}, {"c4", "eth0", "other"},
	} {
		r.env["CNI_CONTAINERID"], r.env["CNI_IFNAME"] = one.container, one.iface
		r.must("ADD", r.conf(`"name":"`+one.name+`"`))
	}
	r.calls()
	delete(r.env, "CNI_CONTAINERID")
	delete(r.env, "CNI_IFNAME")
	r.must("GC", r.conf(`"cniVersion":"1.1.0","cni.dev/valid-attachments":[{"containerID":"c1","ifname":"eth0"},{"containerID":"c2","ifname":"eth0"}]`))
	if calls := r.calls(); calls != "DEL c2 net1; DEL c3 eth0; GC; GC" {
		t.Errorf("calls %q", calls)
	}
	if r.kept() != "c1 c2 c4" {
		t.Errorf("kept %q", r.kept())
	}
	var given map[string]any
	if err := json.Unmarshal([]byte(r.read("GC")), &given); err != nil || given["type"] != "bridge" {
		t.Fatalf("%v: GC was given %v", err, given)
	}
	if valid, _ := given["cni.dev/valid-attachments"].([]any); len(valid) != 2 {
		t.Errorf("GC was given %v", given)
	}
}

func TestGCGoesOnAfterAFailure(t *testing.T) {
	r := newRuntime(t)
	r.must("ADD", r.conf(""))
	r.env["CNI_CONTAINERID"] = "c2"
	r.must("ADD", r.conf(""))
	r.calls()
	r.delegate("bridge", `test $CNI_CONTAINERID = c2 && exit 0; echo '{"code":5,"msg":"disk is full"}'; exit 1`)
	r.env["CNI_CONTAINERID"], r.env["CNI_IFNAME"] = "", ""
	r.refused("GC", r.conf(`"cniVersion":"1.1.0","cni.dev/valid-attachments":[]`), 5, "bridge: disk is full")
	if calls := r.calls(); calls != "DEL c1 eth0; DEL c2 eth0; GC; GC" || r.kept() != "c1" {
		t.Errorf("calls %q, kept %q", calls, r.kept())
	}
}

func TestVersionsAreListed(t *testing.T) {
	r := newRuntime(t)
	for _, v := range []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		if out := r.must("VERSION", `{"cniVersion":"1.0.0"}`); !strings.Contains(out, `"`+v+`"`) {
			t.Errorf("%s is not in %s", v, out)
		}
		r.must("ADD", r.conf(`"cniVersion":"`+v+`"`))
	}
}

func TestNamesOfThePlugin(t *testing.T) {
	for arg0, want := range map[string]bool{
		"/opt/cni/bin/flannel": true, "flanneld-cni": true, "/usr/bin/flanneld": false, "flanneld": false, "": false, "cni": false,
	} {
		if Called(arg0) != want {
			t.Errorf("Called(%q) is %t", arg0, !want)
		}
	}
}

func TestCheckNamesTheNextHopsOfRoutes(t *testing.T) {
	var result map[string]any
	text := `{"ips":[7,{"address":"10.244.7.2/24","gateway":"10.244.7.1"},{"gateway":"10.244.7.9"},{"gateway":"fd00::1"}],
		"routes":["x",{"dst":"10.244.0.0/16"},{"dst":"0.0.0.0/0","gw":"10.244.7.3"},{"dst":"fd00::/48"},{"dst":7}]}`
	if err := json.Unmarshal([]byte(text), &result); err != nil {
		t.Fatal(err)
	}
	nameNextHops(result)
	got, _ := json.Marshal(result["routes"])
	want := `["x",{"dst":"10.244.0.0/16","gw":"10.244.7.1"},{"dst":"0.0.0.0/0","gw":"10.244.7.3"},{"dst":"fd00::/48","gw":"fd00::1"},{"dst":7}]`
	if string(got) != want {
		t.Errorf("got %s", got)
	}
	nameNextHops(nil)
}
