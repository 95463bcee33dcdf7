// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"strings"
	"time"

	"flanneld/test/lab"
)

// iperfPatience is how much longer than it was told a client may take.
const iperfPatience = 10 * time.Second

// iperf measures n streams with iperf3, which most people use: what arrived,
// and how long the processors were busy from the client's start to its end. It
// knows whole seconds only, so the length is rounded up.
func iperf(path *path, n int, length time.Duration) (t throughput, err error) {
	seconds := int(math.Ceil(length.Seconds()))
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds)*time.Second+iperfPatience)
	defer cancel()
	end, err := serveIperf(ctx, path.to)
	if err != nil {
		return t, err
	}
	defer end()
	busy, err := processorTime()
	if err != nil {
		return t, err
	}
	report, err := runIperf(ctx, path, "--parallel", fmt.Sprint(n), "--time", fmt.Sprint(seconds))
	if err != nil {
		return t, err
	}
	if t, err = readIperf(report, path.Congestion); err != nil {
		return t, err
	}
	after, err := processorTime()
	t.busy = after - busy
	return t, err
}

// serveIperf starts a server that serves once, and waits until it listens. end
// ends it, served or not.
func serveIperf(ctx context.Context, pod *lab.Pod) (end func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	var problems bytes.Buffer
	server := exec.CommandContext(ctx, "iperf3", "--server", "--one-off", "--forceflush", "--bind", pod.Addr.String(), "--port", fmt.Sprint(streamPort))
	server.Stderr = &problems
	output, err := server.StdoutPipe()
	if err == nil {
		err = pod.Start(server)
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start iperf3, which make deps installs: %w", err)
	}
	end = func() {
		cancel()
		server.Wait()
	}
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "Server listening") {
			return end, nil
		}
	}
	end()
	return nil, fmt.Errorf("iperf3 does not listen: %s", bytes.TrimSpace(problems.Bytes()))
}

// runIperf runs a client to its end and returns what it reports, which includes
// what went wrong.
func runIperf(ctx context.Context, path *path, args ...string) ([]byte, error) {
	client := exec.CommandContext(ctx, "iperf3", append(args, "--client", path.to.Addr.String(), "--port", fmt.Sprint(streamPort), "--json")...)
	var report bytes.Buffer
	client.Stdout = &report
	if err := path.from.Start(client); err != nil {
		return nil, fmt.Errorf("start iperf3: %w", err)
	}
	err := client.Wait()
	if ctx.Err() != nil {
		return nil, errors.New("iperf3 does not end")
	}
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		return nil, fmt.Errorf("iperf3: %w", err)
	}
	return report.Bytes(), nil
}

// readIperf reads a client's report. It is an error if the streams had the
// wrong congestion control.
func readIperf(report []byte, congestion string) (t throughput, err error) {
	var r struct {
		Error string
		End   struct {
			Received struct{ Bytes, Seconds float64 } `json:"sum_received"`
			Sender   string                           `json:"sender_tcp_congestion"`
			Receiver string                           `json:"receiver_tcp_congestion"`
		}
	}
	if err := json.Unmarshal(report, &r); err != nil {
		return t, fmt.Errorf("read what iperf3 reports: %w", err)
	}
	got := r.End.Received
	switch {
	case r.Error != "":
		return t, fmt.Errorf("iperf3: %s", r.Error)
	case got.Bytes == 0 || got.Seconds == 0:
		return t, errors.New("iperf3: nothing arrived")
	case r.End.Sender != congestion || r.End.Receiver != congestion:
		return t, fmt.Errorf("iperf3 sent with %s and received with %s, not %s", r.End.Sender, r.End.Receiver, congestion)
	}
	return throughput{bits: got.Bytes * 8, time: time.Duration(got.Seconds * float64(time.Second))}, nil
}

// iperfVersion is that of the iperf3 on PATH; empty if there is none.
func iperfVersion() string {
	out, _ := exec.Command("iperf3", "--version").Output()
	var version string
	fmt.Sscanf(string(out), "iperf %s", &version)
	return version
}
