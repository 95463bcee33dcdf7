// SPDX-License-Identifier: Apache-2.0

package shortcut

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

//go:generate ./generate.sh

// constants are what one load of the programs is made for.
type constants struct {
	overlay  int // index of the overlay device
	lease    netip.Prefix
	endpoint netip.AddrPort
	mtu      int
	linkLen  int     // of the underlay's link header
	decap    uint64  // further flags of decapsulation
	gro      int     // index of the device that leads to GRO; 0: none
	groMAC   [6]byte // of its peer
}

// decapL4UDP is BPF_F_ADJ_ROOM_DECAP_L4_UDP (Linux 7.3).
const decapL4UDP = 1 << 10

// programs are the programs, and the maps that stay from one load to the next.
type programs struct {
	objectMaps
	loaded    *objectPrograms // nil: none
	constants constants
}

// load loads the programs for these constants. The maps stay as they are, and
// so do links to the programs of the last load.
func (p *programs) load(c constants) error {
	if p.loaded != nil && p.constants == c {
		return nil
	}
	return p.renew(c)
}

// renew loads the programs again, even for the same constants.
func (p *programs) renew(c constants) error {
	spec, err := loadObject()
	if err != nil {
		return err
	}
	addr, mask := c.lease.Masked().Addr().As4(), ^uint32(0)<<(32-c.lease.Bits())
	local := c.endpoint.Addr().As4()
	for name, value := range map[string]any{
		objectVarOverlay:   uint32(c.overlay),
		objectVarLease:     binary.NativeEndian.Uint32(addr[:]),
		objectVarLeaseMask: binary.NativeEndian.Uint32(binary.BigEndian.AppendUint32(nil, mask)),
		objectVarLocal:     binary.NativeEndian.Uint32(local[:]),
		objectVarPort:      binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, c.endpoint.Port())),
		objectVarMtu:       uint32(c.mtu),
		objectVarLinkLen:   uint32(c.linkLen),
		objectVarDecap:     c.decap,
		objectVarGroOut:    uint32(c.gro),
		objectVarGroMac:    c.groMAC,
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("constant %s: %w", name, err)
		}
	}
	var all struct {
		objectPrograms
		objectMaps
	}
	opts := &ebpf.CollectionOptions{}
	if p.Peers != nil {
		opts.MapReplacements = map[string]*ebpf.Map{
			objectMapPeers: p.Peers, objectMapTraffic: p.Traffic, objectMapLeft: p.Left, objectMapStations: p.Stations,
		}
	}
	if err := spec.LoadAndAssign(&all, opts); err != nil {
		return err
	}
	if p.Peers == nil {
		p.objectMaps = all.objectMaps
	} else {
		_ = all.objectMaps.Close() // copies
	}
	if p.loaded != nil {
		_ = p.loaded.Close()
	}
	p.loaded, p.constants = &all.objectPrograms, c
	return nil
}

// close gives up programs and maps. Links keep what they need.
func (p *programs) close() {
	if p.loaded != nil {
		_ = p.loaded.Close()
	}
	if p.Peers != nil {
		_ = p.objectMaps.Close()
	}
	*p = programs{}
}

// put adds or changes a peer.
func (p *programs) put(prefix netip.Prefix, r row) error {
	k, v := key(prefix), r.value()
	err := p.Peers.Put(k[:], v[:])
	if errors.Is(err, unix.ENOSPC) {
		return errFull
	}
	return err
}

// drop removes a peer.
func (p *programs) drop(prefix netip.Prefix) error {
	k := key(prefix)
	if err := p.Peers.Delete(k[:]); !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return nil
}

// read adds what each processor counted in a slot.
func (p *programs) read(slot uint32) (v volume, err error) {
	var all []objectVolume
	if err := p.Traffic.Lookup(slot, &all); err != nil {
		return v, err
	}
	for i := range all {
		v[sentPackets] += all[i].SentPackets
		v[sentBytes] += all[i].SentBytes
		v[receivedPackets] += all[i].ReceivedPackets
		v[receivedBytes] += all[i].ReceivedBytes
		v[answers] += all[i].Answers
	}
	return v, nil
}

// perReason counts packets, in the order of reasons.
type perReason [len(reasons)]uint64

// leftover adds why packets were left to user space, or dropped.
func (p *programs) leftover(before perReason) perReason {
	if p.Left == nil {
		return before
	}
	for i := range before {
		var perCPU []uint64
		if p.Left.Lookup(uint32(i), &perCPU) != nil {
			continue
		}
		for _, n := range perCPU {
			before[i] += n
		}
	}
	return before
}

// clearsEncapsulation reports whether the kernel knows decapL4UDP.
func clearsEncapsulation() (bool, error) { return shrinksWith(decapL4UDP) }

// shrinksWith reports whether bpf_skb_adjust_room takes this flag when it
// removes headers. The kernel refuses flags that it does not know, so a try on
// a packet of zeroes tells.
func shrinksWith(flag uint64) (bool, error) {
	flags := unix.BPF_F_ADJ_ROOM_FIXED_GSO | unix.BPF_F_ADJ_ROOM_NO_CSUM_RESET | flag
	try, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "flanneld_decap", Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R2, -outerLen),
			asm.Mov.Imm(asm.R3, unix.BPF_ADJ_ROOM_MAC),
			asm.LoadImm(asm.R4, int64(flags), asm.DWord),
			asm.FnSkbAdjustRoom.Call(),
			asm.Return(),
		},
	})
	if err != nil {
		return false, err
	}
	defer try.Close()
	frame := make([]byte, 14+outerLen+outerLen)
	frame[12], frame[14] = 0x08, 0x45 // IPv4
	result, _, err := try.Test(frame)
	return result == 0, err
}

// outerLen is what encapsulation adds, in bytes: IPv4 and UDP headers.
const outerLen = 20 + 8
