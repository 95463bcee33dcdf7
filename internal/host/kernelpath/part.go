// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"flanneld/internal/host"
	"flanneld/internal/host/link"
	"flanneld/internal/problem"
)

// kernel is the host's network, of one namespace.
type kernel interface {
	// devices reads the tunnel devices, and whatever has one of the names.
	devices(names []string) ([]device, error)
	// entries reads what belongs to peers.
	entries(q query) (entries, error)
	// do takes one step. vxlan is the device of neighbors and FDB entries.
	do(vxlan string, s step) error
	// underlay reads what matters of the device that leads to other hosts.
	underlay(device string) (underlay, error)
}

// underlay is what matters of the device that leads to other hosts.
type underlay struct {
	forwards bool   // packets that come by it are forwarded
	strict   bool   // they are dropped where they come by another way than their answers take
	spreads  string // the bond below that sends from several MAC addresses; "": none
}

// query is what entries are read for.
type query struct {
	network netip.Prefix // other programs' routes in it are taken; zero: they are not looked at
	vxlan   string       // the device of neighbors and FDB entries; "": none
	overlay string       // the overlay device
	own     []string     // tunnel devices of this flanneld
}

// Part is the kernel paths as a part of the host.
type Part struct {
	device string // the overlay's
	open   func() (kernel, error)
	// changed signals that what Near or Unavailable answer has changed.
	changed  chan struct{}
	follower *follower
	tunnel   atomic.Int64 // the index of the vxlan device; 0: none
	// known is what Unavailable answers from, while the kernel is worked on.
	known atomic.Pointer[known]

	mu         sync.Mutex // held while the kernel is worked on: milliseconds
	config     *Config    // nil: not known yet
	peers      []Peer
	peersKnown bool // SetPeers was called
	checksums  bool // the vxlan device may leave them to the network card
	want       wanted
	// have is what the kernel has as far as this process knows, after an Ensure
	// that reached the entries.
	have  entries
	ready bool // have is known
	// unavailable are the paths that this host has not, with the reason.
	unavailable map[string]lack
}

// lack is why this host has not a path; zero: it has.
type lack struct {
	why    string
	module bool // a kernel module is missing: no problem that can be repaired
}

// NewPart makes the part for the overlay device of that name. Nothing on the
// host is changed.
func NewPart(device string) *Part {
	return &Part{
		device: device, open: openKernel, changed: make(chan struct{}, 1), follower: newFollower(openSegment()),
		checksums: true, unavailable: map[string]lack{},
	}
}

// Want sets the configuration, nil for not known. Without one, nothing on the
// host is touched. One without devices and peers removes what an earlier
// process left. When Want returns, no Ensure for an older configuration is
// running.
func (p *Part) Want(c *Config) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config, p.ready = c.clone(), false
	if c != nil {
		p.follower.want(c.Underlay)
	}
	p.plan()
	p.publish()
}

// SetPeers sets the peers, and does at once what differs from the last ones.
// What cannot be done is tried again by the next Ensure, and is then its error;
// the result reports whether one is due. Until the first call, Ensure removes
// nothing that belongs to peers. The slice may not be changed afterwards.
func (p *Part) SetPeers(peers []Peer) (due bool) {
	p.follower.reach(peers)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.peers, p.peersKnown = peers, true
	p.plan()
	if p.config == nil {
		return false
	}
	if !p.ready {
		return true
	}
	steps := p.planPeers(p.have)
	known := len(steps)
	// Other programs may have changed their routes since the last look.
	steps = slices.DeleteFunc(steps, func(s step) bool { return s.do == takeRoute })
	if len(steps) == 0 {
		return known > 0
	}
	k, err := p.open()
	if err != nil {
		return true
	}
	_, err = p.run(k, steps)
	return err != nil || len(steps) < known
}

// plan makes the wanted entries anew.
func (p *Part) plan() {
	if p.config == nil {
		p.want = wanted{}
		return
	}
	p.want = p.config.wantedEntries(p.peers, p.want.owners)
}

// Installed is the device that each route to a peer leaves by, as far as this
// process knows. After the first Ensure these are an earlier process's.
func (p *Part) Installed() map[netip.Prefix]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[netip.Prefix]string{}
	for dst, r := range p.have.routes {
		all[dst] = r.dev
	}
	return all
}

// known is the configuration, and what was found of it.
type known struct {
	config      *Config
	unavailable map[string]lack
}

// Unavailable reports why this host has not a path, as the last Ensure found
// it; "" where it has. A path that is not wanted is not available. It does not
// wait for the kernel.
func (p *Part) Unavailable(path string) string {
	now := p.known.Load()
	if now == nil || now.config == nil {
		return notYet
	}
	switch c := now.config; {
	case path == Vxlan && c.VXLAN == nil, path == Ipip && c.IPIP == nil, path == Direct && c.Underlay == "":
		return "it is not wanted"
	}
	l, looked := now.unavailable[path]
	if !looked {
		return notYet
	}
	return l.why
}

const notYet = "it is not set up yet"

// publish makes known what Unavailable answers from. The maps are not changed
// afterwards.
// VXLANDevice is the name of the VXLAN device that is wanted; "" for none. It
// does not wait for the kernel.
func (p *Part) VXLANDevice() string {
	if now := p.known.Load(); now != nil && now.config != nil && now.config.VXLAN != nil {
		return now.config.VXLAN.Name
	}
	return ""
}

func (p *Part) publish() { p.known.Store(&known{config: p.config, unavailable: p.unavailable}) }

// Changed signals, on a channel of capacity one, that Near or Unavailable
// answer something else than before.
func (p *Part) Changed() <-chan struct{} { return p.changed }

// Name is "kernel paths".
func (*Part) Name() string { return problem.PartPaths }

// Ensure compares with the kernel, and makes everything as wanted. A path that
// this host has not is no error where it is only missing in the kernel: see
// Unavailable.
func (p *Part) Ensure(context.Context) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.config == nil {
		return nil, nil
	}
	k, err := p.open()
	if err != nil {
		return nil, err
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	look, err := p.look(k)
	if err != nil {
		return nil, err
	}
	changes, deviceErr := p.ensureDevices(k, look)
	if len(changes) > 0 {
		if look, err = p.look(k); err != nil {
			return changes, settle(host.Join(deviceErr, err))
		}
	}
	more, entryErr := p.ensureEntries(k, look)
	return append(changes, more...), settle(host.Join(deviceErr, entryErr))
}

// validate reports what is wrong with the configuration.
func (p *Part) validate() error {
	for _, w := range p.config.wantedDevices(p.device, p.checksums) {
		if w.name == p.device {
			return fmt.Errorf("kernelpath: %s cannot be the overlay device and the device of %s", w.name, w.kind)
		}
	}
	return p.config.Validate()
}

// Check returns what Ensure would change.
func (p *Part) Check(context.Context) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.config == nil {
		return nil, nil
	}
	k, err := p.open()
	if err != nil {
		return nil, err
	}
	look, err := p.look(k)
	if err != nil {
		return nil, err
	}
	steps := look.stale
	for _, w := range look.want {
		if f := look.foreign(w); f != nil {
			return texts(steps), foreignError(*f)
		}
		have := look.find(w.name)
		if have == nil && p.unavailable[pathOf(w.kind)].module {
			continue
		}
		steps = append(steps, planDevice(have, w)...)
	}
	e, err := k.entries(p.query(look))
	if err != nil {
		return texts(steps), err
	}
	return texts(append(steps, p.planPeers(e)...)), nil
}

// Present names the devices and the routes that Remove would take away.
func (p *Part) Present() (present []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, err := p.open()
	if err != nil {
		return nil
	}
	devices, left, _ := p.leftovers(k)
	for _, d := range devices {
		present = append(present, "device "+d.name+", its addresses and routes")
	}
	if n := len(left.routes); n > 0 {
		present = append(present, fmt.Sprintf("%d routes to peers", n))
	}
	return present
}

// Former lists the paths that an earlier process has left devices or routes of.
// vxlan is its VXLAN device, without the MAC; nil: there is none. Former is to
// be asked before Want.
func (p *Part) Former() (paths []string, vxlan *VXLAN) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, err := p.open()
	if err != nil {
		return nil, nil
	}
	devices, left, _ := p.leftovers(k)
	tunnels := map[string]bool{}
	for _, d := range devices {
		tunnels[d.name] = true
		paths = append(paths, pathOf(d.kind))
		if d.kind == kindVXLAN {
			vxlan = &VXLAN{Name: d.name, VNI: d.vni, Port: d.port}
		}
	}
	for _, r := range left.routes {
		if !tunnels[r.dev] {
			return append(paths, Direct), vxlan
		}
	}
	return paths, vxlan
}

// leftovers reads all devices and routes of flanneld, whatever is wanted. The
// devices are there even where the routes cannot be read.
func (p *Part) leftovers(k kernel) ([]device, entries, error) {
	all, err := k.devices(nil)
	if err != nil {
		return nil, entries{}, err
	}
	look := sight{overlay: p.device, have: all}
	left, err := k.entries(query{overlay: p.device, own: look.ownNames()})
	if err != nil {
		left = entries{}
	}
	return look.own(), left, err
}

// Remove takes away all routes and devices, those of earlier processes too.
func (p *Part) Remove(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready, p.unavailable = false, map[string]lack{}
	p.publish()
	k, err := p.open()
	if errors.Is(err, ErrPlatform) {
		return nil
	} else if err != nil {
		return err
	}
	devices, left, err := p.leftovers(k)
	if err != nil {
		return err
	}
	var failed []error
	for _, s := range append(planStaleEntries(left, newEntries()), planStale(devices, nil, p.device)...) {
		if err := k.do("", s); err != nil {
			failed = append(failed, explain(s, err))
		}
	}
	return host.Join(failed...)
}

// sight is what there is of devices, and what is wanted.
type sight struct {
	overlay    string
	have, want []device
	stale      []step
}

// look reads the devices and plans which have to go.
func (p *Part) look(k kernel) (sight, error) {
	s := sight{overlay: p.device, want: p.config.wantedDevices(p.device, p.checksums)}
	var names []string
	for _, w := range s.want {
		names = append(names, w.name)
	}
	have, err := k.devices(names)
	if err != nil {
		return sight{}, err
	}
	s.have, s.stale = have, planStale(have, s.want, p.device)
	return s, nil
}

// find is the device of that name that stays; nil for none.
func (s sight) find(name string) *device {
	goes := slices.ContainsFunc(s.stale, func(t step) bool { return t.dev.name == name })
	i := slices.IndexFunc(s.have, func(d device) bool { return d.name == name })
	if goes || i < 0 {
		return nil
	}
	return &s.have[i]
}

// foreign is another program's device in the place of a wanted one; nil for
// none.
func (s sight) foreign(w device) *device {
	if d := s.find(w.name); d != nil && !ours(*d, s.want, s.overlay) {
		return d
	}
	return nil
}

// rival is the device of another flanneld that keeps the kernel from making a
// wanted one, and that daemon's overlay device; nil for none.
func (s sight) rival(w device) (d *device, overlay string) {
	for i := range s.have {
		if overlay := overlayOf(s.have[i].alias); w.collides(s.have[i]) && overlay != "" && overlay != s.overlay {
			return &s.have[i], overlay
		}
	}
	return nil, ""
}

// own are our devices, also those that have to go.
func (s sight) own() (all []device) {
	for _, d := range s.have {
		if ours(d, s.want, s.overlay) {
			all = append(all, d)
		}
	}
	return all
}

// ownNames are the names of our devices.
func (s sight) ownNames() (names []string) {
	for _, d := range s.own() {
		names = append(names, d.name)
	}
	return names
}

// vxlanName is the device of neighbors and FDB entries; "" where it is not
// there.
func (p *Part) vxlanName() string {
	if p.config.VXLAN == nil || p.unavailable[Vxlan].why != "" {
		return ""
	}
	return p.config.VXLAN.Name
}

func (p *Part) query(look sight) query {
	return query{network: p.config.Network, vxlan: p.vxlanName(), overlay: p.device, own: look.ownNames()}
}

// ensureDevices makes the devices as wanted, and notes which paths there are.
func (p *Part) ensureDevices(k kernel, look sight) ([]string, error) {
	var done []step
	var failed []error
	for _, s := range look.stale {
		if err := k.do("", s); err != nil {
			failed = append(failed, explain(s, err))
			continue
		}
		done = append(done, s)
	}
	lacking := map[string]lack{Direct: {why: p.lackDirect(k)}}
	for _, w := range look.want {
		steps, err := p.ensureDevice(k, look, w)
		done = append(done, steps...)
		var l lack
		if err != nil {
			l = lack{why: err.Error(), module: errors.Is(err, errNoModule)}
		}
		if err != nil && !l.module {
			failed = append(failed, err)
		}
		lacking[pathOf(w.kind)] = l
	}
	if !maps.Equal(lacking, p.unavailable) {
		p.unavailable = lacking
		p.publish()
		host.Poke(p.changed)
	}
	return texts(done), host.Join(failed...)
}

// lackDirect is why this host has not the path "direct".
func (p *Part) lackDirect(k kernel) string {
	if p.config.Underlay == "" {
		return "it is not wanted"
	}
	u, err := k.underlay(p.config.Underlay)
	switch {
	case err != nil:
		return err.Error()
	case !u.forwards:
		return link.Sysctl(p.config.Underlay, "forwarding") + " is 0: packets that come by it are not forwarded"
	case u.strict:
		return fmt.Sprintf("rp_filter of %s is strict: packets that come by another way than their answers are dropped", p.config.Underlay)
	case u.spreads != "":
		return u.spreads + " sends from several MAC addresses, and other hosts take packets from one"
	}
	return ""
}

func pathOf(kind string) string {
	if kind == kindIPIP {
		return Ipip
	}
	return Vxlan
}

// ensureDevice makes one device as wanted.
func (p *Part) ensureDevice(k kernel, look sight, w device) (done []step, err error) {
	if f := look.foreign(w); f != nil {
		return nil, foreignError(*f)
	}
	have := look.find(w.name)
	if have == nil {
		made := planDevice(nil, w)
		if err := k.do("", made[0]); err != nil {
			if rival, overlay := look.rival(w); rival != nil && (errors.Is(err, errVNITaken) || errors.Is(err, errTunnelTaken)) {
				return nil, otherError(*rival, overlay)
			}
			return nil, explain(made[0], err)
		}
		done = made
		again, err := p.look(k)
		if err != nil {
			return done, err
		}
		if have = again.find(w.name); have == nil {
			return done, fmt.Errorf("device %s was deleted at once", w.name)
		}
	}
	for _, s := range planDevice(have, w) {
		if err := k.do("", s); err != nil {
			if s.do == setAlias && len(done) > 0 { // unmarked, it would be another program's
				return nil, host.Join(explain(s, err), k.do("", step{do: delDevice, dev: *have}))
			}
			return done, explain(s, err)
		}
		if len(done) == 0 || done[0].do != addDevice { // a new device is told in one sentence
			done = append(done, s)
		}
	}
	return done, nil
}

// ensureEntries makes what belongs to the peers as wanted.
func (p *Part) ensureEntries(k kernel, look sight) ([]string, error) {
	have, err := k.entries(p.query(look))
	p.have, p.ready = have, err == nil
	if err != nil {
		return nil, err
	}
	p.tunnel.Store(0)
	if d := look.find(p.vxlanName()); d != nil {
		p.tunnel.Store(int64(d.index))
	}
	done, err := p.run(k, p.planPeers(p.have))
	return texts(done), host.Join(err, p.refusals())
}

// planPeers is planEntries, with what cannot be left out: the devices that are
// not there, and, while the peers are not known, everything that would go.
func (p *Part) planPeers(have entries) []step {
	steps := planEntries(have, p.want.entries)
	return slices.DeleteFunc(steps, func(s step) bool {
		goes := s.do == delRoute || s.do == delFDB || s.do == delNeighbor
		return goes && !p.peersKnown || !goes && !p.possible(s)
	})
}

// possible reports whether the device of a step is there.
func (p *Part) possible(s step) bool {
	dev := s.route.dev
	switch {
	case s.do == setNeighbor || s.do == setFDB, p.config.VXLAN != nil && dev == p.config.VXLAN.Name:
		return p.unavailable[Vxlan].why == ""
	case p.config.IPIP != nil && dev == p.config.IPIP.Name:
		return p.unavailable[Ipip].why == ""
	}
	return true
}

// run takes steps, and notes what is done. A failure does not keep the next
// step from its turn.
func (p *Part) run(k kernel, steps []step) (done []step, err error) {
	var failed []error
	for _, s := range steps {
		if s.do == addRoute && p.have.taken[s.route.dst] != "" {
			failed = append(failed, takenError(s.route.dst, p.have.taken[s.route.dst]))
			continue
		}
		if err := k.do(p.vxlanName(), s); err != nil {
			failed = append(failed, explain(s, err))
			continue
		}
		p.have.apply(s)
		done = append(done, s)
	}
	return done, few(failed)
}

// refusals is an error for each peer that is refused.
func (p *Part) refusals() error {
	var all []error
	for _, prefix := range slices.SortedFunc(maps.Keys(p.want.refused), netip.Prefix.Compare) {
		all = append(all, fmt.Errorf("no kernel path to the holder of %s: %s", prefix, p.want.refused[prefix]))
	}
	return few(all)
}

// SetChecksumOffload sets whether the vxlan device may leave checksums to the
// network card, as it may at first. Off is kept, also on a device that is made
// again.
func (p *Part) SetChecksumOffload(on bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checksums = on
	if p.config == nil || p.config.VXLAN == nil || p.unavailable[Vxlan].why != "" {
		return nil
	}
	k, err := p.open()
	if err != nil {
		return err
	}
	look, err := p.look(k)
	if err != nil {
		return err
	}
	have := look.find(p.config.VXLAN.Name)
	if have == nil || look.foreign(*have) != nil || have.checksums == on {
		return nil // Ensure makes it
	}
	want := *have
	want.checksums = on
	s := step{do: setChecksums, dev: want, text: fmt.Sprintf("device %s has the other setting of checksums", want.name)}
	if err := k.do("", s); err != nil {
		return explain(s, err)
	}
	return nil
}
