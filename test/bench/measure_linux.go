package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"

	"flanneld/test/lab"
)

// metric is one kind of measurement; it yields one or more named values.
type metric struct {
	title   string
	measure func(*lab.Program, *path, options) map[string]float64
}

var metrics = []metric{
	{"TCP, 1 stream", func(p *lab.Program, path *path, o options) map[string]float64 {
		rate, busy := iperf(p, path, 1, o)
		return map[string]float64{tcp1: rate / 1e9, cost: busy / (rate * o.length.Seconds() / 1e11)}
	}},
	{"TCP, 4 streams", func(p *lab.Program, path *path, o options) map[string]float64 {
		rate, _ := iperf(p, path, 4, o)
		return map[string]float64{tcp4: rate / 1e9}
	}},
	{"TCP round trips", roundTrips},
	{"64-byte UDP packets", smallPackets},
}

// iperf returns the bits per second that arrived over n connections, and the
// seconds that the machine's processors were busy meanwhile.
func iperf(p *lab.Program, path *path, n int, o options) (rate, busy float64) {
	server := exec.Command("iperf3", "-s", "-1", "-B", path.to.Addr.String())
	if err := path.to.Start(server); err != nil {
		p.Fatalf("start iperf3: %v (make deps installs it)", err)
	}
	defer func() { server.Process.Kill(); server.Wait() }()
	lab.Eventually(p, 5*time.Second, "iperf3 to listen", func() error {
		sockets := path.to.Exec(p, "ss", "-Htln")
		return lab.Expect(strings.Contains(sockets, ":5201"), "it does not")
	})
	before := processorTime(p)
	out := path.from.Exec(p, "iperf3", "-c", path.to.Addr.String(), "-t", fmt.Sprint(o.length.Seconds()), "-P", fmt.Sprint(n), "-C", o.congestion, "-J")
	busy = processorTime(p) - before
	var result struct {
		End struct {
			SumReceived struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
		Error string
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil || result.Error != "" || result.End.SumReceived.BitsPerSecond == 0 {
		p.Fatalf("iperf3 on %s: %v %s", path.name, err, result.Error)
	}
	return result.End.SumReceived.BitsPerSecond, busy
}

// processorTime is how long all processors together have been busy, in
// seconds since the machine started (proc_stat(5); 100 ticks a second).
func processorTime(p *lab.Program) float64 {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		p.Fatalf("read processor times: %v", err)
	}
	var user, nice, system, idle, wait, irq, softirq float64
	if _, err := fmt.Sscanf(string(data), "cpu %g %g %g %g %g %g %g", &user, &nice, &system, &idle, &wait, &irq, &softirq); err != nil {
		p.Fatalf("read processor times: %v", err)
	}
	return (user + nice + system + irq + softirq) / 100
}

// roundTrips sends one byte back and forth over one connection, without pause.
func roundTrips(p *lab.Program, path *path, o options) map[string]float64 {
	at := netip.AddrPortFrom(path.to.Addr, 7007)
	listener := path.to.Listen(p, at)
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		b := make([]byte, 1)
		for {
			if _, err := conn.Read(b); err != nil {
				return
			}
			if _, err := conn.Write(b); err != nil {
				return
			}
		}
	}()
	conn, err := path.from.Dial(at, 5*time.Second)
	if err != nil {
		p.Fatalf("connect on %s: %v", path.name, err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(o.length + 10*time.Second))
	var times []time.Duration
	b := make([]byte, 1)
	start := time.Now()
	for last := start; last.Sub(start) < o.length; {
		if _, err := conn.Write(b); err != nil {
			p.Fatalf("round trip on %s: %v", path.name, err)
		}
		if _, err := conn.Read(b); err != nil {
			p.Fatalf("round trip on %s: %v", path.name, err)
		}
		now := time.Now()
		times = append(times, now.Sub(last))
		last = now
	}
	slices.Sort(times)
	return map[string]float64{
		rtt:    float64(len(times)) / o.length.Seconds(),
		rttP99: float64(times[len(times)*99/100].Nanoseconds()) / 1000,
	}
}

const (
	smallPayload = 64 - 20 - 8 // bytes of UDP in a packet of 64
	lossAllowed  = 0.005
	probeLength  = 400 * time.Millisecond
)

// smallPackets searches for the highest rate of which at most 0.5 % is lost,
// by halving the interval on a logarithmic scale.
func smallPackets(p *lab.Program, path *path, _ options) map[string]float64 {
	low, high := 5_000.0, 800_000.0
	best := 0.0
	for range 9 {
		rate := geometric(low, high)
		sent, received := probe(p, path, rate)
		if sent > 0 && float64(sent-received) <= float64(sent)*lossAllowed {
			best = max(best, float64(received)/probeLength.Seconds())
			low = rate
			if float64(sent) < rate*probeLength.Seconds()*0.9 {
				break // the sender can do no more
			}
		} else {
			high = rate
		}
	}
	return map[string]float64{udp64: best}
}

// probe sends at the rate for a moment and returns how many packets went out
// and how many came.
func probe(p *lab.Program, path *path, rate float64) (sent, received int) {
	at := netip.AddrPortFrom(path.to.Addr, 7009)
	sink := path.to.ListenUDP(p, at)
	sink.SetReadBuffer(4 << 20)
	var count atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		batch := newBatch(64, nil)
		conn := ipv4.NewPacketConn(sink)
		for {
			n, err := conn.ReadBatch(batch, 0)
			if err != nil {
				return
			}
			count.Add(int64(n))
		}
	}()
	source := path.from.ListenUDP(p, netip.AddrPortFrom(path.from.Addr, 0))
	sent = blast(source, at, rate)
	source.Close()
	// What is under way arrives within a moment, or not at all.
	lab.Within(200*time.Millisecond, func() error { return lab.Expect(int(count.Load()) == sent, "not yet") })
	sink.Close()
	<-done
	return sent, int(count.Load())
}

// blast sends at a rate, spread evenly over every millisecond.
func blast(source *net.UDPConn, to netip.AddrPort, rate float64) (sent int) {
	source.SetWriteBuffer(4 << 20)
	conn := ipv4.NewPacketConn(source)
	batch := newBatch(64, net.UDPAddrFromAddrPort(to))
	start := time.Now()
	for {
		elapsed := time.Since(start)
		if elapsed >= probeLength {
			return sent
		}
		due := int(rate*elapsed.Seconds()) - sent
		if due <= 0 {
			time.Sleep(200 * time.Microsecond)
			continue
		}
		n, err := conn.WriteBatch(batch[:min(due, len(batch))], 0)
		if err != nil {
			return sent
		}
		sent += n
	}
}

func newBatch(n int, to net.Addr) []ipv4.Message {
	batch := make([]ipv4.Message, n)
	for i := range batch {
		batch[i].Buffers = [][]byte{make([]byte, smallPayload)}
		batch[i].Addr = to
	}
	return batch
}
