// SPDX-License-Identifier: Apache-2.0

package shortcut

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"flanneld/internal/host"
)

// Part is the short-cut as a part of the host. The programs are attached by
// links that are pinned in a bpf file system, so they outlive the process: the
// kernel goes on carrying packets while a daemon restarts, and peers' packets
// that only a program can take never reach a user space that cannot. The maps
// are a process's own. A new process fills maps of its own, and then puts its
// programs into the old links, without a gap.
type Part struct {
	device  string
	changed chan struct{}
	due     chan struct{}
	state   atomic.Pointer[State]

	mu         sync.Mutex // held while the kernel is worked on: milliseconds
	config     *Config
	wanted     bool // Want was called
	known      bool // Update was called
	table      *table
	programs   programs
	left       perReason // of maps that are gone
	links      *links
	kept       map[string]bool // names of the places that have had their programs
	redirected map[int]bool    // bridges past which packets go, by index
	looked     time.Time       // when others' programs were last put in front
	off        time.Time       // since when nothing is sent by the programs; zero: it is
	flags      *bool           // clearsEncapsulation; nil: not tried
}

// Rhythm of a Part.
const (
	// linger is how long packets from peers are taken after the short-cut was
	// given up: peers learn of that by gossip.
	linger = 5 * time.Second
	// watchEach is how often the links are looked at: what another program took
	// away is back within a second.
	watchEach = 500 * time.Millisecond
	// moveEach is how often a program moves behind those of others, at most.
	moveEach = time.Minute
)

// NewPart makes the part for the overlay device of that name. Nothing on the
// host is changed.
func NewPart(device string) *Part {
	p := &Part{device: device, changed: make(chan struct{}, 1), due: make(chan struct{}, 1), table: newTable()}
	p.state.Store(&State{Why: notYet})
	return p
}

const notYet = "it is not set up yet"

// Want sets the configuration. With nil, Ensure takes everything away: the
// sending side at once, the receiving side 5 s later, when peers know. Until
// the first call, Ensure does nothing: what an earlier process has left goes
// on.
func (p *Part) Want(c *Config) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted, p.config = true, nil
	if c != nil {
		own := *c
		p.config = &own
	}
	host.Poke(p.due)
}

// Update makes changes to the peers' routes: set are added or changed, gone are
// removed. They are written to the kernel at once. What it refuses is tried
// again by the next Ensure, which is due then. Until the first call, Ensure
// does nothing.
func (p *Part) Update(set []Peer, gone []netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	due := !p.known
	p.known = true
	p.table.update(set, gone)
	if p.programs.Peers != nil && p.table.flush(&p.programs) != nil {
		due = true
	}
	if due {
		host.Poke(p.due)
	}
}

// State is what the last Ensure found. It does not wait for the kernel.
func (p *Part) State() State { return *p.state.Load() }

// Changed signals, on a channel of capacity one, that State has changed.
func (p *Part) Changed() <-chan struct{} { return p.changed }

// Due signals, on a channel of capacity one, that an Ensure is due.
func (p *Part) Due() <-chan struct{} { return p.due }

// Name is "short-cut".
func (*Part) Name() string { return partName }

// Traffic reads the counters of the routes of these prefixes. One that the
// kernel has not is left out.
func (p *Part) Traffic(prefixes ...netip.Prefix) map[netip.Prefix]Traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[netip.Prefix]Traffic{}
	for _, prefix := range prefixes {
		if t, ok := p.table.traffic(&p.programs, prefix); ok {
			all[prefix] = t
		}
	}
	return all
}

// Total reads the sums of all peers since the part was made, also of peers that
// are gone.
func (p *Part) Total() Traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.table.total(&p.programs)
}

// Left reads how many packets or superpackets were left to user space since the
// part was made, by reason.
func (p *Part) Left() (all []Left) {
	for i, n := range p.leftover() {
		if reasons[i].name != noMemory {
			all = append(all, Left{Direction: reasons[i].direction, Reason: reasons[i].name, Packets: n})
		}
	}
	return all
}

// Dropped reads how many packets or superpackets were dropped since the part
// was made, because the kernel had no memory.
func (p *Part) Dropped() (sent, received uint64) {
	for i, n := range p.leftover() {
		switch r := reasons[i]; {
		case r.name != noMemory:
		case r.direction == egress:
			sent += n
		default:
			received += n
		}
	}
	return sent, received
}

func (p *Part) leftover() perReason {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.programs.leftover(p.left)
}

// watch looks every half second whether links were taken away.
func (p *Part) watch(ctx context.Context, links <-chan struct{}) {
	tick := time.NewTicker(watchEach)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-links:
			host.Poke(p.due)
		case <-tick.C:
			p.mu.Lock()
			ok := p.links == nil || p.links.alive()
			p.mu.Unlock()
			if !ok {
				host.Poke(p.due)
			}
		}
	}
}

// Ensure makes programs, maps and links as wanted.
func (p *Part) Ensure(context.Context) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.wanted {
		return nil, nil
	}
	if p.config == nil {
		changes, err := p.giveUp(&lack{why: "it is off"})
		return changes, err
	}
	if !p.known {
		return nil, nil
	}
	changes, notes, err := p.set()
	var l *lack
	if errors.As(err, &l) {
		more, err := p.giveUp(l)
		return append(changes, more...), err
	}
	if err == nil {
		p.off = time.Time{}
		p.publish(State{Ready: true, Notes: notes})
		return changes, nil
	}
	if !p.state.Load().Ready || !p.links.alive() { // else what failed may work the next time
		p.publish(State{Why: firstLine(err)})
	}
	return changes, err
}

// publish makes a state known.
func (p *Part) publish(s State) {
	old := p.state.Swap(&s)
	if old.Ready != s.Ready || old.Why != s.Why || !slices.Equal(old.Notes, s.Notes) {
		host.Poke(p.changed)
	}
}

// set sets everything up. Its error is a *lack where this host has no
// short-cut.
func (p *Part) set() (changes, notes []string, err error) {
	s, c, changes, err := p.prepare()
	if err != nil {
		return changes, nil, err
	}
	if err := p.programs.load(c); err != nil {
		return changes, nil, explain(err)
	}
	if p.table.mtu != c.mtu {
		p.table.reset(c.mtu, p.table.mtu == 0)
	}
	if err := p.table.flush(&p.programs); err != nil {
		notes = append(notes, "some peers are left to user space: "+firstLine(err))
	}
	without, err := p.setStations(s)
	if err != nil {
		return changes, notes, err
	}
	if without > 0 {
		notes = append(notes, fmt.Sprintf("bridges know too many addresses (bridge fdb): superpackets to %d of them are cut", without))
	}
	wanted := p.places(s)
	for _, w := range wanted {
		change, err := p.links.ensure(w.place, w.program)
		if err != nil {
			return changes, notes, explain(err)
		}
		if change != "" {
			changes = append(changes, change)
		}
	}
	p.kept = make(map[string]bool, len(wanted))
	for _, w := range wanted {
		p.kept[w.name] = true
	}
	for _, name := range p.links.names() {
		if slices.ContainsFunc(wanted, func(w attachment) bool { return w.name == name }) {
			continue
		}
		if err := p.links.remove(name); err != nil {
			return changes, notes, err
		}
		changes = append(changes, "detached program "+name)
	}
	if err := removeFormerGRO(p.device); err != nil { // no program leads to it any more
		return changes, notes, err
	}
	more, err := p.judgeOthers(s, c)
	return changes, append(notes, more...), err
}

// prepare looks at the host, and makes what the programs need.
func (p *Part) prepare() (s sight, c constants, changes []string, err error) {
	if err := p.config.validate(); err != nil {
		return s, c, nil, err
	}
	if !haveTCX() {
		return s, c, nil, &lack{why: noTCX}
	}
	if p.flags == nil {
		clears, err := clearsEncapsulation()
		if err != nil {
			return s, c, nil, explain(err)
		}
		p.flags = &clears
	}
	if s, err = look(*p.config); err != nil {
		return s, c, nil, err
	}
	if s.lack != nil {
		return s, c, nil, s.lack
	}
	if err := mountBPF(); err != nil {
		return s, c, nil, &lack{why: err.Error()}
	}
	if err := p.openLinks(); err != nil {
		return s, c, nil, err
	}
	c = constants{
		overlay: s.overlay, lease: p.config.Lease, endpoint: p.config.Endpoint, mtu: p.config.MTU, linkLen: s.linkLen,
	}
	if *p.flags {
		c.decap = decapL4UDP
	} else if why := s.cut(); why != "" {
		return s, c, nil, &lack{why: why}
	}
	if err := p.links.makeDir(); err != nil { // before devices are made for nothing
		return s, c, nil, explain(err)
	}
	pair, made, err := ensureGRO(p.device, p.config.MTU)
	if err != nil {
		return s, c, nil, err
	}
	if made {
		changes = append(changes, "made the devices for superpackets")
	}
	c.gro, c.groMAC = pair.out, pair.mac
	s.gro = pair.in
	return s, c, changes, nil
}

// cut is why superpackets would be cut on their way to containers; "" if they
// are not.
func (s sight) cut() string {
	for _, b := range s.bridges {
		if b.obstacle != "" {
			return b.obstacle + "; around it, this kernel would cut superpackets, which is slower than user space"
		}
	}
	return ""
}

func (p *Part) openLinks() error {
	if p.links != nil {
		return nil
	}
	dir, err := pinDir(p.device)
	if err != nil {
		return err
	}
	p.links = &links{dir: dir, open: map[string]link.Link{}}
	return nil
}

// attachment is a place and the program for it.
type attachment struct {
	place
	program *ebpf.Program
}

// places are where programs go: what takes packets before what sends them.
func (p *Part) places(s sight) []attachment {
	all := []attachment{
		{place{"gro", s.gro, ebpf.AttachTCXIngress}, p.programs.loaded.Gro},
		{place{"ingress", s.underlay, ebpf.AttachTCXIngress}, p.programs.loaded.Ingress},
	}
	for _, b := range s.bridges {
		if b.obstacle == "" {
			all = append(all, attachment{place{fmt.Sprintf("bridge-%d", b.index), b.index, ebpf.AttachTCXEgress}, p.programs.loaded.ToPort})
		}
	}
	return append(all, attachment{place{"egress", s.overlay, ebpf.AttachTCXEgress}, p.programs.loaded.Egress})
}

// setStations fills the map of what is behind bridges. It returns for how many
// addresses there was no room.
func (p *Part) setStations(s sight) (without int, err error) {
	p.redirected = map[int]bool{}
	for _, b := range s.bridges {
		if b.obstacle == "" {
			p.redirected[b.index] = true
		}
	}
	all, err := readStations(p.redirected)
	if err != nil {
		return 0, err
	}
	if without, err = p.programs.sync(all); err != nil {
		return 0, fmt.Errorf("tell the kernel what is behind bridges: %w", err)
	}
	return without, nil
}

// judgeOthers looks for other programs at the same places. Ours are behind
// theirs, which so see every packet. One that was attached later is passed by:
// then ours moves behind it.
func (p *Part) judgeOthers(s sight, c constants) (notes []string, err error) {
	moved := false
	for _, a := range p.places(s) {
		before, behind, err := p.links.others(a.place)
		if err != nil {
			return notes, err
		}
		if len(before) > 0 {
			notes = append(notes, fmt.Sprintf("at %s, %s runs first", a.name, strings.Join(before, ", ")))
		}
		if len(behind) == 0 {
			continue
		}
		if moved || time.Since(p.looked) < moveEach {
			notes = append(notes, fmt.Sprintf("at %s, %s does not see what the short-cut carries", a.name, strings.Join(behind, ", ")))
			continue
		}
		moved = true
	}
	if !moved {
		return notes, nil
	}
	p.looked = time.Now()
	return append(notes, "programs move behind those of others"), p.move(s, c)
}

// move attaches the programs anew, behind all others. There is no moment
// without one.
func (p *Part) move(s sight, c constants) error {
	if err := p.programs.renew(c); err != nil {
		return explain(err)
	}
	for _, a := range p.places(s) {
		if err := p.links.attach(a.place, a.program); err != nil {
			return err
		}
	}
	host.Poke(p.due)
	return nil
}

// giveUp takes everything away, first what sends. Peers go on sending until
// they hear of it.
func (p *Part) giveUp(l *lack) (changes []string, err error) {
	if err := p.openLinks(); err != nil {
		return nil, err
	}
	p.publish(State{Why: l.why})
	names := p.links.names()
	if len(names) == 0 && len(p.links.open) == 0 {
		p.closePrograms()
		return nil, removeGRO(p.device)
	}
	if p.off.IsZero() {
		p.off = time.Now()
	}
	if time.Since(p.off) < linger {
		for _, name := range names {
			if name == "ingress" || name == "gro" {
				continue
			}
			if err := p.links.remove(name); err != nil {
				return changes, err
			}
			changes = append(changes, "detached program "+name)
		}
		return changes, nil
	}
	removed, err := p.links.removeAll()
	for _, name := range removed {
		changes = append(changes, "detached program "+name)
	}
	if err != nil {
		return changes, err
	}
	p.closePrograms()
	return changes, removeGRO(p.device)
}

// closePrograms gives up programs and maps, and keeps what they counted.
func (p *Part) closePrograms() {
	p.table.retire(&p.programs)
	p.left = p.programs.leftover(p.left)
	p.redirected = nil
	p.programs.close()
}

// Check returns what Ensure would change.
func (p *Part) Check(context.Context) (wrong []string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.config == nil || !p.known || !p.state.Load().Ready {
		return nil, nil
	}
	s, err := look(*p.config)
	if err != nil || s.lack != nil {
		return nil, err
	}
	if p.programs.loaded == nil {
		return []string{"programs are not loaded"}, nil
	}
	out, in := groNames(p.device)
	if s.gro = indexOf(in); s.gro == 0 {
		return []string{fmt.Sprintf("there are no devices %s and %s", out, in)}, nil
	}
	for _, a := range p.places(s) {
		if !p.kept[a.name] {
			continue // of a new bridge: it gets its program at the next Ensure
		}
		id, err := programID(a.program)
		if err != nil {
			return wrong, err
		}
		if text := p.links.state(a.place, id); text != "" {
			wrong = append(wrong, text)
		}
	}
	return wrong, nil
}

// Present names the programs and devices that Remove would take away.
func (p *Part) Present() (present []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.openLinks() != nil {
		return nil
	}
	if n := len(p.links.names()); n > 0 {
		present = append(present, fmt.Sprintf("%d programs pinned in %s", n, p.links.dir))
	}
	for _, name := range presentGRO(p.device) {
		present = append(present, "device "+name+" and its peer")
	}
	return present
}

// Remove takes programs, pins and devices away, those of earlier processes too.
func (p *Part) Remove(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.openLinks(); err != nil {
		return err
	}
	p.publish(State{Why: notYet})
	_, err := p.links.removeAll()
	p.closePrograms()
	return host.Join(err, removeGRO(p.device))
}

// explain makes a lack of an error that says that this kernel or this process
// has no such programs.
func explain(err error) error {
	switch {
	case errors.Is(err, ebpf.ErrNotSupported):
		return &lack{why: noTCX + ": " + firstLine(err)}
	case errors.Is(err, syscall.ENOSYS):
		return &lack{why: "this kernel has no bpf(2), or a filter of system calls hides it: " + firstLine(err)}
	case errors.Is(err, syscall.EROFS):
		return &lack{why: "a sandbox makes " + bpffs + " read-only (a unit needs ReadWritePaths=" + filepath.Join(bpffs, pinned) +
			", and a restart if that was removed): " + firstLine(err)}
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES): // EACCES: the verifier, without CAP_PERFMON
		return &lack{why: "the kernel refuses bpf(2): it takes CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, " +
			"and a filter of system calls that permits it: " + firstLine(err)}
	}
	var refused *ebpf.VerifierError // any error of a load is one, also a lack of memory
	if errors.As(err, &refused) && (errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.E2BIG)) {
		return &lack{why: "this kernel does not accept the programs: " + firstLine(err)}
	}
	return err
}

// firstLine is an error without the lines of a verifier's log or of further
// errors.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
