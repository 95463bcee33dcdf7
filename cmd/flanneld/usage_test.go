// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"flanneld/internal/config"
)

func TestWrongCommandLinesEndWithStatusTwoAndOneLine(t *testing.T) {
	for line, want := range map[string]string{
		"":                         "a command is missing: see flanneld --help",
		"rum":                      `unknown command "rum" (did you mean run?): see flanneld --help`,
		"frobnicate":               `unknown command "frobnicate": see flanneld --help`,
		"help rum":                 `unknown command "rum" (did you mean run?): see flanneld --help`,
		"help route gte":           `unknown command "gte" (did you mean get?): see flanneld route --help`,
		"run --netwrok x":          "unknown flag --netwrok (did you mean --network?): see flanneld run --help",
		"run --xyzzy":              "unknown flag --xyzzy: see flanneld run --help",
		"run -x":                   "unknown flag -x: see flanneld run --help",
		"run extra":                `run: "extra" is one argument too many: see flanneld run --help`,
		"run --mtu":                "--mtu: its value is missing: see flanneld run --help",
		"run --mtu 9":              "--mtu 9: not a number from 576 to 65507",
		"run --ip-masq=maybe":      "--ip-masq maybe: neither true nor false",
		"run --offload gso":        "--offload gso: neither auto nor off nor a list of tun-csum, tun-tso, tun-uso, udp-gso, udp-gro",
		"run --subnet 10.9.0.0/24": "--subnet 10.9.0.0/24: is not in the network 10.244.0.0/16",
		"route":                    "a command is missing: see flanneld route --help",
		"route gte":                `unknown command "gte" (did you mean get?): see flanneld route --help`,
		"route get":                "route get: IP is missing: see flanneld route get --help",
		"route get 1.2.3":          `route get: "1.2.3" is not an IP address`,
		"route get fe80::1%eth0":   `route get: "fe80::1%eth0" is not an IP address`,
		"route get 1.2.3.4 5":      `route get: "5" is one argument too many: see flanneld route get --help`,
		"join":                     "join: ADDR is missing: see flanneld join --help",
		"join a:b:c":               `join: "a:b:c" is not HOST or HOST:PORT`,
		"forget":                   "forget: NODE is missing: see flanneld forget --help",
		"status -o xml":            "--output xml: neither table nor json",
		"status extra":             `status: "extra" is one argument too many: see flanneld status --help`,
		"nodes --run-dir":          "--run-dir: its value is missing: see flanneld nodes --help",
		"completion":               "a command is missing: see flanneld completion --help",
		"completion tcsh":          `unknown command "tcsh": see flanneld completion --help`,
		"cleanup --device a/b":     "--device a/b: not a device name; use up to 15 letters, digits, dots, dashes and underscores",
		"keygen now":               `keygen: "now" is one argument too many: see flanneld keygen --help`,
	} {
		r := flanneld(t, nil, strings.Fields(line)...)
		if r != (result{2, "", "flanneld: " + want + "\n"}) {
			t.Errorf("flanneld %s:\ngot  %d %s%s\nwant 2 flanneld: %s", line, r.status, r.err, r.out, want)
		}
	}
}

func TestAWrongVariableIsNamed(t *testing.T) {
	r := flanneld(t, map[string]string{"FLANNELD_SUBNET_LEN": "ninety"}, "run")
	if r.status != 2 || r.err != "flanneld: FLANNELD_SUBNET_LEN=ninety: not a number from 1 to 30\n" {
		t.Errorf("got %+v", r)
	}
}

func TestHelpKnowsEverything(t *testing.T) {
	help := flanneld(t, nil, "help")
	for _, command := range []string{"run", "join", "leave", "forget", "status", "nodes", "route", "docker-opts", "podman", "cni", "keygen", "cleanup", "reset", "version", "completion", "help"} {
		if !strings.Contains(help.out, "\n  "+command+" ") {
			t.Errorf("help does not list %s", command)
		}
		of := flanneld(t, nil, "help", command)
		dashed := flanneld(t, nil, command, "--help")
		if of.status != 0 || of.out != dashed.out || !strings.Contains(of.out, "flanneld "+command) {
			t.Errorf("help %s: status %d\n%s\nand with --help\n%s", command, of.status, of.out, dashed.out)
		}
	}
	run := flanneld(t, nil, "run", "--help")
	for _, s := range config.Settings() {
		if !strings.Contains(run.out, "--"+s.Name+" ") {
			t.Errorf("help of run does not list --%s", s.Name)
		}
		if s.Default != "" && !s.Switch() && !strings.Contains(run.out, "(default "+s.Default+")") {
			t.Errorf("help of run does not give the default of --%s", s.Name)
		}
	}
}

func TestVersionIsPrinted(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if r := flanneld(t, nil, args...); r.status != 0 || !strings.HasPrefix(r.out, "flanneld dev (") {
			t.Errorf("%v: got %+v", args, r)
		}
	}
}

func TestCompletionWorksForEveryShell(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := flanneld(t, nil, "completion", shell); r.status != 0 || !strings.Contains(r.out, "flanneld") {
			t.Errorf("%s: status %d, %s", shell, r.status, r.err)
		}
	}
}

func TestNearestGuessesOnlyWhatIsNear(t *testing.T) {
	known := []string{"network", "node-name", "subnet", "subnet-len", "mtu", "run", "join"}
	for word, want := range map[string]string{
		"netwrok": "network", "nettwork": "network", "subnetlen": "subnet-len", "mtü": "", "rum": "run", "jion": "join",
		"sub": "subnet", "x": "", "completely-else": "", "": "",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

func TestUnitsAreForPeople(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1_850_000_000: "1.9 GB", 18446744073709551615: "18.4 EB"} {
		if got := size(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
	for seconds, want := range map[float64]string{0: "-", 0.2: "0s", 59: "59s", 61: "1m", 3700: "1h2m", 200000: "2d7h"} {
		if got := since(controlSeconds(seconds)); got != want {
			t.Errorf("%v: got %s, want %s", seconds, got, want)
		}
	}
}
