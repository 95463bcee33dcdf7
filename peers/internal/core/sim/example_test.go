// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"fmt"
	"os"
	"time"

	"flanneld/peers/internal/core/sim"
)

// failer ends a program where a test would fail.
type failer struct{}

func (failer) Helper() {}
func (failer) Fatalf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format, args...)
	os.Exit(1)
}

// A seed gives a schedule of faults. The same seed gives the same run.
func ExamplePlay() {
	one, two := sim.Play(7, 5, nil), sim.Play(7, 5, nil)
	fmt.Printf("broken: %q, the same run: %v\n", one.Broken, one.Hash == two.Hash)
	// Output: broken: "", the same run: true
}

// A world does what a test asks for, in virtual time.
func ExampleWorld() {
	w := sim.New(failer{}, 1, 3, nil)
	w.BootInTurn(w.Hosts)
	before, _ := w.Hosts[2].Lease()
	w.Hosts[2].Crash()
	w.Run(time.Minute)
	w.Hosts[2].Boot()
	w.RunUntil(5*time.Second, "the lease is confirmed", w.Hosts[2].Confirmed)
	after, _ := w.Hosts[2].Lease()
	fmt.Println("the subnet is kept:", before == after)
	// Output: the subnet is kept: true
}
