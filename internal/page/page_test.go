// SPDX-License-Identifier: Apache-2.0

package page

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"flanneld/internal/control"
	"flanneld/internal/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	selfID  = "aaaaaaaaaaaaaaaaaaaaaaaaaa"
	otherID = "baaaaaaaaaaaaaaaaaaaaaaaaa"
	deadID  = "caaaaaaaaaaaaaaaaaaaaaaaaa"
)

// network is a node with two others, one dead.
func network() (control.Status, control.Nodes) {
	return control.Status{Version: "1.2.3", Node: control.NodeName{ID: selfID, Name: "host1"}, Drops: map[string]uint64{"egress-no-route": 3}},
		control.Nodes{Nodes: []control.Node{
			{ID: selfID, Name: "host1", State: "alive", Self: true, Subnet: netip.MustParsePrefix("10.244.1.0/24")},
			{ID: otherID, Name: "</script><b>host2", State: "alive", Path: control.Path{State: control.PathWorks}},
			{ID: deadID, Name: "host3", State: "dead"},
			{Name: "static", State: control.StateStatic},
		}}
}

// happened is more than the page shows.
var happened = make([]control.Event, maxEvents+1)

// pageOf serves a page of the network until the test ends.
func pageOf(t *testing.T, ask func(context.Context, string) ([]byte, error)) (*Page, *httptest.Server) {
	t.Helper()
	p := New(Config{
		Look: network, Ask: ask, Events: func() []control.Event { return happened },
		Carried: func() Carried { return Carried{Out: control.Traffic{Packets: 1, Bytes: 100}, Dropped: 3} },
	})
	s := httptest.NewServer(p)
	t.Cleanup(func() { p.Close(); s.Close(); http.DefaultClient.CloseIdleConnections() })
	return p, s
}

// reportOfOther is what the other node reports.
func reportOfOther() []byte {
	s, n := network()
	n.Nodes[0].Self, n.Nodes[0].Path = false, control.Path{State: control.PathFailed, Sent: 7, Lost: 7}
	n.Nodes[1].Self = true
	return report.Of(s, n).Encode()
}

// listen returns the events of a server, as they come, until the test ends.
func listen(t *testing.T, url string) <-chan [2]string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/page/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("%s, %s", answer.Status, got)
	}
	events, ended := make(chan [2]string, 100), make(chan struct{})
	go func() {
		defer close(ended)
		defer close(events)
		lines := bufio.NewScanner(answer.Body)
		lines.Buffer(nil, 1<<20)
		var name string
		for lines.Scan() {
			if n, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				name = n
			} else if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				events <- [2]string{name, data}
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-ended; _ = answer.Body.Close() })
	return events
}

// next waits for an event of a name and decodes it.
func next[T any](t *testing.T, events <-chan [2]string, name string) (v T) {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatalf("the events ended before %s", name)
			}
			if e[0] != name {
				continue
			}
			if err := json.Unmarshal([]byte(e[1]), &v); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return v
		case <-late:
			t.Fatalf("no %s", name)
		}
	}
}

// A viewer gets what this node sees, what drops mean, and what other nodes
// report. The dead node is not asked.
func TestAViewerGetsTheWholeNetwork(t *testing.T) {
	_, s := pageOf(t, func(_ context.Context, id string) ([]byte, error) {
		if id != otherID {
			t.Errorf("%s is asked", id)
		}
		return reportOfOther(), nil
	})
	events := listen(t, s.URL)
	if m := next[map[string]Meaning](t, events, "meanings"); m["egress-no-route"].Means == "" {
		t.Errorf("meanings %v", m)
	}
	state := next[stateEvent](t, events, "state")
	for range 3 { // the first can be earlier than the first reading of the counters
		if len(state.History) == 0 {
			state = next[stateEvent](t, events, "state")
		}
	}
	if state.Status.Version != "1.2.3" || len(state.Nodes) != 4 || state.Nodes[1].Name != "</script><b>host2" || len(state.History) == 0 || len(state.Events) != maxEvents || state.History[0].Out != 100 || state.Large {
		t.Errorf("state %+v", state)
	}
	a := next[answer](t, events, "report")
	if a.ID != otherID || a.Error != "" || a.Report == nil || a.Report.Version != "1.2.3" || len(a.Peers) != 2 {
		t.Fatalf("report %+v", a)
	}
	if p := a.Peers[0]; p.ID != selfID || p.Proof != control.PathFailed || p.Sent != 7 || p.Lost != 7 {
		t.Errorf("the first peer of the other node: %+v", p)
	}
	if again := next[stateEvent](t, events, "state"); again.At <= state.At {
		t.Errorf("the next state is of %d, the first of %d", again.At, state.At)
	}
}

func TestAViewerGetsWhyThereIsNoReport(t *testing.T) {
	_, s := pageOf(t, func(context.Context, string) ([]byte, error) { return nil, errors.New("it runs an older flanneld") })
	if a := next[answer](t, listen(t, s.URL), "report"); a.Error != "it runs an older flanneld" || a.Report != nil {
		t.Errorf("%+v", a)
	}
}

// Other nodes are asked while the page is open, and not a moment longer.
func TestOtherNodesAreAskedOnlyWhileThePageIsOpen(t *testing.T) {
	var asked atomic.Int64
	p, s := pageOf(t, func(context.Context, string) ([]byte, error) { asked.Add(1); return reportOfOther(), nil })
	time.Sleep(100 * time.Millisecond)
	if n := asked.Load(); n != 0 {
		t.Fatalf("%d questions without a viewer", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w := httptest.NewRecorder()
	seen := make(chan struct{})
	go func() {
		defer close(seen)
		p.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/page/events", nil))
	}()
	for late := time.Now().Add(20 * time.Second); asked.Load() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("no question")
		}
	}
	cancel()
	<-seen
	n := asked.Load()
	time.Sleep(3500 * time.Millisecond) // a turn takes 3 s
	if now := asked.Load(); now != n {
		t.Errorf("%d questions after the viewer had gone", now-n)
	}
	_ = s
}

func TestViewersAreBounded(t *testing.T) {
	_, s := pageOf(t, func(context.Context, string) ([]byte, error) { return nil, errors.New("none") })
	for range maxViewers {
		listen(t, s.URL)
	}
	answer, err := http.Get(s.URL + "/page/events")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(text), "close one") {
		t.Errorf("%s: %q", answer.Status, text)
	}
}

// Close ends events that would go on for ever.
func TestCloseEndsTheEvents(t *testing.T) {
	p, s := pageOf(t, func(ctx context.Context, _ string) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() })
	events := listen(t, s.URL)
	next[stateEvent](t, events, "state")
	go p.Close()
	for late := time.After(10 * time.Second); ; {
		select {
		case _, ok := <-events:
			if !ok {
				return
			}
		case <-late:
			t.Fatal("the events go on")
		}
	}
}

// The page names no other server, runs nothing from its own text, and a browser
// is told to load nothing from elsewhere.
func TestThePageNeedsNothingFromElsewhere(t *testing.T) {
	_, s := pageOf(t, nil)
	err := fs.WalkDir(files, "files", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		url := s.URL + "/page/" + path.Base(name)
		if path.Base(name) == "index.html" {
			url = s.URL + "/"
		}
		answer, err := http.Get(url)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") == "" {
			t.Errorf("%s: %s, %v", url, answer.Status, err)
		}
		if csp := answer.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "http") {
			t.Errorf("%s: policy %q", url, csp)
		}
		if strings.HasPrefix(path.Base(name), "uP") || strings.HasPrefix(path.Base(name), "uplot") {
			return nil
		}
		text = []byte(strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", "")) // a name, which is not loaded
		for _, banned := range []string{`(?i)https?://[a-z]`, `innerHTML`, `insertAdjacent`, `document\.write`, `\beval\(`, `<script>`, `style="`, ` on[a-z]+="`} {
			if found := regexp.MustCompile(banned).Find(text); found != nil {
				t.Errorf("%s has %q", name, found)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, none := range []string{"/page/", "/page/nothing.js", "/page/..%2fpage.go", "/index.html", "/page/index.html"} {
		answer, err := http.Get(s.URL + none)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", none, answer.Status)
		}
	}
}

// A large network is sent less often, and reports name those peers only that
// are not reached.
func TestALargeNetworkCostsLess(t *testing.T) {
	_, nodes := network()
	for i := range largeNetwork {
		nodes.Nodes = append(nodes.Nodes, control.Node{ID: fmt.Sprintf("d%025d", i), Name: "more", State: "alive"})
	}
	st := state{look: func() (control.Status, control.Nodes) { return control.Status{}, nodes }, events: func() []control.Event { return nil }, history: &history{}}
	now := st.get()
	if !now.large {
		t.Fatal("not large")
	}
	r, err := report.Decode(reportOfOther())
	if err != nil {
		t.Fatal(err)
	}
	r.Peers = append(r.Peers, report.Of(network()).Peers...) // among them one that is reached
	if a := answerOf(otherID, report.Asked{Report: &r, At: time.Now()}, now); len(a.Peers) != 3 || a.Peers[0].Proof != control.PathFailed {
		t.Errorf("peers %+v", a.Peers)
	}
	if again := st.get(); again.number != now.number {
		t.Error("a new state at once")
	}
}

func TestHistoryIsBounded(t *testing.T) {
	var h history
	at := time.UnixMilli(1_000_000)
	for n := range 3 * maxSamples {
		h.add(at.Add(time.Duration(n)*sampleEvery), Carried{Out: control.Traffic{Bytes: uint64(n)}})
	}
	all := h.all()
	if len(all) != maxSamples || all[0].Out != 2*maxSamples || all[maxSamples-1].Out != 3*maxSamples-1 {
		t.Errorf("%d samples, %+v to %+v", len(all), all[0], all[len(all)-1])
	}
	if kept := time.Duration(all[maxSamples-1].At-all[0].At) * time.Millisecond; kept != 10*time.Minute {
		t.Errorf("%v are kept", kept)
	}
}
