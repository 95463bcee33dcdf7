package peers

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The lines are memberlist's own (v0.7.0); those of a refused key and network are tested with real members.
func TestFewLinesOfMemberlistAreForOperators(t *testing.T) {
	for line, want := range map[string]string{
		`[ERR] memberlist: discarding stream with unacceptable label "": from=10.0.0.9:4711`:                              "not flanneld's 10.0.0.9",
		`[ERR] memberlist: discarding packet with unacceptable label "x": from=10.0.0.9:4711`:                             "not flanneld's 10.0.0.9",
		`[ERR] memberlist: Decrypt packet failed: no installed keys could decrypt the message from=10.0.0.9:8286`:         "does not open: another key, or none 10.0.0.9",
		`[ERR] memberlist: Failed push/pull merge: another network: it is in network A, this node in B from=10.0.0.9:1`:   "another network: it is in network A, this node in B 10.0.0.9",
		`[WARN] memberlist: Was able to connect to abc-1 over TCP but UDP probes failed, network may be misconfigured`:    "open the gossip port for both abc-1",
		`[ERR] memberlist: failed to receive: encryption is configured but remote state is not encrypted from=10.0.0.9:1`: "has no cluster key",
		`[ERR] memberlist: failed to receive: no installed keys could decrypt the message from=10.0.0.9:1`:                "another cluster key",
		`[ERR] memberlist: failed to receive: remote state is encrypted and encryption is not configured from=10.0.0.9:1`: "not sealed",
		`[DEBUG] memberlist: Stream connection from=10.0.0.9:4711`:                                                        "",
		`[WARN] memberlist: Refuting a suspect message (from: abc-1)`:                                                     "",
		`[ERR] memberlist: Push/Pull with abc-1 failed: dial tcp 10.0.0.9:8286: connect: connection refused`:              "",
		`[WARN] memberlist: ignoring alive message for 'abc-1': another network: it is in network A, this node in B`:      "",
	} {
		meaning, host, ok := translate(line)
		if got := meaning + " " + host; ok != (want != "") || !strings.Contains(got, want) {
			t.Errorf("%s\nsays: %v %q", line, ok, got)
		}
	}
	name, ok := suspected("[INFO] memberlist: Suspect abc-1 has failed, no acks received")
	if !ok || name != "abc-1" {
		t.Errorf("suspected %q, %v", name, ok)
	}
	if name, ok := suspected("[INFO] memberlist: Marking abc-1 as failed, suspect timeout reached (0 peer confirmations)"); ok {
		t.Errorf("suspected %q", name)
	}
}

func TestNoticeIsNotGivenOverAndOver(t *testing.T) {
	n, now := newNotices(), time.Unix(0, 0)
	if !n.due("a", now) || n.due("a", now.Add(noticeEvery/2)) || !n.due("a", now.Add(noticeEvery)) {
		t.Error("a was not due once every noticeEvery")
	}
	given := 0
	for i := range 10 * maxNotices {
		if n.due(fmt.Sprint(i), now) {
			given++
		}
	}
	if given > maxNotices {
		t.Errorf("%d notices at once", given)
	}
}
