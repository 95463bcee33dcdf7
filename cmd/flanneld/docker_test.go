// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flanneld/internal/host/engine/enginetest"
)

const subnetEnv = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.7.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n"

// runDir makes a run directory with a subnet.env and a file for dockerd; "" for
// none.
func runDir(t *testing.T, env, dockerFile string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"subnet.env": env, "docker": dockerFile} {
		if content == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const half = `DOCKER_OPT_BIP="--bip=10.244.7.1/25"` + "\n"

func TestDockerNetworksAreMadeShownAndRemoved(t *testing.T) {
	s := enginetest.New(t, "1.48", "10.244.7.0/25")
	dir := runDir(t, subnetEnv, half)
	vars := map[string]string{"DOCKER_HOST": "unix://" + s.Path, "FLANNELD_RUN_DIR": dir}
	for _, step := range []struct {
		line string
		want string
	}{
		{"docker network create", "network flannel was made: 10.244.7.128/25, part 2/2 of the lease 10.244.7.0/24, on bridge br-flannel with MTU 1472\n"},
		{"docker network create flannel", "network flannel is as it should be: 10.244.7.128/25, part 2/2 of the lease 10.244.7.0/24, on bridge br-flannel with MTU 1472\n"},
		{"docker network create flannel --part 4/4 --bridge web0", "network flannel was made anew: 10.244.7.192/26, part 4/4 of the lease 10.244.7.0/24, on bridge web0 with MTU 1472 " +
			"(subnet is 10.244.7.128/25, not 10.244.7.192/26, bridge.name is br-flannel, not web0, part is 2/2, not 4/4)\n"},
		{"docker network show", "lease    10.244.7.0/24    of 10.244.0.0/16\n" +
			"bridge   10.244.7.0/25    docker0  part 1/2\n" +
			"flannel  10.244.7.192/26  web0     part 4/4\n" +
			"free     10.244.7.128/26\n"},
		{"docker network remove", "removed network flannel\n"},
		{"docker network remove", "nothing to remove\n"},
	} {
		if r := flanneld(t, vars, strings.Fields(step.line)...); r != (result{0, step.want, ""}) {
			t.Errorf("%s:\ngot  %+v\nwant %q", step.line, r, step.want)
		}
	}
}

// What does not fit the lease is named, and makes the exit status 1.
func TestStaleDockerNetworksAreShown(t *testing.T) {
	s := enginetest.New(t, "1.41", "10.244.9.0/25")
	dir := runDir(t, subnetEnv, half)
	args := []string{"docker", "network", "show", "--run-dir", dir, "--docker-socket", s.Path}
	r := flanneld(t, nil, args...)
	want := "lease   10.244.7.0/24  of 10.244.0.0/16\n" +
		"bridge  10.244.9.0/25  docker0  no part of the lease: 10.244.9.0/25 is not in the lease 10.244.7.0/24\n" +
		"free    10.244.7.0/24\n"
	if r != (result{1, want, ""}) {
		t.Errorf("got %+v\nwant %q", r, want)
	}
	golden(t, "docker-network.json", flanneld(t, nil, append(args, "-o", "json")...).out)
}

// Whatever is in the way of these commands is one line that says what to type.
// The exit status is 2 only where the command line is wrong.
func TestWhatIsInTheWayOfDockerNetworksIsNamed(t *testing.T) {
	s := enginetest.New(t, "1.48", "10.244.7.0/24")
	old := enginetest.New(t, "1.40", "10.244.7.0/24")
	whole := runDir(t, subnetEnv, `DOCKER_OPT_BIP="--bip=10.244.7.1/24"`+"\n")
	small := runDir(t, strings.Replace(subnetEnv, "7.1/24", "7.1/30", 1), "")
	ours := serve(t, &fake{well: true}) // a daemon with a lease of its own
	if err := os.WriteFile(filepath.Join(ours, "subnet.env"), []byte(strings.Replace(subnetEnv, "7.1/24", "250.1/24", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir, socket, line string
		status            int
		words             string
	}{
		"docker0 has all":       {whole, s.Path, "create", 1, "nothing is left of the lease 10.244.7.0/24; --docker-part 1/2; restart dockerd"},
		"no room":               {whole, s.Path, "create --part 2/2", 1, "docker0 has 10.244.7.0/24, which overlaps 10.244.7.128/25"},
		"too small":             {small, s.Path, "create --part 2/2", 1, "lease 10.244.7.0/30 is too small; 2 parts; --subnet-len"},
		"no subnet.env":         {t.TempDir(), s.Path, "create", 1, "subnet.env is not there; systemctl start flanneld; --subnet-file"},
		"half a subnet.env":     {runDir(t, subnetEnv[:58], ""), s.Path, "show", 1, "FLANNEL_MTU; subnet.env; start flanneld"},
		"not in its network":    {runDir(t, strings.Replace(subnetEnv, "10.244.7.1", "10.5.7.1", 1), ""), s.Path, "create", 1, "10.5.7.1/24 is not in FLANNEL_NETWORK 10.244.0.0/16"},
		"of another flannel":    {ours, s.Path, "create", 1, "10.244.250.0/24 of another flannel; the flanneld that runs here holds; --subnet-file"},
		"Docker absent":         {whole, "/nonexistent.sock", "create", 1, "no Docker engine answers at /nonexistent.sock; systemctl start docker; --docker-socket"},
		"Docker absent, remove": {whole, "/nonexistent.sock", "remove", 1, "no Docker engine answers"},
		"too old":               {whole, old.Path, "show", 1, "API 1.40; Docker 20.10; upgrade Docker"},
		"an odd socket":         {whole, "ssh://host", "create", 2, "--docker-socket: \"ssh://host\"; unix://PATH"},
		"an odd part":           {whole, s.Path, "create --part 1/3", 2, "--part 1/3: no part such as 1/1, 2/2 or 3/4"},
		"part none":             {whole, s.Path, "create --part none", 2, "--part none: no part"},
		"an odd bridge":         {whole, s.Path, "create --bridge a/b", 2, "--bridge a/b: not a device name"},
		"an odd name":           {whole, s.Path, "create -- -x", 2, `docker network create: "-x" cannot be a network's name`},
		"two names":             {whole, s.Path, "create a b", 2, `docker network create: "b" is one argument too many`},
		"no command":            {whole, s.Path, "", 2, "a command is missing: see flanneld docker network --help"},
	} {
		args := append([]string{"docker", "network"}, strings.Fields(c.line)...)
		if c.line != "" {
			args = append(args[:3:3], append([]string{"--run-dir", c.dir, "--docker-socket", c.socket}, args[3:]...)...)
		}
		r := flanneld(t, nil, args...)
		if r.status != c.status || r.out != "" || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s: got %+v, want status %d", name, r, c.status)
		}
		for word := range strings.SplitSeq(c.words, "; ") {
			if !strings.Contains(r.err, word) {
				t.Errorf("%s: no %q in %q", name, word, r.err)
			}
		}
	}
	if len(s.Changes) > 0 {
		t.Errorf("changes: %q", s.Changes)
	}
	if r := flanneld(t, map[string]string{"DOCKER_HOST": "ssh://host"}, "docker", "network", "show", "--run-dir", whole); r.status != 2 || !strings.HasPrefix(r.err, `flanneld: DOCKER_HOST: "ssh://host"`) {
		t.Errorf("got %+v", r)
	}
}

func TestPoolsForComposeAreTheRestOfTheLease(t *testing.T) {
	s := enginetest.New(t, "1.48", "10.244.7.0/25")
	dir := runDir(t, subnetEnv, half)
	for name, c := range map[string]struct {
		line   string
		golden string
	}{
		"as the daemon divides":  {"--docker-socket " + s.Path, "docker-opts-pools.json"},
		"with a version of 28":   {"--docker-version 28.5.2", "docker-opts-pools.json"},
		"the part is given":      {"--docker-version 28 --part 1/2 -f " + runDir(t, subnetEnv, "") + "/subnet.env", "docker-opts-pools.json"},
		"for 20.10, other sizes": {"--docker-version 20.10 --part 1/8 --size 26", "docker-opts-pools-20.10.json"},
	} {
		r := flanneld(t, nil, append([]string{"docker-opts", "--json", "--run-dir", dir}, strings.Fields(c.line)...)...)
		if r.status != 0 || r.err != "" {
			t.Errorf("%s: %+v", name, r)
			continue
		}
		golden(t, c.golden, r.out)
	}
	bare := runDir(t, subnetEnv, "")
	for line, c := range map[string]struct {
		status int
		words  string
	}{
		"--json --docker-version 28":                          {1, "docker0 has the whole lease 10.244.7.0/24; --part 1/2; --docker-part 1/2"},
		"--json --docker-version 28 --part 1/2 --size 24":     {1, "has room for a /24"},
		"--json --docker-version 28 --part 1/2 --size 31":     {1, "/30 is the smallest"},
		"--json --docker-version 28 --part 1/128":             {1, "too small"},
		"--json --part 1/2 --docker-socket /nonexistent.sock": {1, "no Docker engine answers; --docker-version"},
		"--json --docker-version 19.03":                       {2, "--docker-version 19.03; 20.10 is the oldest"},
		"--json --docker-version new":                         {2, "--docker-version new"},
		"--json -i":                                           {2, "--individual: has no effect on --json"},
		"--size 26":                                           {2, "--size: needs --json"},
		"--part 2/3":                                          {2, "--part 2/3"},
		"--part 1/128":                                        {1, "too small"},
	} {
		r := flanneld(t, nil, append([]string{"docker-opts", "--run-dir", bare}, strings.Fields(line)...)...)
		if r.status != c.status || r.out != "" || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s: %+v", line, r)
		}
		for word := range strings.SplitSeq(c.words, "; ") {
			if !strings.Contains(r.err, word) {
				t.Errorf("%s: no %q in %q", line, word, r.err)
			}
		}
	}
	if r := flanneld(t, nil, "docker-opts", "--run-dir", dir, "-c", "--part", "1/2"); r.out != "DOCKER_OPTS=\" --bip=10.244.7.1/25 --ip-masq=true --mtu=1472\"\n" {
		t.Errorf("got %+v", r)
	}
}
