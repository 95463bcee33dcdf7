package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/test/lab"
)

// options are the command line's.
type options struct {
	rounds int
	length time.Duration // of each measurement of throughput or round trips
	json   string
	// congestion control of the streams; the machine's default may be BBR, which
	// paces, and is another measurement altogether.
	congestion string
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "how often everything is measured; the median counts")
	flag.DurationVar(&o.length, "time", 2*time.Second, "length of one measurement")
	flag.StringVar(&o.congestion, "congestion", "cubic", "TCP congestion control of the streams")
	flag.StringVar(&o.json, "json", "", "file to write the results to")
	flag.Parse()
	lab.Enter(func() ([]string, error) {
		fmt.Fprintln(os.Stderr, "Building flanneld.")
		return lab.Build()
	})
	os.Exit(lab.Run("bench", func(p *lab.Program) { o.run(p) }))
}

func (o options) run(p *lab.Program) {
	paths := []*path{routing(p), vxlan(p), flanneld(p)}
	report := Report{Machine: o.machine(), Rounds: o.rounds, Seconds: o.length.Seconds()}
	for _, path := range paths {
		path.from.Reachable(p, path.to.Addr, 10*time.Second)
		report.Paths = append(report.Paths, Path{Name: path.name, Results: map[string]Result{}})
	}
	for round := range o.rounds {
		for _, m := range metrics {
			for i, path := range paths {
				progress("round %d of %d: %-22s %s", round+1, o.rounds, m.title, path.name)
				for name, value := range m.measure(p, path, o) {
					report.Paths[i].add(name, value)
				}
			}
		}
	}
	progress("")
	report.finish()
	fmt.Print(report.table())
	if o.json == "" {
		return
	}
	data, err := json.MarshalIndent(report, "", "  ")
	if err == nil {
		err = os.WriteFile(o.json, append(data, '\n'), 0o644)
	}
	if err != nil {
		p.Fatalf("write %s: %v", o.json, err)
	}
	if absolute, err := filepath.Abs(o.json); err == nil {
		fmt.Println("Written to", absolute)
	}
}

// progress shows what is being done: on a terminal always in the same line.
func progress(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	switch {
	case lab.IsTerminal(os.Stderr):
		fmt.Fprintf(os.Stderr, "\r%-72s\r%s", "", line)
	case line != "":
		fmt.Fprintln(os.Stderr, line)
	}
}

// machine describes where this was measured.
func (o options) machine() Machine {
	var uts unix.Utsname
	unix.Uname(&uts)
	return Machine{
		Kernel:     unix.ByteSliceToString(uts.Release[:]),
		Processors: runtime.NumCPU(),
		Go:         runtime.Version(),
		Congestion: o.congestion,
		Time:       time.Now().UTC().Format(time.RFC3339),
	}
}
