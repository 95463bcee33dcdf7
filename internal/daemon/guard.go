package daemon

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/host/firewall"
	"flanneld/internal/host/link"
	"flanneld/internal/host/ports"
	"flanneld/internal/problem"
)

// guardInterval is how often the host is looked at. Rules that another program
// flushed are to be back within 10 s.
const guardInterval = 3 * time.Second

// When something changes, it is looked at soon. A start of dockerd would
// otherwise hide source addresses for some seconds, and connections keep what
// they began with. Several changes at once make one look. On a host that
// changes all the time the next look waits for costFactor times the last one's
// duration. So the guard takes a twentieth of a core at most.
const (
	changeDelay = 200 * time.Millisecond
	minPause    = time.Second
	maxPause    = 8 * time.Second
	costFactor  = 20
)

// pauseAfter is how long to wait after a look that took so long.
func pauseAfter(took time.Duration) time.Duration {
	return min(max(minPause, costFactor*took), maxPause)
}

// guard puts back what other programs take away from the host: device settings,
// firewall rules, forwarding, files. It lives as long as the daemon. Each kind
// has a goroutine of its own, because iptables can take long; nothing of the
// data plane waits for any of them.
type guard struct {
	log      *slog.Logger
	problems *problem.Board
	server   *control.Server
	runDir   string
	ports    *ports.Table

	deviceName string

	rulesWake  chan struct{} // capacity one: another target
	portsWake  chan struct{} // other members, or another underlay
	othersWake chan struct{} // another target, or other links
	deviceWake chan struct{}

	device sync.Mutex // held while the device is looked at

	mu sync.Mutex
	guardState
	target   *target
	members  []ports.Member
	underlay string // the device that datagrams leave by
	// overruled says which rule of another program drops what must pass.
	overruled string
}

// target is what a data plane needs on the host.
type target struct {
	link    link.Config
	network netip.Prefix
	lease   netip.Prefix
	rules   *firewall.Firewall
	settled chan struct{} // closed after the first look at the rules
	ctx     context.Context
	cancel  context.CancelFunc
	files   []file // once they are written
}

// guardState is what status shows.
type guardState struct {
	firewall, firewallNote string // see control.Host
	firewallRepairs        uint64
	deviceRepairs          uint64
	forwardingChanged      bool
}

func newGuard(log *slog.Logger, problems *problem.Board, server *control.Server, c config.Config, table *ports.Table) *guard {
	wake := func() chan struct{} { return make(chan struct{}, 1) }
	return &guard{
		log: log, problems: problems, server: server, runDir: c.RunDir, deviceName: c.Device, ports: table,
		rulesWake: wake(), portsWake: wake(), othersWake: wake(), deviceWake: wake(),
	}
}

// run looks after the host until ctx ends.
func (g *guard) run(ctx context.Context) {
	var all sync.WaitGroup
	for _, loop := range []func(context.Context){g.deviceLoop, g.rulesLoop, g.portsLoop, g.otherRulesLoop} {
		all.Go(func() { loop(ctx) })
	}
	all.Wait()
}

// keep makes the guard look after a data plane. The channel is closed after the
// first look at the firewall rules, whatever its outcome.
func (g *guard) keep(l link.Config, lease netip.Prefix, rules *firewall.Firewall) <-chan struct{} {
	t := &target{link: l, network: l.Network, lease: lease, rules: rules, settled: make(chan struct{})}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	g.mu.Lock()
	g.target = t
	g.mu.Unlock()
	poke(g.rulesWake)
	poke(g.othersWake)
	poke(g.deviceWake)
	return t.settled
}

// keepFiles has the guard look after the files of the data plane as well.
func (g *guard) keepFiles(files []file) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.target != nil {
		g.target.files = files
	}
}

// release ends what keep began. A running iptables is killed; when release
// returns nothing touches the device any more.
func (g *guard) release() {
	g.mu.Lock()
	t := g.target
	g.target = nil
	g.mu.Unlock()
	if t != nil {
		t.cancel()
	}
	g.device.Lock() // netlink only: milliseconds
	defer g.device.Unlock()
}

// protect tells whose ports must be reached by the daemon alone.
func (g *guard) protect(members []ports.Member, underlay string) {
	g.mu.Lock()
	g.members, g.underlay = members, underlay
	g.mu.Unlock()
	poke(g.portsWake)
}

func (g *guard) current() *target {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.target
}

func (g *guard) state() guardState {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.guardState
	if s.firewall == control.FirewallOK && g.overruled != "" {
		s.firewall, s.firewallNote = control.FirewallOverruled, g.overruled
	}
	return s
}

func (g *guard) deviceRepaired() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.deviceRepairs++
}

// poke wakes a loop that listens on a channel of capacity one.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
