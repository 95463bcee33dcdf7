// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/test/lab"
)

// floodPeer is the static peer that the floods come from. It is a known host,
// so that no firewall rule about strangers keeps them from the daemon.
const floodPeer = "10.244.200.0/24=192.168.50.12:8285"

// TestFloodsLeaveTheCoreToOthers makes a daemon and another program share a
// core, and floods the daemon from another core. The floods are garbage, and
// valid packets of ever new flows. They come from even source ports, which lead
// to the express lane, and from odd ones. The other program still gets its
// share of the core.
func TestFloodsLeaveTheCoreToOthers(t *testing.T) {
	for _, flood := range []struct {
		name   string
		parity uint16 // of the source port
		packet func(n int, to netip.Addr) []byte
		least  float64 // of what the two have of the core, for the other program
	}{
		{"garbage on the express lane", 0, garbage, 0.4},
		{"garbage on another lane", 1, garbage, 0.4},
		{"new flows on the express lane", 0, newFlow, 0.4},
		{"new flows on another lane", 1, newFlow, 0.4},
	} {
		t.Run(flood.name, func(t *testing.T) {
			l, h1 := founder(t, "--static-peer", floodPeer)
			peer, pod := l.Host(), h1.Pod()
			share, sent := besideFlood(t, h1, peer, flood.parity, func(n int) []byte { return flood.packet(n, pod.Addr) })
			t.Logf("%.0f %% of the core for others, at %d datagrams a second", 100*share, sent)
			if share < flood.least {
				t.Errorf("%.0f %% of the core for others, want %.0f %%", 100*share, 100*flood.least)
			}
		})
	}
}

// garbage is not a packet.
func garbage(int, netip.Addr) []byte { return make([]byte, 64) }

// newFlow is the only packet of its flow for a long time.
func newFlow(n int, to netip.Addr) []byte {
	from := netip.AddrFrom4([4]byte{10, 244, 200, byte(n>>16) | 1})
	return lab.UDPPacket(at(from, uint16(n)), at(to, 9), make([]byte, 36))
}

// besideFlood pins the daemon of h and a busy program to the first core, and
// sends datagrams from another core for some seconds. It returns two figures.
// One is the program's part of the time that it and the daemon ran, whatever
// else wants the core. The other is the datagrams a second.
func besideFlood(t *testing.T, h, from *lab.Host, parity uint16, datagram func(n int) []byte) (share float64, rate int) {
	t.Helper()
	pinProcess(t, h.Daemon.PID(), 0)
	busy := exec.Command("sh", "-c", "while :; do :; done")
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		busy.Process.Kill()
		busy.Wait()
	}()
	pinProcess(t, busy.Process.Pid, 0)
	var sent atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		runtime.LockOSThread() // the thread ends with the goroutine, pinned as it is
		pinThread(0, runtime.NumCPU()-1)
		flood(t, from, at(h.Addr, 8285), parity, datagram, &sent, stop)
	}()
	time.Sleep(500 * time.Millisecond) // the flood's beginning does not count
	start, before := time.Now(), sent.Load()
	others, ours := processTime(t, busy.Process.Pid), processTime(t, h.Daemon.PID())
	time.Sleep(3 * time.Second)
	others, ours = processTime(t, busy.Process.Pid)-others, processTime(t, h.Daemon.PID())-ours
	share = float64(others) / float64(others+ours)
	rate = int(float64(sent.Load()-before) / time.Since(start).Seconds())
	close(stop)
	<-stopped
	if rate < 5000 {
		t.Errorf("%d datagrams a second are no flood", rate)
	}
	return share, rate
}

// floodTrain is how many datagrams the flood hands to the kernel at once.
const floodTrain = 64

// flood sends trains of datagrams, all of one length, until stop is closed.
func flood(t *testing.T, from *lab.Host, to netip.AddrPort, parity uint16, datagram func(n int) []byte, sent *atomic.Int64, stop <-chan struct{}) {
	conn := from.ListenUDP(t, at(from.Addr, 40000+parity))
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err == nil {
		raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, len(datagram(0)))
		})
	}
	if err != nil {
		t.Errorf("make trains: %v", err)
		return
	}
	for n := 0; ; n += floodTrain {
		select {
		case <-stop:
			return
		default:
		}
		var train []byte
		for i := range floodTrain {
			train = append(train, datagram(n+i)...)
		}
		if _, err := conn.WriteToUDPAddrPort(train, to); err == nil {
			sent.Add(floodTrain)
		}
	}
}

// pinProcess keeps all threads of a process on one CPU, and those to come.
func pinProcess(t *testing.T, pid, cpu int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(tasks) == 0 {
		t.Fatalf("no threads of process %d: %v", pid, err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(filepath.Base(task))
		if err != nil {
			t.Fatal(err)
		}
		if err := pinThread(tid, cpu); err != nil && !errors.Is(err, unix.ESRCH) {
			t.Fatal(err)
		}
	}
}

// pinThread keeps a thread on one CPU; 0 is the caller's own.
func pinThread(tid, cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	return unix.SchedSetaffinity(tid, &set)
}

// processTime is the CPU time that a process has used in user mode and in the
// kernel.
func processTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	times, err := lab.ProcessorTime(pid)
	if err != nil {
		t.Fatal(err)
	}
	return times.Own
}
