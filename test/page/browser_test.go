// SPDX-License-Identifier: Apache-2.0

//go:build page

package page

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"flanneld/test/lab"
)

// Where the test finds what it needs, and leaves the pictures. make page sets
// all three.
const (
	chromiumVariable = "FLANNELD_TEST_CHROMIUM"
	axeVariable      = "FLANNELD_TEST_AXE"      // axe.min.js of axe-core
	picturesVariable = "FLANNELD_TEST_PICTURES" // a directory; "": no pictures
)

// patience is how long Chromium may take to start, and for any one action. On a
// machine with other work it starts slowly.
const patience = 3 * time.Minute

// browser is a Chromium on the underlay, with one window.
type browser struct {
	t        *testing.T
	ctx      context.Context
	requests *requests
}

// requests are what the window asked for, and what it complained about.
type requests struct {
	urls, complaints chan string
}

// open starts Chromium in a namespace. It reaches the hosts as an operator's
// machine does. Its profile is in the directory of the lab: processes of
// Chromium that end a moment later still write there, and t.TempDir fails.
func open(t *testing.T, l *lab.Lab) *browser {
	t.Helper()
	ns := l.Switch
	cmd := exec.Command(os.Getenv(chromiumVariable), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--force-color-profile=srgb", "--lang=en-US", "--remote-debugging-port=0", "--user-data-dir="+filepath.Join(l.Dir(), "chromium"), "about:blank")
	cmd.Env = append(os.Environ(), "TZ=UTC", "LANG=C.UTF-8")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	ns.Exec(t, "ip", "link", "set", "lo", "up")
	if err := ns.Start(cmd); err != nil {
		t.Fatalf("start Chromium (%s): %v", chromiumVariable, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address := debugAddress(t, stderr)
	ctx, cancel := chromedp.NewRemoteAllocator(context.Background(), forward(t, ns, address), chromedp.NoModifyURL)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithBrowserOption(chromedp.WithDialTimeout(patience)))
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx, requests: &requests{make(chan string, 10_000), make(chan string, 10_000)}}
	chromedp.ListenTarget(ctx, b.requests.note)
	b.run(network.Enable(), log.Enable(), runtime.Enable())
	return b
}

// debugAddress waits until Chromium says where it can be controlled.
func debugAddress(t *testing.T, stderr io.Reader) string {
	t.Helper()
	found := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if _, url, ok := strings.Cut(lines.Text(), "DevTools listening on "); ok {
				found <- url
			}
		}
	}()
	select {
	case url := <-found:
		return url
	case <-time.After(patience):
		t.Fatalf("Chromium did not start within %v", patience)
		return ""
	}
}

// forward makes a port of a namespace's loopback interface one of this
// process's, and returns the URL with that.
func forward(t *testing.T, ns *lab.Namespace, url string) string {
	t.Helper()
	rest := strings.TrimPrefix(url, "ws://")
	host, path, _ := strings.Cut(rest, "/")
	to := netip.MustParseAddrPort(host)
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil { // of the lab
		t.Fatalf("loopback: %v: %s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := ns.Dial(to, 5*time.Second)
			if err != nil {
				_ = near.Close()
				continue
			}
			both := func(to, from net.Conn) {
				_, _ = io.Copy(to, from)
				_ = to.Close()
				_ = from.Close()
			}
			go both(near, far)
			go both(far, near)
		}
	}()
	return fmt.Sprintf("ws://%s/%s", l.Addr(), path)
}

// note takes events of the window.
func (r *requests) note(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		r.urls <- e.Request.URL
	case *runtime.EventExceptionThrown:
		r.complaints <- e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		r.complaints <- fmt.Sprint("console: ", e.Type, " ", string(e.Args[0].Value))
	case *log.EventEntryAdded:
		r.complaints <- fmt.Sprint(e.Entry.Level, ": ", e.Entry.Text, " ", e.Entry.URL)
	}
}

// forgetComplaints drops what was complained about so far.
func (r *requests) forgetComplaints() {
	for len(r.complaints) > 0 {
		<-r.complaints
	}
}

// run carries out actions within a time that is long for any of these.
func (b *browser) run(actions ...chromedp.Action) {
	b.t.Helper()
	if err := b.try(actions...); err != nil {
		b.t.Fatalf("browser: %v", err)
	}
}

func (b *browser) try(actions ...chromedp.Action) error {
	done := make(chan error, 1)
	go func() { done <- chromedp.Run(b.ctx, actions...) }()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		return fmt.Errorf("no answer within %v", patience)
	}
}

// eval returns the value of an expression in the window.
func eval[T any](b *browser, expression string) (value T) {
	b.t.Helper()
	b.run(chromedp.Evaluate(expression, &value))
	return value
}

// await is eval for an expression that is a promise.
func await[T any](b *browser, expression string) (value T) {
	b.t.Helper()
	b.run(chromedp.Evaluate(expression, &value, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return value
}

// visit opens the page of a host.
func (b *browser) visit(h *lab.Host) {
	b.t.Helper()
	b.run(chromedp.Navigate(fmt.Sprintf("http://%s/", netip.AddrPortFrom(h.Addr, lab.MetricsPort))))
}

// shows waits until an expression is true in the window.
func (b *browser) shows(what, expression string, limit time.Duration) {
	b.t.Helper()
	var last any
	lab.Eventually(b.t, limit, what, func() error {
		err := b.try(chromedp.Evaluate(expression, &last))
		return lab.Expect(err == nil && last == true, "%v, %v", last, err)
	})
}

// text is what a reader sees of an element.
func (b *browser) text(selector string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))
}

// saysAll waits until an element shows all the texts.
func (b *browser) saysAll(selector string, limit time.Duration, texts ...string) {
	b.t.Helper()
	lab.Eventually(b.t, limit, fmt.Sprintf("%s to say %q", selector, texts), func() error {
		got := b.text(selector)
		for _, text := range texts {
			if !strings.Contains(got, text) {
				return fmt.Errorf("no %q in %q", text, got)
			}
		}
		return nil
	})
}

// cells is how many cells of the matrix are of a kind.
func (b *browser) cells(kind string) int {
	b.t.Helper()
	return eval[int](b, fmt.Sprintf("document.querySelectorAll('.matrix td.%s:not(.corner)').length", kind))
}

// look is how the window looks.
type look struct {
	width, height int64
	dark, print   bool
}

var (
	desktop = look{width: 1280, height: 900}
	night   = look{width: 1280, height: 900, dark: true}
	phone   = look{width: 390, height: 844}
	paper   = look{width: 1090, height: 900, print: true}
)

// as sets the window's look.
func (b *browser) as(l look) {
	b.t.Helper()
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	media := emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	})
	if l.print {
		media = media.WithMedia("print")
	}
	b.run(chromedp.EmulateViewport(l.width, l.height), media)
	time.Sleep(500 * time.Millisecond) // for the chart
}

// tall is how much taller than wide a picture can be; a phone's page is long.
const tall = 6

// picture saves the whole page, if pictures are wanted.
func (b *browser) picture(name string, l look) {
	b.t.Helper()
	b.as(l)
	dir := os.Getenv(picturesVariable)
	if dir == "" {
		return
	}
	b.run(chromedp.ActionFunc(func(ctx context.Context) error {
		_, _, _, _, _, size, err := cdppage.GetLayoutMetrics().Do(ctx)
		if err != nil {
			return err
		}
		shot, err := cdppage.CaptureScreenshot().WithFormat(cdppage.CaptureScreenshotFormatWebp).WithQuality(80).WithCaptureBeyondViewport(true).
			WithClip(&cdppage.Viewport{Width: float64(l.width), Height: min(size.Height, float64(tall*l.width)), Scale: 1}).Do(ctx)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name+".webp"), shot, 0o644)
	}))
}

// violation is what axe-core found.
type violation struct {
	ID    string
	Help  string
	Nodes []struct{ HTML, FailureSummary string }
}

// accessible fails the test unless axe-core finds nothing.
func (b *browser) accessible(what string) {
	b.t.Helper()
	for _, v := range b.violations() {
		b.t.Errorf("%s: %s: %s: %+v", what, v.ID, v.Help, v.Nodes)
	}
}

// violations is what axe-core finds against WCAG 2.2 A and AA and its best
// practices.
func (b *browser) violations() (all []violation) {
	b.t.Helper()
	script, err := os.ReadFile(os.Getenv(axeVariable))
	if err != nil {
		b.t.Fatalf("axe-core (%s): %v", axeVariable, err)
	}
	b.run(chromedp.Evaluate(string(script)+";true", nil))
	found := await[string](b, `axe.run(document, {resultTypes: ["violations"]}).then((r) => JSON.stringify(r.violations.map((v) => ({ID: v.id, Help: v.help, Nodes: v.nodes.slice(0, 3).map((n) => ({HTML: n.html.slice(0, 300), FailureSummary: n.failureSummary}))}))))`)
	if err := json.Unmarshal([]byte(found), &all); err != nil {
		b.t.Fatal(err)
	}
	return all
}

// clean fails the test if the window asked any other server, or complained.
func (b *browser) clean(hosts ...*lab.Host) {
	b.t.Helper()
	allowed := func(url string) bool {
		for _, h := range hosts {
			if strings.HasPrefix(url, fmt.Sprintf("http://%s/", netip.AddrPortFrom(h.Addr, lab.MetricsPort))) {
				return true
			}
		}
		return strings.HasPrefix(url, "about:")
	}
	n := 0
	for len(b.requests.urls) > 0 {
		if url := <-b.requests.urls; !allowed(url) {
			b.t.Errorf("the page asks for %s", url)
		}
		n++
	}
	if n == 0 {
		b.t.Error("no request was seen")
	}
	for len(b.requests.complaints) > 0 {
		b.t.Errorf("Chromium complains: %s", <-b.requests.complaints)
	}
}
