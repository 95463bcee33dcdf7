// SPDX-License-Identifier: Apache-2.0

//go:build e2e && observability

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// prometheusDir names a folder with prometheus and promtool: `make
// observability` fetches Debian's.
const prometheusDir = "FLANNELD_TEST_PROMETHEUS"

const rulesFile = "../../dist/prometheus/flanneld.rules.yml"

func prometheusProgram(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(os.Getenv(prometheusDir), name)
	if _, err := os.Stat(path); os.Getenv(prometheusDir) == "" || err != nil {
		t.Fatalf("no %s in %s=%q: run make observability", name, prometheusDir, os.Getenv(prometheusDir))
	}
	return path
}

func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	cmd := exec.Command(prometheusProgram(t, "promtool"), args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	} else if len(out) > 0 {
		t.Logf("promtool %s: %s", strings.Join(args, " "), bytes.TrimSpace(out))
	}
}

func TestAlertRulesPassTheirTests(t *testing.T) {
	promtool(t, "", "check", "rules", rulesFile)
	promtool(t, "", "test", "rules", strings.Replace(rulesFile, ".rules.", ".rules_test.", 1))
}

// server is a Prometheus that scrapes the daemons of a lab each second.
type server struct {
	host *lab.Host
	at   netip.AddrPort
}

// startPrometheus starts Debian's Prometheus on a host.
func startPrometheus(t *testing.T, h *lab.Host, targets ...string) server {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs: [{job_name: flanneld, static_configs: [{targets: [%s]}]}]
`, rules, strings.Join(targets, ", "))
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	s := server{h, netip.MustParseAddrPort("127.0.0.1:9090")}
	var log bytes.Buffer
	cmd := exec.Command(prometheusProgram(t, "prometheus"), "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+s.at.String())
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := h.Namespace.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("---- log of prometheus\n%s", log.String())
		}
	})
	says(t, h, s.at, "/-/ready", 200)
	return s
}

// ask asks the API and decodes its answer.
func (s server) ask(path string, into any) error {
	status, body, err := s.host.Get(s.at, path)
	if err != nil {
		return err
	}
	if status != 200 {
		return fmt.Errorf("%s: %d: %s", path, status, body)
	}
	return json.Unmarshal([]byte(body), into)
}

// query returns how many series an expression has now, and the first value.
func (s server) query(expr string) (series int, value string, err error) {
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := s.ask("/api/v1/query?query="+url.QueryEscape(expr), &answer); err != nil {
		return 0, "", err
	}
	if series = len(answer.Data.Result); series > 0 {
		value, _ = answer.Data.Result[0].Value[1].(string)
	}
	return series, value, nil
}

// dashboardQueries are the queries of the dashboard as Grafana sends them.
func dashboardQueries(t *testing.T) (all []string) {
	t.Helper()
	var board struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "../../dist/prometheus/flanneld.dashboard.json")), &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			all = append(all, strings.NewReplacer("$instance", ".*", "$__rate_interval", "10s").Replace(target.Expr))
		}
	}
	return all
}

// A real Prometheus takes the metrics of real daemons, draws every panel, and
// raises the alert about a host that is cut off.
func TestPrometheusScrapesDaemons(t *testing.T) {
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	var targets []string
	for _, h := range []*lab.Host{h1, h2} {
		address := at(h.Addr, lab.MetricsPort).String()
		targets = append(targets, address)
		args := []string{"--metrics", address, "--backend", "auto"}
		if h == h2 {
			args = append(args, "--join", h1.Addr.String())
		}
		h.Start(args...).WaitReady(ready)
	}
	l.WaitConverged(2)
	kernelCarries(t, "auto", h1, h2)
	h1.Run(t, "ping", "-c", "20", "-i", "0.1", "-W", "1", h2.Lease().Addr().String())
	h1.Run(t, "ping", "-c", "20", "-i", "0.1", "-W", "1", unheld(h1, h2).String())
	_, scrape, err := h1.Get(at(h1.Addr, lab.MetricsPort), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	promtool(t, scrape, "check", "metrics")

	s := startPrometheus(t, h1, targets...)
	expect := func(what string, limit time.Duration, expr string, series int) {
		t.Helper()
		lab.Eventually(t, limit, what, func() error {
			n, _, err := s.query(expr)
			if err != nil {
				return err
			}
			return lab.Expect(n == series, "%s has %d series", expr, n)
		})
	}
	expect("both hosts are scraped", 20*time.Second, `up{job="flanneld"} == 1`, 2)
	expect("both hosts are ready", 20*time.Second, "flanneld_ready == 1", 2)
	expect("packets by kernel paths are counted", 20*time.Second, `flanneld_peer_packets_total{direction="ingress",path="direct"} > 0`, 2)
	expect("rates over some scrapes", 20*time.Second, "rate(flanneld_bytes_total{direction=\"egress\"}[10s])", 2)
	h1.Run(t, "ping", "-c", "30", "-i", "0.1", "-W", "1", h2.Lease().Addr().String())
	for _, expr := range dashboardQueries(t) {
		n, _, err := s.query(expr)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
		}
		if n == 0 && !strings.HasSuffix(expr, "> 0") {
			t.Errorf("a panel is empty: %s", expr)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^        expr: (.*)$`).FindAllStringSubmatch(read(t, rulesFile), -1) {
		if _, _, err := s.query(m[1]); err != nil {
			t.Errorf("%s: %v", m[1], err)
		}
	}
	for _, figure := range []string{"max(scrape_duration_seconds)", "max(scrape_samples_scraped)", "max(rate(process_cpu_seconds_total[10s]))"} {
		_, value, err := s.query(figure)
		t.Logf("%s = %s, %v", figure, value, err)
	}

	// The scrapes of h2 still arrive: only the overlay is cut.
	l.Drop("meta l4proto udp")
	var answer struct {
		Data struct {
			Alerts []struct {
				Labels, Annotations map[string]string
				State               string
			}
		}
	}
	lab.Eventually(t, 60*time.Second, "an alert about a host that is not ready", func() error {
		if err := s.ask("/api/v1/alerts", &answer); err != nil {
			return err
		}
		for _, a := range answer.Data.Alerts {
			if a.Labels["alertname"] == "FlanneldNotReady" {
				return nil
			}
		}
		return fmt.Errorf("there are %+v", answer.Data.Alerts)
	})
	for _, a := range answer.Data.Alerts {
		text := a.Annotations["summary"] + " " + a.Annotations["description"]
		if strings.Contains(text, "error expanding") || strings.Contains(text, "<no value>") || strings.Contains(text, "{{") {
			t.Errorf("%s: %s", a.Labels["alertname"], text)
		}
		t.Logf("%s (%s): %s", a.Labels["alertname"], a.State, a.Annotations["summary"])
	}
}
