// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
)

// asPlugin makes this test program the plugin.
const asPlugin = "FLANNELD_TEST_AS_PLUGIN"

func TestMain(m *testing.M) {
	if os.Getenv(asPlugin) != "" {
		os.Exit(Main("test"))
	}
	os.Exit(m.Run())
}

// runtime is what starts the plugin, with a folder for all files. Its delegates
// are scripts that record what they are given.
type runtime struct {
	t   *testing.T
	dir string
	env map[string]string
}

const env4 = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.7.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n"

func newRuntime(t *testing.T) *runtime {
	r := &runtime{t: t, dir: t.TempDir()}
	r.env = map[string]string{
		"CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0", "CNI_NETNS": r.dir, "CNI_PATH": r.path("bin"), "CNI_NETNS_OVERRIDE": "1",
	}
	if err := os.Mkdir(r.path("bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.write("subnet.env", env4)
	r.delegate("bridge", `echo '{"cniVersion":"1.0.0","ips":[{"address":"10.244.7.2/24"}]}'`)
	r.delegate("host-local", "")
	return r
}

func (r *runtime) path(name string) string { return filepath.Join(r.dir, name) }

func (r *runtime) write(name, content string) {
	r.t.Helper()
	if err := os.WriteFile(r.path(name), []byte(content), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// delegate makes a plugin of a shell script. It appends a line to calls, and
// writes its input to the file COMMAND.
func (r *runtime) delegate(name, script string) {
	r.t.Helper()
	r.write("bin/"+name, "#!/bin/sh\ncd '"+r.dir+"'\n"+
		"test $CNI_COMMAND = VERSION && echo '"+`{"cniVersion":"1.1.0","supportedVersions":["0.4.0","1.1.0"]}`+"' && exit 0\n"+
		"cat >$CNI_COMMAND\necho $CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME >>calls\n"+script+"\n")
	if err := os.Chmod(r.path("bin/"+name), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

// calls are the commands that delegates were given since the last call.
func (r *runtime) calls() string {
	content, _ := os.ReadFile(r.path("calls"))
	os.Remove(r.path("calls"))
	return strings.ReplaceAll(strings.TrimSpace(string(content)), "\n", "; ")
}

func (r *runtime) read(name string) string {
	r.t.Helper()
	content, err := os.ReadFile(r.path(name))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(content)
}

// kept are the names of the files that ADD keeps.
func (r *runtime) kept() string {
	entries, _ := os.ReadDir(r.path("data"))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// conf is a network configuration with more fields, which has its files in the
// runtime's folder.
func (r *runtime) conf(more string) string {
	r.t.Helper()
	all := map[string]any{
		"cniVersion": "1.0.0", "name": "mynet", "type": "flanneld-cni",
		"subnetFile": r.path("subnet.env"), "dataDir": r.path("data"),
	}
	if err := json.Unmarshal([]byte("{"+more+"}"), &all); err != nil {
		r.t.Fatal(err)
	}
	text, err := json.Marshal(all)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// run starts the plugin, and returns its output and, if it failed, the error.
func (r *runtime) run(command, stdin string) (string, *types.Error) {
	r.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{asPlugin + "=1", "CNI_COMMAND=" + command, "PATH=" + os.Getenv("PATH")}
	for name, value := range r.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err == nil {
		return out.String(), nil
	}
	failure := &types.Error{}
	if json.Unmarshal(out.Bytes(), failure) != nil || failure.Code == 0 {
		r.t.Fatalf("%s: %v: %s%s", command, err, out.String(), errs.String())
	}
	if strings.ContainsAny(failure.Msg, "\n\t") {
		r.t.Errorf("%s: not one line: %q", command, failure.Msg)
	}
	return out.String(), failure
}

// must is run that has to succeed.
func (r *runtime) must(command, stdin string) string {
	r.t.Helper()
	out, failure := r.run(command, stdin)
	if failure != nil {
		r.t.Fatalf("%s: %d %v", command, failure.Code, failure)
	}
	return out
}

// refused is run that has to fail, with a code and all words.
func (r *runtime) refused(command, stdin string, code uint, words ...string) {
	r.t.Helper()
	_, failure := r.run(command, stdin)
	if failure == nil {
		r.t.Fatalf("%s: no error", command)
	}
	missing := slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(failure.Error(), w) })
	if failure.Code != code || missing {
		r.t.Errorf("%s: got %d %q, want %d with %q", command, failure.Code, failure.Error(), code, words)
	}
}
