// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"path/filepath"
	"strings"
	"testing"
)

func TestIperfsReportIsUnderstood(t *testing.T) {
	report := read(t, filepath.Join("testdata", "iperf3.json"))
	got, err := readIperf(report, "cubic")
	if err != nil {
		t.Fatal(err)
	}
	// What it says itself, of the receiving end.
	if want := 11875922701.86822; math.Abs(got.gigabits()*1e9/want-1) > 1e-6 {
		t.Errorf("%v Gbit/s, want %v bit/s", got.gigabits(), want)
	}
	if _, err := readIperf(report, "bbr"); err == nil || !strings.Contains(err.Error(), "sent with cubic") {
		t.Errorf("streams with another congestion control: %v", err)
	}
}

func TestIperfsReportOfAFailureIsAnError(t *testing.T) {
	for report, want := range map[string]string{
		"": "read what iperf3 reports",
		`{"start":{},"error":"unable to connect to server: Connection refused"}`:           "Connection refused",
		`{"end":{"sum_received":{"bytes":0,"seconds":1},"sender_tcp_congestion":"cubic"}}`: "nothing arrived",
		`{"end":{"sum_received":{"bytes":9,"seconds":1},"sender_tcp_congestion":"cubic"}}`: "received with ,",
	} {
		if got, err := readIperf([]byte(report), "cubic"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %s", report, got, err, want)
		}
	}
}
