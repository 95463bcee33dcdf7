// SPDX-License-Identifier: Apache-2.0

// Package test holds the laws of the project's layout: which package may import
// which, and why. ARCHITECTURE.md draws the layout.
package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "flanneld"

// pkg is what `go list -json` says of a package, as far as the laws need it.
type pkg struct {
	ImportPath, Dir                    string
	GoFiles, TestGoFiles, XTestGoFiles []string
	Imports, TestImports, XTestImports []string
}

// law says that packages in a place must not import something.
type law struct {
	why       string
	places    []string // places of the module; "" is the whole module
	except    []string
	mayNot    []string // places of the module, or paths of other modules
	unless    []string // of mayNot, these are allowed
	alsoTests bool     // holds for _test.go files, too
}

var laws = []law{{
	why:    "packet is the ground floor: one IP packet, pure, so that it can be tested on any system and used everywhere",
	places: []string{"internal/packet"}, mayNot: []string{module, "net", "os", "syscall", "time", "sync", "golang.org/x/sys/unix"},
	unless: []string{module + "/internal/packet"}, alsoTests: true,
}, {
	why:    "valid is the ground floor: what a name may be depends on no machine, and settings and their users agree on it",
	places: []string{"internal/valid"}, mayNot: []string{module, "net", "os", "syscall", "golang.org/x/sys/unix"},
	unless: []string{module + "/internal/valid"}, alsoTests: true,
}, {
	why:    "sealing is the ground floor: keys, sessions and windows have no socket, no clock and no goroutine, so that every interleaving can be tried in virtual time",
	places: []string{"internal/seal"}, mayNot: []string{module, "net", "os", "syscall", "context", "golang.org/x/sys/unix"},
	unless: []string{module + "/internal/seal"},
}, {
	why:    "one package makes handshakes and ciphers of packets: their libraries can be judged and replaced there",
	places: []string{""}, except: []string{"internal/seal"}, mayNot: []string{"github.com/flynn/noise", "golang.org/x/crypto"},
}, {
	why:    "poll is the ground floor: it waits for descriptors, whatever they are of",
	places: []string{"internal/poll"}, mayNot: []string{module}, unless: []string{module + "/internal/poll"}, alsoTests: true,
}, {
	why:    "tun is one edge of the data path and knows nothing of the other, of routes or of peers: each can be read, tested and replaced alone",
	places: []string{"tun"}, mayNot: []string{module}, unless: []string{module + "/tun", module + "/internal/packet", module + "/internal/poll"}, alsoTests: true,
}, {
	why:    "encap is the other edge, for the same reason",
	places: []string{"encap"}, mayNot: []string{module}, unless: []string{module + "/encap", module + "/internal/poll"}, alsoTests: true,
}, {
	why:    "peers decides which node has which subnet without knowing what packets do with it; netip types are the common language",
	places: []string{"peers"}, mayNot: []string{module}, unless: []string{module + "/peers"}, alsoTests: true,
}, {
	why:    "route joins the two edges and gets its destinations from others: lease events become routes in one place above it",
	places: []string{"route"}, mayNot: []string{module}, unless: []string{module + "/route", module + "/tun", module + "/encap", module + "/internal/packet", module + "/internal/seal"}, alsoTests: true,
}, {
	why:    "the plan is pure: it turns what is known into peers and paths, so that tables of cases can test it",
	places: []string{"internal/plan"}, mayNot: []string{module, "net", "os", "os/exec", "syscall", "context", "log/slog", "golang.org/x/sys"},
	unless: []string{module + "/internal/plan", module + "/internal/config", module + "/internal/seal", module + "/peers", module + "/route"}, alsoTests: true,
}, {
	why:    "what users are promised cannot depend on an inner type: the socket and its JSON types stand alone",
	places: []string{"internal/control"}, mayNot: []string{module}, unless: []string{module + "/internal/control"}, alsoTests: true,
}, {
	why:    "a face never reaches past what users are promised: it can be replaced without touching what it shows",
	places: []string{"internal/web", "internal/metrics", "internal/page", "internal/report"}, mayNot: []string{module},
	unless: []string{module + "/internal/web", module + "/internal/metrics", module + "/internal/page", module + "/internal/report", module + "/internal/control"}, alsoTests: true,
}, {
	why:    "a report is bytes to gossip: what nodes tell each other of themselves can change without touching what decides",
	places: []string{"internal/report"}, mayNot: []string{"net/http", "os", "log/slog"}, alsoTests: true,
}, {
	why:    "a browser is for the tests of the page, which a person starts",
	places: []string{""}, except: []string{"test/page"}, mayNot: []string{"github.com/chromedp"}, alsoTests: true,
}, {
	why:    "one package names what Prometheus reads; counters are kept where they are counted",
	places: []string{""}, except: []string{"internal/metrics", "test"}, mayNot: []string{"github.com/prometheus"},
}, {
	why:    "the underlay watcher decides; what is started, bound or moved is the daemon's, which it asks through an interface",
	places: []string{"internal/underlaywatch"}, mayNot: []string{module + "/internal", module + "/route", module + "/tun"},
	unless: []string{module + "/internal/underlaywatch", module + "/internal/config", module + "/internal/host/underlay", module + "/internal/host/link",
		module + "/internal/problem", module + "/internal/plan/plantest"}, alsoTests: true,
}, {
	why:    "a data plane knows routes and edges; what proves it, shows it or keeps the host for it stands above",
	places: []string{"internal/dataplane"}, mayNot: []string{module + "/internal/control", module + "/internal/monitor", module + "/internal/view",
		module + "/internal/underlaywatch", module + "/internal/probe"}, alsoTests: true,
}, {
	why:    "monitors report problems and show nothing: a face may be replaced without them",
	places: []string{"internal/monitor"}, mayNot: []string{module + "/internal/view", module + "/internal/underlaywatch"}, alsoTests: true,
}, {
	why:    "a bundle is what any command can see: what it packs must not need a daemon or the network's secrets inside",
	places: []string{"internal/bundle"}, mayNot: []string{module}, unless: []string{module + "/internal/bundle", module + "/internal/bounded", module + "/internal/control",
		module + "/internal/config", module + "/internal/kubernetes"}, alsoTests: true,
}, {
	why:    "doctor asks a daemon as any command does, and looks at the host by its parts: what it finds must not need a daemon inside",
	places: []string{"internal/doctor"}, mayNot: []string{module + "/internal/daemon", module + "/internal/view", module + "/internal/monitor",
		module + "/internal/dataplane", module + "/internal/host/guard", module + "/route", module + "/tun", module + "/encap"}, alsoTests: true,
}, {
	why:    "the daemon wires everything below cmd, and is the only place that sees all",
	places: []string{""}, except: []string{"internal/daemon", "cmd"}, mayNot: []string{module + "/internal/daemon"}, alsoTests: true,
}, {
	why:    "internal serves the program and is not part of it: what it needs is handed to it",
	places: []string{"internal"}, mayNot: []string{module + "/cmd"}, alsoTests: true,
}, {
	why:    "test is for tests: the program must not carry a laboratory",
	places: []string{""}, except: []string{"test"}, mayNot: []string{module + "/test"}, alsoTests: true,
}, {
	why:    "cmd is the outermost layer; its wiring is tested through the built binary",
	places: []string{""}, except: []string{"cmd"}, mayNot: []string{module + "/cmd"}, alsoTests: true,
}, {
	why:    "one package makes the TUN device, so its library can be replaced there",
	places: []string{""}, except: []string{"tun"}, mayNot: []string{"github.com/songgao/water"},
}, {
	why:    "one package gossips; the library's callbacks and locks are that package's business",
	places: []string{""}, except: []string{"peers/internal/gossip"}, mayNot: []string{"github.com/hashicorp/memberlist"},
}, {
	why:    "the wire format stands alone: what is signed, sent and kept can be read and tested without knowing what is decided by it",
	places: []string{"peers/internal/record"}, mayNot: []string{module, "net", "net/http", "os", "os/exec", "io/ioutil", "syscall", "log", "log/slog", "sync",
		"github.com/hashicorp/memberlist", "golang.org/x/sys"},
	unless: []string{module + "/peers/internal/record"}, alsoTests: true,
}, {
	why:    "decisions know records and nothing else of ours; only tests of core know the simulator",
	places: []string{"peers/internal/core"}, except: []string{"peers/internal/core/sim"}, mayNot: []string{module},
	unless: []string{module + "/peers/internal/core", module + "/peers/internal/record"},
}, {
	why:    "the simulator runs cores and nothing else: what stands around them is a model",
	places: []string{"peers/internal/core/sim"}, mayNot: []string{module, "net", "net/http", "os", "os/exec", "syscall", "testing", "flag"},
	unless: []string{module + "/peers/internal/core", module + "/peers/internal/record"},
}, {
	why:    "the simulator is for tests: the program must not carry it",
	places: []string{""}, except: []string{"peers/internal/core/sim"}, mayNot: []string{module + "/peers/internal/core/sim"},
}, {
	why:    "the decisions about leases are a state machine without I/O: a simulator has to be able to run them",
	places: []string{"peers/internal/core"}, except: []string{"peers/internal/core/sim"}, mayNot: []string{"net", "net/http", "os", "os/exec", "io/ioutil", "syscall", "log", "sync",
		"github.com/hashicorp/memberlist", "golang.org/x/sys"},
}, {
	why:    "files are read and written without knowing what is decided or said: the core hands over bytes, and can change what is in them",
	places: []string{"peers/internal/statedir"}, mayNot: []string{module, "net", "github.com/hashicorp/memberlist"},
	unless: []string{module + "/peers/internal/statedir", module + "/peers/internal/record"},
}, {
	why:    "gossip knows records, not what is decided by them, and no files: it can be replaced without touching either",
	places: []string{"peers/internal/gossip"}, mayNot: []string{module, "os"},
	unless: []string{module + "/peers/internal/gossip", module + "/peers/internal/record"},
}, {
	why:    "formats of gossip are read and written without I/O: whatever a stranger sends can be tried on them",
	places: []string{"peers/internal/gossip/wire"}, mayNot: []string{module, "net", "os", "log/slog", "github.com/hashicorp/memberlist"},
	unless: []string{module + "/peers/internal/gossip/wire", module + "/peers/internal/record"},
}, {
	why:    "probes prove any kind of path: sockets, devices, routes and nodes are handed to the prober, so that it runs in virtual time in its tests",
	places: []string{"internal/probe"}, mayNot: []string{module, "net", "os", "syscall", "golang.org/x/sys", "github.com/vishvananda/netlink"},
	unless: []string{module + "/internal/probe", module + "/internal/packet"},
}, {
	why:    "what is believed of a path is decided without a clock or a socket, so that two hours of a bad network pass in a test at once",
	places: []string{"internal/proof"}, mayNot: []string{module, "net", "os", "sync", "syscall", "context", "log/slog", "golang.org/x/sys"},
	unless: []string{module + "/internal/proof", module + "/internal/plan", module + "/internal/probe"}, alsoTests: true,
}, {
	why:    "what finds nodes returns addresses: it knows neither gossip nor settings, so that a new kind is one file",
	places: []string{"internal/discover"}, mayNot: []string{module, "golang.org/x/sys", "log/slog"},
	unless: []string{module + "/internal/discover", module + "/internal/bounded"}, alsoTests: true,
}, {
	why:    "what has happened is told from what was before and what is now, without a clock or a file, so that tables of cases can test it",
	places: []string{"internal/chronicle"}, mayNot: []string{module, "net", "os", "sync", "syscall", "context", "log/slog", "golang.org/x/sys"},
	unless: []string{module + "/internal/chronicle", module + "/internal/control", module + "/internal/plan", module + "/peers", module + "/route"}, alsoTests: true,
}, {
	why:    "events are kept without knowing what happens: whatever a source tells, memory and disk stay bounded",
	places: []string{"internal/event"}, mayNot: []string{module, "golang.org/x/sys"},
	unless: []string{module + "/internal/event", module + "/internal/control", module + "/internal/problem"}, alsoTests: true,
}, {
	why:    "the API of a cluster is asked with seven requests over HTTP: a client library would bring hundreds of packages",
	places: []string{""}, mayNot: []string{"k8s.io", "sigs.k8s.io"}, alsoTests: true,
}, {
	why:    "what the API server is asked is decided without gossip, lease or host: addresses, names and answers are handed over",
	places: []string{"internal/kubernetes"}, mayNot: []string{module, "golang.org/x/sys"}, unless: []string{module + "/internal/kubernetes"}, alsoTests: true,
}, {
	why:    "the command line is the program's face; nothing below it knows about flags",
	places: []string{""}, except: []string{"cmd"}, mayNot: []string{"github.com/spf13/cobra", "github.com/spf13/pflag"},
}, {
	why:    "one package knows terminals: what is shown is made of lines, and can be tested without one",
	places: []string{""}, except: []string{"internal/screen"}, mayNot: []string{"golang.org/x/term"},
}, {
	why:    "a trace is packets in and out of a port that is handed in, so that it runs in virtual time in its tests",
	places: []string{"internal/trace"}, mayNot: []string{module, "os", "syscall", "log/slog", "golang.org/x/sys"},
	unless: []string{module + "/internal/trace", module + "/internal/packet"}, alsoTests: true,
}, {
	why:    "rates are computed from what users are promised, without a clock, so that tables of looks can test them",
	places: []string{"internal/rates"}, mayNot: []string{module, "net", "os", "sync", "context"}, unless: []string{module + "/internal/rates", module + "/internal/control"}, alsoTests: true,
}, {
	why:    "flags are for programs; the demonstration and the benchmark are two of their own",
	places: []string{""}, except: []string{"cmd", "test"}, mayNot: []string{"flag"},
}, {
	why:    "what touches the host decides nothing: what should be there is handed to it, by a daemon or by a command without one",
	places: []string{"internal/host"}, except: []string{"internal/host/shortcut"}, mayNot: []string{module}, unless: []string{module + "/internal/host", module + "/internal/packet", module + "/internal/problem",
		module + "/internal/valid"}, alsoTests: true,
}, {
	why:    "the short-cut decides as route does, and imports none of it: its tests hold the two side by side",
	places: []string{"internal/host/shortcut"}, mayNot: []string{module},
	unless: []string{module + "/internal/host", module + "/internal/problem", module + "/internal/valid"},
}, {
	why:    "one package loads programs into the kernel: what they may do is read in one file of C",
	places: []string{""}, except: []string{"internal/host/shortcut"}, mayNot: []string{"github.com/cilium/ebpf"},
}, {
	why:    "the host is configured in one place; everything else moves packets and decides",
	places: []string{""}, except: []string{"internal/host", "internal/backend", "test"},
	mayNot: []string{"github.com/vishvananda/netlink", "github.com/google/nftables", "github.com/mdlayher/netlink"},
}, {
	why:    "one package speaks Docker's Engine API: its library is large, and what a network should be like is decided without it",
	places: []string{""}, except: []string{"internal/host/engine"}, mayNot: []string{"github.com/moby/moby", "github.com/docker"}, alsoTests: true,
}, {
	why:    "tun opens a device with four messages of its own, and leaves addresses and routes to others: a netlink library would be most of what a user of tun compiles",
	places: []string{"tun"}, mayNot: []string{"github.com/vishvananda/netlink", "github.com/mdlayher/netlink"}, alsoTests: true,
}, {
	why:    "subnet.env is read where no daemon runs, too: what knows its format knows neither kernel nor log",
	places: []string{"internal/host/envfile", "internal/host/docker", "internal/host/podman"}, mayNot: []string{module, "net", "os/exec", "log/slog", "golang.org/x/sys"},
	unless: []string{module + "/internal/host", module + "/internal/problem", module + "/internal/valid"},
}, {
	why:    "the CNI plugin is started once for each container: it reads subnet.env, asks the daemon at most, and needs nothing else of ours",
	places: []string{"internal/cni"}, mayNot: []string{module, "log/slog", "golang.org/x/sys"},
	unless: []string{module + "/internal/cni", module + "/internal/control", module + "/internal/host/envfile"}, alsoTests: true,
}, {
	why:    "one package speaks CNI, so that its library can be replaced there",
	places: []string{""}, except: []string{"internal/cni", "test"}, mayNot: []string{"github.com/containernetworking/cni"},
}, {
	why:    "rules of nf_tables are written in the three tables of the host and judged in one place; everything else asks these",
	places: []string{"internal"}, except: []string{"internal/host/identity", "internal/host/nft", "internal/host/pathrules", "internal/host/ports", "internal/host/ruleset",
		"internal/host/shortcut"}, // which bridges have rules, superpackets past them would skip
	mayNot: []string{"github.com/google/nftables", "github.com/mdlayher/netlink"},
}, {
	why:    "system calls stay at the two edges, in what is the program's alone, and in tests",
	places: []string{""}, except: []string{"tun", "encap", "internal", "test"}, mayNot: []string{"golang.org/x/sys/unix"},
}, {
	why:    "the log is a slog.Logger that is passed in; only memberlist wants one of the older kind",
	places: []string{""}, except: []string{"peers/internal/gossip"}, mayNot: []string{"log"},
}}

func TestImportsPointOneWay(t *testing.T) {
	packages := list(t, "linux")
	for _, l := range laws {
		for _, p := range packages {
			if !within(p.ImportPath, l.places) || within(p.ImportPath, l.except) {
				continue
			}
			imports := p.Imports
			if l.alsoTests {
				imports = append(append(append([]string(nil), imports...), p.TestImports...), p.XTestImports...)
			}
			for _, path := range imports {
				if under(path, l.mayNot) && !under(path, l.unless) {
					t.Errorf("%s imports %s\n\tit must not: %s", p.ImportPath, path, l.why)
				}
			}
		}
	}
}

// TestSystemCallsAreInLinuxFiles holds that the module builds everywhere: what
// only Linux has stands in files that only Linux compiles.
func TestSystemCallsAreInLinuxFiles(t *testing.T) {
	for _, p := range list(t, "darwin") {
		for _, path := range p.Imports {
			if path == "golang.org/x/sys/unix" || under(path, []string{"github.com/vishvananda/netlink", "github.com/songgao/water", "github.com/google/nftables"}) {
				t.Errorf("%s imports %s also where it is not Linux", p.ImportPath, path)
			}
		}
	}
}

// TestTextsAreFreeOfMarkersAndHosts: no work is left for later in a comment, no
// test is skipped, and no registry or mirror is written down. Packages come
// from wherever the user's machine gets them.
func TestTextsAreFreeOfMarkersAndHosts(t *testing.T) {
	root := moduleRoot(t)
	// Spelt in pieces, or this file would be the first to be found.
	forbidden := []string{"TO" + "DO", "FIX" + "ME", "deb.deb" + "ian.org", "registry" + ".npmjs", "docker" + ".io/library", "proxy.golang" + ".org", "t.Sk" + "ip("}
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if err == nil && (entry.Name() == ".git" || entry.Name() == "testdata" || entry.Name() == "bin") {
				return filepath.SkipDir
			}
			return err
		}
		switch filepath.Ext(path) {
		case ".go", ".md", ".service", ".conf", ".sh", "":
		default:
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil || len(data) > 1<<20 {
			return err
		}
		for _, word := range forbidden {
			if strings.Contains(string(data), word) {
				t.Errorf("%s has %q", strings.TrimPrefix(path, root+"/"), word)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestEveryPackageHasAComment looks for package comments.
func TestEveryPackageHasAComment(t *testing.T) {
	for _, p := range list(t, "linux") {
		files := p.GoFiles
		if len(files) == 0 {
			continue
		}
		said := false
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			said = said || file.Doc != nil
		}
		if !said {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// TestOnlyTestsLookInsideTheCore: core.Inside shows and changes what a core
// thinks. The program must not depend on it.
func TestOnlyTestsLookInsideTheCore(t *testing.T) {
	for _, p := range list(t, "linux") {
		if !within(p.ImportPath, []string{"peers"}) || within(p.ImportPath, []string{"peers/internal/core"}) {
			continue // core is internal to peers
		}
		for _, name := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Inside" {
					t.Errorf("%s/%s looks inside of a core", p.ImportPath, name)
				}
				return true
			})
		}
	}
}

// list returns the module's packages as they are compiled for an operating
// system, test files included.
func list(t *testing.T, system string) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,GoFiles,TestGoFiles,XTestGoFiles,Imports,TestImports,XTestImports", "-tags", "e2e", "./...")
	cmd.Dir = moduleRoot(t)
	cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 5 {
		t.Fatalf("only %d packages found", len(packages))
	}
	return packages
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}

// within reports whether a package of the module is in one of the places.
func within(path string, places []string) bool {
	for _, place := range places {
		if place == "" && path != "" || under(path, []string{module + "/" + place}) {
			return true
		}
	}
	return false
}

// under reports whether an import path is one of the roots or below it.
// Packages of the standard library are meant alone: net is not net/netip.
func under(path string, roots []string) bool {
	for _, root := range roots {
		tree := root == module || strings.HasPrefix(root, module+"/") || strings.Contains(root, ".")
		if path == root || tree && strings.HasPrefix(path, root+"/") {
			return true
		}
	}
	return false
}

// TestLawsBite holds the checker itself to account: an import that breaks a
// law has to be found.
func TestLawsBite(t *testing.T) {
	for _, c := range []struct {
		path  string
		roots []string
		want  bool
	}{
		{"flanneld/tun", []string{"flanneld/tun"}, true},
		{"flanneld/tun/tuntest", []string{"flanneld/tun"}, true},
		{"flanneld/tunnel", []string{"flanneld/tun"}, false},
		{"golang.org/x/sys/unix", []string{"golang.org/x/sys"}, true},
		{"net/netip", []string{"net"}, false},
	} {
		if got := under(c.path, c.roots); got != c.want {
			t.Errorf("under(%q, %q) = %v", c.path, c.roots, got)
		}
	}
	for _, l := range laws {
		if l.why == "" || len(l.mayNot) == 0 || len(l.places) == 0 {
			t.Errorf("a law without a reason or an object: %s", fmt.Sprint(l))
		}
	}
}
