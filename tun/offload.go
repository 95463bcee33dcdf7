// SPDX-License-Identifier: Apache-2.0

package tun

// Offloads are the kinds of work that the device leaves to its user, or takes
// over.
type Offloads struct {
	// Checksum: packets that never left the host in a checked form come without
	// their transport checksum, for example those from its containers. flanneld
	// computes it. The other offloads need this one.
	Checksum bool

	// TCP: a superpacket of up to 64 KB crosses the device in one piece, in
	// both directions (TSO and its reverse).
	TCP bool

	// UDP: the same for trains of UDP datagrams (USO, Linux 6.2).
	UDP bool
}

// any reports whether packets have a virtio header in front.
func (o Offloads) any() bool { return o.Checksum || o.TCP || o.UDP }

// consistent drops offloads that lack another one that they need.
func (o Offloads) consistent() Offloads {
	o.TCP = o.TCP && o.Checksum
	o.UDP = o.UDP && o.Checksum
	return o
}

// OffloadState is the state of one offload.
type OffloadState struct {
	Name string // stable: tun-csum, tun-tso, tun-uso
	Used bool
	Note string // why not, or empty
}

// offloadState adds why an offload is not used, if note does not have it.
func offloadState(name string, wanted, used bool, note string) OffloadState {
	switch {
	case used:
		note = ""
	case !wanted:
		note = "switched off"
	case note == "":
		note = "the kernel refuses superpackets that are written"
	}
	return OffloadState{Name: name, Used: used, Note: note}
}
