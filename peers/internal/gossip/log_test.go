// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"flanneld/peers/internal/gossip/wire"
)

// The lines are memberlist's own (v0.7.0).
func TestFewLinesOfMemberlistAreForOperators(t *testing.T) {
	for line, want := range map[string]string{
		`[ERR] memberlist: Failed push/pull merge: another network: it is in network A, this node in B from=10.0.0.9:1`: "another network: it is in network A, this node in B 10.0.0.9",
		`[WARN] memberlist: Was able to connect to abc-1 over TCP but UDP probes failed, network may be misconfigured`:  "open the gossip port for both abc-1",
		`[DEBUG] memberlist: Stream connection from=10.0.0.9:4711`:                                                      "",
		`[WARN] memberlist: Refuting a suspect message (from: abc-1)`:                                                   "",
		`[ERR] memberlist: Push/Pull with abc-1 failed: dial tcp 10.0.0.9:8286: connect: connection refused`:            "",
		`[WARN] memberlist: ignoring alive message for 'abc-1': another network: it is in network A, this node in B`:    "",
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

func TestRefusalsAreInWordsForOperators(t *testing.T) {
	for err, want := range map[error]string{
		wire.ErrForeign:   "not flanneld's",
		errMessage:        "not flanneld's",
		wire.ErrOtherKey:  "another cluster key",
		errNoKeyThere:     "has no cluster key",
		errKeyThere:       "not sealed",
		wire.ErrOldFormat: "upgrade it",
		errCompressed:     "compressed",
		fmt.Errorf("%w: it is in network A, this node in B", errOtherNetwork): "another network: it is in network A, this node in B",
		errors.Join(nil, wire.ErrOtherKey):                                    "another cluster key",
		errNoRoom:                                                             "",
		io.EOF:                                                                "",
	} {
		if got := refusal(err); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%v: %q", err, got)
		}
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
