// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// zone answers with the same records, or the same error, and keeps the name.
type zone struct {
	records []*net.SRV
	err     error
	asked   string
}

func (z *zone) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	z.asked = service + proto + name
	return name, z.records, z.err
}

func TestSRVRecordsAreSeeds(t *testing.T) {
	z := &zone{records: []*net.SRV{{Target: "a.example.", Port: 8286, Priority: 1}, {Target: "b.example.", Port: 9000, Priority: 2}, {Target: ".", Port: 0}}}
	seeds, err := SRV{"_overlay._tcp.example.org", z}.Seeds(t.Context())
	if err != nil || !slices.Equal(seeds, []string{"a.example:8286", "b.example:9000"}) || z.asked != "_overlay._tcp.example.org" {
		t.Errorf("%v, %v; asked for %s", seeds, err, z.asked)
	}
	if _, err = (SRV{"example.org", z}).Seeds(t.Context()); err != nil || z.asked != "_flanneld._tcp.example.org" {
		t.Errorf("%v; asked for %s", err, z.asked)
	}
	// Go's resolver returns the valid records of an answer beside an error.
	z.err = errors.New("one record is malformed")
	if seeds, err = (SRV{"example.org", z}).Seeds(t.Context()); err != nil || len(seeds) != 2 {
		t.Errorf("%v, %v", seeds, err)
	}
}

func TestSRVFailuresAreSaid(t *testing.T) {
	for says, z := range map[string]*zone{
		"there are no SRV records of _flanneld._tcp.example.org: make some": {err: &net.DNSError{IsNotFound: true}},
		"not found within 5s: does DNS work":                                {err: &net.DNSError{IsTimeout: true}},
		"within 5s":                                                         {err: context.DeadlineExceeded},
		"cannot be looked up: away":                                         {err: errors.New("away")},
		"the SRV records of _flanneld._tcp.example.org: it names no node":   {records: []*net.SRV{{Target: "."}}},
	} {
		seeds, err := SRV{"example.org", z}.Seeds(t.Context())
		if err == nil || len(seeds) != 0 || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, %v; want %q", seeds, err, says)
		}
	}
}

func TestACommandPrintsAddresses(t *testing.T) {
	for line, want := range map[string]string{
		"echo 10.0.0.1": "[10.0.0.1]",
		"printf '10.0.0.1\\t10.0.0.2:99\\r\\n\\nhost-3.example\\n'": "[10.0.0.1 10.0.0.2:99 host-3.example]",
		`printf '%s,%s' a b | tr , '\n'`:                            "[a b]",
		"seq 1 1200":                                                "1000 words",
	} {
		seeds, err := Command{Line: line}.Seeds(t.Context())
		got := fmt.Sprint(seeds)
		if len(seeds) > 10 {
			got = fmt.Sprint(len(seeds), " words")
		}
		if err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", line, got, err, want)
		}
	}
}

func TestACommandThatFailsIsNamedWithItsReason(t *testing.T) {
	for line, says := range map[string]string{
		"echo 'no credentials' >&2; echo more >&2; exit 3": "the command failed (exit status 3): no credentials",
		"exit 7":                       "the command failed (exit status 7)",
		"kill $$":                      "the command failed (signal: terminated)",
		"/nonexistent/program":         "/nonexistent/program",
		"cat /nonexistent/file | sort": "it names no node: cat: ",
		"true":                         "the command printed nothing: it names no node",
		"echo '{\"InstanceId\": 1}'":   `the command printed "{\"InstanceId\":"`,
		"head -c 300000 /dev/zero | tr '\\0' '1'":        "more than 262144 bytes",
		"head -c 5000 /dev/zero | tr '\\0' '1'":          "...\", which is no HOST or HOST:PORT",
		"printf '\\033[31m1.2.3.4\\n'":                   `"?[31m1.2.3.4"`,
		"head -c 3000 /dev/zero | tr '\\0' x >&2; false": "xxx...",
	} {
		seeds, err := Command{Line: line}.Seeds(t.Context())
		if err == nil || len(seeds) != 0 || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 300 {
			t.Errorf("%s: %v, %v; want %q", line, seeds, err, says)
		}
	}
}

// A command that hangs is ended with its children, when its time is up or when
// the daemon stops.
func TestACommandThatHangsIsEnded(t *testing.T) {
	t.Parallel()
	for what, cancel := range map[string]bool{"time": false, "stop": true} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "pid")
			ctx, stop := context.WithCancel(t.Context())
			limit := 300 * time.Millisecond
			if cancel {
				limit = time.Minute
				time.AfterFunc(300*time.Millisecond, stop)
			}
			defer stop()
			began := time.Now()
			_, err := Command{Line: "sleep 600 & echo $! >" + file + "; wait", limit: limit}.Seeds(ctx)
			if err == nil || time.Since(began) > 10*time.Second || !cancel && !strings.Contains(err.Error(), "longer than 300ms") {
				t.Errorf("%v after %s", err, time.Since(began))
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
			for late := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) || isZombie(pid) {
					break
				}
				if time.Now().After(late) {
					t.Fatalf("process %d still runs", pid)
				}
			}
		})
	}
}

// isZombie reports whether a process is dead, and not yet waited for.
func isZombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// What is taken has no character that a log or an address could stumble over.
func FuzzOutput(f *testing.F) {
	for _, seed := range []string{"10.0.0.1\n10.0.0.2:99", "a b\tc\r\n", "", "None", "{}", "\x00", "\xff\xfe", "::1", "a\u00a0b", "\u2028"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, err := parseOutput(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r\x1b") || len(err.Error()) > 600 {
				t.Errorf("%q: error %q", text, err)
			}
			return
		}
		if len(words) == 0 || len(words) > maxSeeds {
			t.Errorf("%q: %d words", text, len(words))
		}
		for _, w := range words {
			if w == "" || len(w) > 260 || strings.ContainsFunc(w, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
				t.Errorf("%q: %q is taken", text, w)
			}
		}
	})
}

// Records from a name service make seeds of host and port, or an error.
func FuzzSRV(f *testing.F) {
	f.Add("a.example.", uint16(8286))
	f.Add(".", uint16(0))
	f.Add("a b\n", uint16(1))
	f.Fuzz(func(t *testing.T, target string, port uint16) {
		seeds, err := SRV{Name: "example.org"}.targets([]*net.SRV{{Target: target, Port: port}})
		if (err == nil) != (len(seeds) == 1) {
			t.Errorf("%q, %d: %v, %v", target, port, seeds, err)
		}
	})
}
