// SPDX-License-Identifier: Apache-2.0

package problem

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestReportReplacesThePartsProblems(t *testing.T) {
	var log bytes.Buffer
	b := NewBoard(slog.New(slog.NewTextHandler(&log, nil)))
	b.Report("firewall", Problem{"chain x drops", "remove it"}, Problem{"chain y drops", ""})
	b.Report("device", Problem{"forwarding is off", ""})
	since := b.All()[1].Since
	b.Report("firewall", Problem{"chain x drops", "remove it"}, Problem{"chain x drops", "remove it"})

	var got []string
	for _, r := range b.All() {
		got = append(got, r.Part+": "+r.Text)
	}
	want := "device: forwarding is off, firewall: chain x drops"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("All() = %s, want %s", s, want)
	}
	if b.All()[1].Since != since {
		t.Error("a problem reported again lost its time")
	}
	b.Report("firewall")
	b.Report("device")
	if len(b.All()) != 0 {
		t.Errorf("after the end of all: %v", b.All())
	}
	if n := strings.Count(log.String(), "problem found"); n != 3 {
		t.Errorf("%d problems logged, want 3, each once:\n%s", n, &log)
	}
	if n := strings.Count(log.String(), "problem ended"); n != 3 {
		t.Errorf("%d ends logged, want 3:\n%s", n, &log)
	}
}
