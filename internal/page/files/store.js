// SPDX-License-Identifier: Apache-2.0

// What has come from the daemon, and what follows from two of these.

/** Probes of a minute or two say more than those since the start. */
const window = 120_000;

export class Store {
  state = null; // the last
  meanings = {};
  answers = new Map(); // by node ID
  rates = new Map(); // by node ID: {out, in} in bytes a second, all traffic of a node
  peerRates = new Map(); // by peer: of this node
  arrivals = new Map(); // by peer: what it gets from this node, as it says
  probes = new Map(); // by "from to": [{at, sent, lost}], oldest first

  setState(next) {
    const last = this.state;
    next.nodes.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
    this.state = next;
    this.self = next.nodes.find((n) => n.self) ?? null;
    this.names = new Map(next.nodes.filter((n) => n.id).map((n) => [n.id, n]));
    for (const id of this.answers.keys()) if (!this.names.has(id)) this.answers.delete(id);
    for (const n of next.nodes) this.#noteProbes(`${this.self?.id} ${n.id}`, next.at, n.path.sent, n.path.lost);
    if (!last || last.at >= next.at) return;
    const seconds = (next.at - last.at) / 1000;
    const before = new Map(last.nodes.map((n) => [key(n), n]));
    for (const n of next.nodes) {
      const b = before.get(key(n));
      if (b) this.peerRates.set(key(n), rates(seconds, out(b), out(n), came(b), came(n)));
    }
    if (this.self) {
      this.rates.set(this.self.id, rates(seconds, last.status.egress.bytes, next.status.egress.bytes, arrived(last.status), arrived(next.status)));
    }
  }

  setAnswer(a) {
    const last = this.answers.get(a.id);
    this.answers.set(a.id, a);
    if (!a.report || last?.at === a.at) return;
    for (const p of a.peers) this.#noteProbes(`${a.id} ${p.id}`, a.at, p.n, p.l);
    if (last?.report) {
      const from = (a) => a.peers.find((p) => p.id === this.self?.id)?.in ?? 0;
      this.arrivals.set(a.id, Math.max(0, from(a) - from(last)) / ((a.at - last.at) / 1000));
      this.rates.set(a.id, rates((a.at - last.at) / 1000, last.report.out.bytes, a.report.out.bytes, last.report.in.bytes, a.report.in.bytes));
    }
  }

  #noteProbes(pair, at, sent, lost) {
    const all = this.probes.get(pair) ?? [];
    if (all.length && all.at(-1).sent > sent) all.length = 0; // another path, or another start
    all.push({ at, sent, lost });
    while (all.length > 2 && all[1].at < at - window) all.shift();
    this.probes.set(pair, all);
  }

  /** Probes that were lost of those sent: of the last minutes (recent), or of all. */
  loss(from, to) {
    const all = this.probes.get(`${from} ${to}`);
    if (!all) return { sent: 0, lost: 0, recent: false };
    const last = all.at(-1), sent = last.sent - all[0].sent;
    return sent >= 10 ? { sent, lost: Math.max(0, last.lost - all[0].lost), recent: true } : { sent: last.sent, lost: last.lost, recent: false };
  }

  /**
   * What goes from this node to a peer and back, in bytes a second. What leaves by a kernel path is counted
   * where it arrives.
   */
  exchange(n) {
    const own = this.peerRates.get(key(n)) ?? { out: 0, in: 0 };
    return { out: Math.max(own.out, this.arrivals.get(n.id) ?? 0), in: own.in };
  }

  /** How one node sees another; null: that is not known, and why says why. */
  sight(from, to) {
    if (from.self) {
      const used = to.paths.find((p) => p.used);
      return { state: to.state, proof: to.path.state, path: used ? pathName(used) : "", rtt: to.path.rtt_seconds * 1e6, note: to.path.note, at: this.state.at };
    }
    const a = this.answers.get(from.id);
    const p = a?.report && a.peers.find((p) => p.id === to.id);
    return p ? { state: p.s, proof: p.w, path: p.p, rtt: p.rtt, note: "", at: a.at } : null;
  }

  /** Why there is no report of a node, "" where there is one. */
  silence(n) {
    if (n.self || this.answers.get(n.id)?.report) return !this.stale(n) ? "" : `not heard of for ${Math.round((this.state.at - this.answers.get(n.id).at) / 1000)} s`;
    if (n.state === "static") return "a static peer reports nothing";
    if (n.state === "dead" || n.state === "left") return `it is ${n.state}`;
    return this.answers.get(n.id)?.error || "not asked yet";
  }

  /** Whether the last report of a node is too old to be believed. This node's own never is. */
  stale(n) {
    const a = this.answers.get(n.id);
    const turn = Math.max(3000, this.state.nodes.length / 12 * 1000);
    return !n.self && (n.state === "dead" || !a || this.state.at - a.at > 2 * turn + 5000);
  }

  /** The report of a node, this one's made of its status. */
  report(n) {
    if (!n.self) return this.answers.get(n.id)?.report ?? null;
    const s = this.state.status;
    return {
      version: s.version, uptime_seconds: s.uptime_seconds, ok: s.ok, problems: s.problems, lease: s.lease.state, mtu: s.device.mtu,
      offloads: s.offloads, backends: s.backend.paths, paths: s.paths, sealed: s.security.gossip_sealed,
      drops: Object.entries(s.drops).map(([kind, count]) => ({ kind, count })), out: s.egress, in: s.ingress,
      shortcut: { ready: s.shortcut.ready, why: s.shortcut.why, peers: s.shortcut.peers, out: s.shortcut.egress, in: s.shortcut.ingress },
    };
  }

  /** The hosts that do not run, or cannot be heard. */
  dead() { return this.state.nodes.filter((n) => n.state === "dead"); }

  /** All that is wrong, this node's own first: [{on, part, text, advice}]. */
  problems() {
    const all = this.state.status.problems.map((p) => ({ on: this.state.status.node.name, ...p }));
    for (const n of this.state.nodes) {
      if (!n.self && !this.stale(n)) for (const p of this.report(n)?.problems ?? []) all.push({ on: n.name, ...p });
    }
    return all;
  }
}

/** How many data paths the node of a report has, in whatever state. */
export const pathsOf = (report) => report.paths.works + report.paths.small_only + report.paths.failed + report.paths.unproven;

/** The path udp says what carries its packets, as `flanneld nodes` does. */
export const pathName = (p) => p.shortcut.used ? `${p.path} (kernel)` : p.path;

const key = (n) => n.id || n.name;
const out = (n) => n.egress.bytes;
const came = (n) => n.ingress.bytes + n.paths.reduce((sum, p) => sum + p.arrived.bytes, 0);
const arrived = (s) => s.ingress.bytes + Object.values(s.arrived_by_kernel_path).reduce((sum, t) => sum + t.bytes, 0);
const rates = (seconds, out0, out1, in0, in1) => ({
  out: Math.max(0, out1 - out0) / seconds, in: Math.max(0, in1 - in0) / seconds,
});
