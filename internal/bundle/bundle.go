// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"flanneld/internal/bounded"
	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/kubernetes"
)

// Limits of one entry, and of all together.
const (
	maxEntry    = 4 << 20 // bytes of one entry; the rest is cut off
	commandTime = 10 * time.Second
	totalTime   = 2 * time.Minute
	journal     = "3000" // lines of the unit's log
)

// daemon is what is asked; *control.Client is one.
type daemon interface {
	Status(context.Context) (control.Status, error)
	Nodes(context.Context) (control.Nodes, error)
}

// Options are what goes into a bundle.
type Options struct {
	Doctor       control.Doctor
	Config       config.Config
	Settings     map[string]string // variables in the unit's file of settings
	SettingsRead error             // why that file was not read; nil: it was
	Environ      []string          // of this process
	Client       daemon
	Now          time.Time
}

// commands are programs with what they print. One that is not there is named in
// its entry.
var commands = []struct{ entry, line string }{
	{"host/uname", "uname -a"}, {"host/addresses", "ip -d address"}, {"host/links", "ip -d -s link"}, {"host/routes", "ip -d route show table all"},
	{"host/rules", "ip rule"}, {"host/neighbors", "ip neigh"}, {"host/sockets", "ss -lntup"}, {"host/disk", "df -h"},
	{"rules/nft", "nft list ruleset"}, {"rules/iptables", "iptables-save"}, {"rules/iptables-legacy", "iptables-legacy-save"},
	{"host/sysctl", "sysctl -a --pattern ^net\\.(ipv4\\.(conf|ip_|neigh)|netfilter\\.nf_conntrack_(count|max)|core\\.[rw]mem)"},
	{"docker/info", "docker info"}, {"docker/networks", "docker network ls"},
	{"unit/status", "systemctl --no-pager --full status flanneld"}, {"unit/unit", "systemctl --no-pager cat flanneld"},
	{"unit/log", "journalctl --no-pager -u flanneld -n " + journal},
}

// Write writes a bundle into a directory, as flanneld-HOST-DATE.tar.gz of mode
// 0600, and returns its path. What cannot be had is named in its entry, and is
// no error.
func Write(ctx context.Context, dir string, o Options) (path string, err error) {
	ctx, cancel := context.WithTimeout(ctx, totalTime)
	defer cancel()
	name := fmt.Sprintf("flanneld-%s-%s", safe(o.Doctor.Host), o.Now.UTC().Format("20060102-150405"))
	path = filepath.Join(dir, name+".tar.gz")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("%w: name another directory with --bundle=DIR", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(path)
		}
	}()
	z := gzip.NewWriter(f)
	p := &packer{tar: tar.NewWriter(z), name: name, now: o.Now, secrets: known(o)}
	p.all(ctx, o)
	return path, errors.Join(p.err, p.tar.Close(), z.Close())
}

// known are the secrets of this host that could be in what is packed.
func known(o Options) *secrets {
	s := &secrets{}
	s.addKeyFile(filepath.Join(o.Config.StateDir, "identity"))
	if o.Config.KeyFile != "" {
		s.addFile(o.Config.KeyFile)
	}
	s.addFile(filepath.Join(kubernetes.AccountDir, "token"))
	for _, source := range o.Config.Sources {
		if source.Kind == config.SourceExec {
			s.add([]byte(source.Argument))
		}
	}
	s.addVariables(o.Environ)
	for name, value := range o.Settings {
		s.addVariables([]string{name + "=" + value})
	}
	s.sort()
	return s
}

// packer writes entries.
type packer struct {
	tar     *tar.Writer
	name    string // the directory of all entries
	now     time.Time
	secrets *secrets
	err     error // the first one; nothing is written after it
}

func (p *packer) put(entry string, content []byte) {
	if p.err != nil {
		return
	}
	if len(content) > maxEntry {
		content = append(content[:maxEntry:maxEntry], "\n[cut off here]\n"...)
	}
	content = p.secrets.clean(content)
	header := &tar.Header{Name: p.name + "/" + entry, Mode: 0o600, Size: int64(len(content)), ModTime: p.now, Format: tar.FormatPAX}
	if p.err = p.tar.WriteHeader(header); p.err == nil {
		_, p.err = p.tar.Write(content)
	}
}

// value packs a value as JSON, or why there is none.
func (p *packer) value(entry string, v any, err error) {
	if err != nil {
		p.put(entry, missing(err))
		return
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		p.put(entry, missing(err))
		return
	}
	p.put(entry, append(text, '\n'))
}

// missing is an entry that says why there is nothing in it.
func missing(err error) []byte { return []byte("not there: " + err.Error() + "\n") }

func (p *packer) all(ctx context.Context, o Options) {
	p.put("README", []byte(readme))
	p.value("doctor.json", o.Doctor, nil)
	status, err := o.Client.Status(ctx)
	p.value("status.json", status, err)
	if err == nil && status.Metrics.Address.IsValid() {
		p.put("metrics", page(ctx, "http://"+status.Metrics.Address.String()+"/metrics"))
	}
	nodes, err := o.Client.Nodes(ctx)
	p.value("nodes.json", nodes, err)
	p.put("settings", settings(o))
	for _, path := range []string{o.Config.SubnetPath(), o.Config.DockerPath(), o.Config.DockerConfig, "/etc/os-release"} {
		p.put("files/"+strings.ReplaceAll(strings.Trim(path, "/"), "/", "-"), file(path))
	}
	for _, c := range commands {
		p.put(c.entry, output(ctx, strings.Fields(c.line)))
	}
}

// settings lists the settings of flanneld that are set in the unit's file.
// Other variables there are named without their values.
func settings(o Options) []byte {
	if o.SettingsRead != nil {
		return missing(o.SettingsRead)
	}
	var b bytes.Buffer
	others := len(o.Settings)
	for _, s := range config.Settings() {
		if value, ok := o.Settings[s.Variable()]; ok {
			fmt.Fprintf(&b, "%s=%s\n", s.Variable(), strings.ReplaceAll(value, "\n", " "))
			others--
		}
	}
	fmt.Fprintf(&b, "# and %d variables that are no settings\n", others)
	return b.Bytes()
}

func file(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return missing(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxEntry+1))
	if err != nil {
		return missing(err)
	}
	return content
}

func page(ctx context.Context, url string) []byte {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return missing(err)
	}
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return missing(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(io.LimitReader(answer.Body, maxEntry+1))
	if err != nil {
		return missing(err)
	}
	return content
}

// output is what a program prints, and how it ended.
func output(ctx context.Context, line []string) []byte {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	c := exec.CommandContext(ctx, line[0], line[1:]...)
	c.WaitDelay = time.Second
	b := bounded.Writer{Limit: maxEntry + 1} // put cuts off the last one, and says so
	fmt.Fprintf(&b, "# %s\n", strings.Join(line, " "))
	c.Stdout, c.Stderr = &b, &b
	if err := c.Run(); err != nil {
		fmt.Fprintf(&b, "# %v\n", err)
	}
	return b.Bytes()
}

// safe makes a part of a file name.
func safe(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, name)
	if name = strings.Trim(name, "-."); name == "" {
		return "host"
	}
	return name
}

const readme = `What flanneld doctor --bundle found on one host.

doctor.json    each check, with what to type
status.json    flanneld status -o json
nodes.json     flanneld nodes -o json
metrics        the page of metrics, where it is served
settings       what the unit's file sets
files/         subnet.env, the file for dockerd, daemon.json, the system's release
host/          addresses, links, routes, neighbors, sockets, sysctls, disks
rules/         packet filter rules of all programs
docker/        what Docker says of itself
unit/          the unit, its state, and the end of its log

Keys, tokens and passwords are taken out, and so is what looks like one:
` + removed + ` stands there. Addresses and names of hosts are in it. Read it before
you give it away.
`
