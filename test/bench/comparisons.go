// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"

	"flanneld/internal/seal"
)

// kind is a way to join two hosts' pods.
type kind struct {
	name     string // for -paths
	title    string
	required bool // its failure is the run's
	sealed   bool // flanneld in a sealed network
}

var kinds = []kind{
	{name: "routing", title: "plain routing", required: true},
	{name: reference, title: "kernel VXLAN", required: true},
	{name: "flanneld", title: "flanneld", required: true},
	{name: userSpace, title: "flanneld, user space", required: true},
	{name: "flanneld-off", title: "flanneld, offloads off", required: true},
	{name: "flanneld-direct", title: "flanneld, direct", required: true},
	{name: "flanneld-vxlan", title: "flanneld, vxlan", required: true},
	{name: "flanneld-auto", title: "flanneld, auto", required: true},
	{name: "flanneld-aes", title: "flanneld, AES-GCM", required: aesIsFast(), sealed: true},
	{name: "flanneld-chacha", title: "flanneld, ChaCha20", required: true, sealed: true},
	{name: wireguardGo, title: "wireguard-go"},
	{name: "flannel", title: "flannel, udp backend"},
	{name: "nebula", title: "nebula"},
}

// aesIsFast reports whether the processor has instructions for AES. A host
// without them never chooses AES-GCM, and the path cannot be measured.
func aesIsFast() bool { return seal.Preferred()[0] == seal.AESGCM }

// reference is the path that the others are compared with.
const reference = "vxlan"

// userSpace is flanneld without the short-cut: its lanes carry all packets.
const userSpace = "flanneld-user"

// wireguardGo is what encrypts in user space elsewhere.
const wireguardGo = "wireguard-go"

// docker is the comparison on hosts with Docker's rules, which most have.
const docker = "docker"

// subject is a path to be measured: a kind under a setting.
type subject struct {
	kind
	setting
}

// comparison is some paths measured side by side.
type comparison struct {
	name     string // for -variants; "main" is no variant
	title    string
	subjects []subject
	measures []measure
}

// keys are those of the metrics, in the report's order.
func (c comparison) keys() (keys []string) {
	for _, m := range c.measures {
		for _, metric := range m.metrics {
			keys = append(keys, metric.key)
		}
	}
	return keys
}

// variants differ from the main comparison in one respect, and are measured in
// short: most of them throughput alone.
var variants = []struct {
	name, title string
	subjects    func(base []subject) []subject
	measures    []string
}{
	{docker, "the rules of a Docker host", func(base []subject) []subject {
		return changed(only(base, "routing", reference, "flanneld", userSpace, "flanneld-direct", "flanneld-vxlan"), func(s *setting) { s.Docker = true })
	}, []string{"tcp1", "tcp4", "tcprr", "load", "udp64x1"}},
	{"segmentation", "segmentation offload off on the underlay", func(base []subject) []subject {
		return changed(base, func(s *setting) { s.Segmentation = false })
	}, []string{"tcp1", "tcp4", "iperf1"}},
	{"lanes", "lanes", withLanes, []string{"tcp1", "tcp4"}},
	{"bbr", "BBR", func(base []subject) []subject {
		return changed(only(base, "routing", reference, "flanneld", userSpace), func(s *setting) { s.Congestion = "bbr" })
	}, []string{"tcp1", "tcp4", "iperf1"}},
}

// comparisons is what the options ask for: the main one, then the variants.
func (o options) comparisons() []comparison {
	main := comparison{name: "main", title: "everything as it comes", measures: named(measures, o.measures.picked)}
	for _, k := range kinds {
		if o.paths.has(k.name) {
			main.subjects = append(main.subjects, subject{k, o.base})
		}
	}
	list := []comparison{main}
	for _, v := range variants {
		c := comparison{v.name, v.title, v.subjects(main.subjects), named(main.measures, v.measures)}
		if o.variants.has(v.name) && len(c.subjects) > 0 && len(c.measures) > 0 {
			list = append(list, c)
		}
	}
	return list
}

// withLanes is flanneld's user space with one, two and four lanes, beside
// VXLAN.
func withLanes(base []subject) []subject {
	list := only(base, reference)
	for _, s := range only(base, userSpace) {
		for _, n := range []int{1, 2, 4} {
			s.Lanes = fmt.Sprint(n)
			s.title = "user space, " + counted(n, "lane")
			list = append(list, s)
		}
	}
	return list
}

func changed(base []subject, change func(*setting)) []subject {
	list := make([]subject, len(base))
	for i, s := range base {
		change(&s.setting)
		list[i] = s
	}
	return list
}

func only(base []subject, names ...string) (list []subject) {
	for _, s := range base {
		if slices.Contains(names, s.name) {
			list = append(list, s)
		}
	}
	return list
}

func named(full []measure, names []string) (list []measure) {
	for _, m := range full {
		if slices.Contains(names, m.name) {
			list = append(list, m)
		}
	}
	return list
}

func pathNames() (names []string) {
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

func variantNames() (names []string) {
	for _, v := range variants {
		names = append(names, v.name)
	}
	return names
}
