// SPDX-License-Identifier: Apache-2.0

package problem

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// A problem is as old as its text: another advice makes no new one, and what
// ended and came back is new.
func TestProblemIsAsOldAsItsText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := NewBoard(slog.New(slog.NewTextHandler(&log, nil)))
		start := time.Now()
		b.Report(PartPath, Problem{"no answer", "wait"})
		time.Sleep(time.Minute)
		b.Report(PartPath, Problem{"no answer", "open the port"}, Problem{"too large", ""})
		all := b.All()
		if len(all) != 2 || !all[0].Since.Equal(start) || all[0].Advice != "open the port" || !all[1].Since.Equal(start.Add(time.Minute)) {
			t.Errorf("got %+v", all)
		}
		b.Report(PartPath, Problem{"too large", ""})
		time.Sleep(time.Minute)
		b.Report(PartPath, Problem{"no answer", ""})
		if all := b.All(); len(all) != 1 || !all[0].Since.Equal(start.Add(2*time.Minute)) {
			t.Errorf("came back: %+v", all)
		}
		if found, ended := strings.Count(log.String(), "problem found"), strings.Count(log.String(), "problem ended"); found != 3 || ended != 2 {
			t.Errorf("%d found, %d ended:\n%s", found, ended, &log)
		}
	})
}

// Parts report at the same time, and readers see each part whole.
func TestPartsReportAtTheSameTime(t *testing.T) {
	b := NewBoard(slog.New(slog.DiscardHandler))
	var all sync.WaitGroup
	for part := range 4 {
		all.Go(func() {
			for n := range 100 {
				text := fmt.Sprint(n)
				b.Report(fmt.Sprint("part", part), Problem{Text: text + "a"}, Problem{Text: text + "b"})
				seen := map[string][]string{}
				for _, r := range b.All() {
					seen[r.Part] = append(seen[r.Part], r.Text)
				}
				for part, texts := range seen {
					if len(texts) != 2 || texts[0][:len(texts[0])-1] != texts[1][:len(texts[1])-1] {
						t.Errorf("%s: %q", part, texts)
					}
				}
			}
			b.Report(fmt.Sprint("part", part))
		})
	}
	all.Wait()
	if left := b.All(); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
}

// A long text is cut between two letters.
func TestLongLinesAreCutBetweenLetters(t *testing.T) {
	for _, letter := range []string{"x", "ß", "節", "😀"} {
		for shift := range 4 {
			got := OneLine(strings.Repeat("a", shift) + strings.Repeat(letter, maxLine))
			if len(got) > maxLine || len(got) <= maxLine-utf8.UTFMax || !utf8.ValidString(got) || !strings.HasSuffix(got, letter) {
				t.Errorf("%s after %d: %d bytes, valid %t", letter, shift, len(got), utf8.ValidString(got))
			}
		}
	}
	if exact := strings.Repeat("x", maxLine); OneLine(exact) != exact {
		t.Error("a line of the full length was cut")
	}
}
