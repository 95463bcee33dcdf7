package daemon

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flanneld/internal/problem"
)

// The advice for a file that cannot be written is about what is in its way.
func TestAdviceNamesWhatIsInAFilesPlace(t *testing.T) {
	dir := t.TempDir()
	g := &guard{runDir: dir, log: slog.New(slog.DiscardHandler), problems: problem.NewBoard(slog.New(slog.DiscardHandler))}
	path := filepath.Join(dir, "subnet.env")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	g.ensureFiles(&target{ctx: context.Background()}, []file{{path: path, content: []byte("A=1\n")}})
	all := g.problems.All()
	if len(all) != 1 || !strings.Contains(all[0].Advice, "mv "+path) {
		t.Fatalf("%+v", all)
	}
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	g.ensureFiles(&target{ctx: context.Background()}, []file{{path: path, content: []byte("A=1\n")}})
	if all := g.problems.All(); len(all) != 0 {
		t.Errorf("after the advice: %+v", all)
	}
}

// An iptables that takes long is reported while it runs, and not afterwards.
func TestSlowRunsOfIPTablesAreTold(t *testing.T) {
	g := &guard{problems: problem.NewBoard(slog.New(slog.DiscardHandler))}
	end := g.tellIfSlow(time.Millisecond)
	for deadline := time.Now().Add(5 * time.Second); len(g.problems.All()) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a run that does not end is not told of")
		}
	}
	end()
	g.problems.Report("firewall")
	g.tellIfSlow(time.Hour)()
	if all := g.problems.All(); len(all) != 0 {
		t.Errorf("after the run: %+v", all)
	}
}
