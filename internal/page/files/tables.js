// SPDX-License-Identifier: Apache-2.0

// Leases, drops, and one node in detail.

import { byID, el, fill, table, withCommands } from "./dom.js";
import { count, duration, millis, several } from "./format.js";
import { pathName } from "./store.js";

/** A time of today without the day. */
const moment = (time, now) => {
  const t = new Date(time), clock = t.toLocaleTimeString("en-GB");
  return t.toDateString() === new Date(now).toDateString() ? clock : `${t.toLocaleDateString("en-CA")} ${clock}`;
};

/** An address as a number, so that subnets are in order. */
const place = (subnet) => subnet ? subnet.split("/")[0].split(".").reduce((sum, part) => sum * 256 + Number(part), 0) : Infinity;

const promised = (n) => n.state === "static" ? "–" : !n.subnet ? "–" : n.electors === 0 ? "by itself" : `${n.promises} of ${n.electors}`;

export const showLeases = (store) => {
  const { nodes, status } = store.state;
  const claim = status.lease.claim;
  const rows = [...nodes].sort((a, b) => place(a.subnet) - place(b.subnet)).map((n) => ({
    kind: n.conflict ? "bad" : n.state === "dead" || n.state === "left" ? "dim" : "",
    cells: [n.name + (n.self ? " (this node)" : ""), n.subnet || (n.self && claim ? `asks for ${claim.subnet}` : "none"),
      n.state + (n.self ? "" : n.state === "static" ? "" : ` ${duration(n.since_seconds)}`), n.endpoint || "–", promised(n),
      n.subnet && n.id ? `${count(n.epoch)}` : "–", n.lease_age_seconds && n.id ? duration(n.lease_age_seconds) : "–",
      [n.conflict, n.note].filter(Boolean).join("; ")],
  }));
  const holders = nodes.filter((n) => n.subnet).length;
  byID("leases-about").textContent = status.network.prefix
    ? `${several(holders, "subnet")} of ${status.network.prefix} ${holders === 1 ? "is" : "are"} held` : "no network yet";
  // Ages move on all the time. They are shown when something else changes, or with the minute.
  fill(byID("leases"), rows, () => table("Leases", [["Node"], ["Subnet", "mono"], ["State"], ["Endpoint", "mono"], ["Promised", "number"], ["Epoch", "number"], ["Held for", "number"], ["What is odd", "wide"]],
    rows.map((r) => ({ kind: r.kind, cells: r.cells.map((c, i) => i === 7 ? withCommands(c) : c) }))));
};

export const showDrops = (store) => {
  const sums = new Map();
  for (const n of store.state.nodes) {
    for (const d of store.report(n)?.drops ?? []) {
      const s = sums.get(d.kind) ?? { own: 0, all: 0, where: [] };
      s.all += d.count;
      if (n.self) s.own = d.count;
      s.where.push([n.name, d.count]);
      sums.set(d.kind, s);
    }
  }
  const rows = [...sums].sort((a, b) => b[1].all - a[1].all).map(([kind, s]) => {
    const meaning = store.meanings[kind] ?? { means: "", do: "" };
    const [direction, ...reason] = kind.split("-");
    const [most] = s.where.sort((a, b) => b[1] - a[1]);
    return { cells: [reason.join(" "), direction === "egress" ? "out" : "in", count(s.own), count(s.all), most[0], meaning.means, meaning.do] };
  });
  fill(byID("drops"), rows, () => rows.length === 0
    ? el("p", { class: "none" }, "No packet was dropped.")
    : table("Dropped packets", [["Reason"], ["Way"], ["Here", "number"], ["All nodes", "number"], ["Most on"], ["What it means", "wide"], ["What to look at", "wide"]],
      rows.map((r) => ({ cells: r.cells.map((c, i) => i === 6 ? withCommands(c || "–") : c) }))));
};

export const showEvents = (store) => {
  const events = (store.state.events ?? []).toReversed();
  fill(byID("events"), events.map((e) => [e.seq, e.count]), () => events.length === 0
    ? el("p", { class: "none" }, "Nothing yet.")
    : table("Events", [["When"], ["Kind"], ["What", "wide"], ["Why", "wide"]], events.map((e) => ({
      cells: [moment(e.time, store.state.at), e.kind, e.text + (e.count > 1 ? `, ${count(e.count)} times` : ""), withCommands(e.why || "–")],
    }))));
};

/** Keeps the list of nodes to choose from. */
export const showChoice = (store) => {
  const select = byID("chosen");
  const nodes = store.state.nodes.filter((n) => n.id);
  const chosen = select.value;
  fill(select, nodes.map((n) => [n.id, n.name]), () => nodes.map((n) => el("option", { value: n.id }, n.name + (n.self ? " (this node)" : ""))));
  select.value = nodes.some((n) => n.id === chosen) ? chosen : store.self?.id ?? "";
};

/** What the kernel carries of path udp. A node of an earlier version does not say. */
const shortcutRow = (shortcut, left) => {
  const { ready, why, peers, out, in: into } = shortcut;
  if (!ready && !why) return [];
  const reasons = Object.entries(left).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]).map(([kind, n]) => `${kind} ${count(n)}`).join(", ");
  const carried = `carried ${count(out.packets)} packets out and ${count(into.packets)} in`;
  return [{ kind: ready ? "" : "dim", cells: ["udp (kernel)", count(peers), ready ? `${carried}${reasons && `; left to user space: ${reasons}`}` : `not used: ${why}`] }];
};

const tripOf = (way) => {
  const seconds = (way.shortcut.used && way.shortcut.rtt_seconds) || way.rtt_seconds;
  return seconds ? `${millis(seconds * 1e6)} ms` : "–";
};

/** Why a path to a peer is used or not. */
const whyOf = (way) => [way.why, way.used && way.shortcut.why && `in user space; short-cut: ${way.shortcut.why}`].filter(Boolean).join("; ") ||
  (way.used ? way.shortcut.used ? "the kernel carries it, by the short-cut" : "the preferred path that works" : "–");

export const showDetails = (store) => {
  const n = store.state.nodes.find((n) => n.id && n.id === byID("chosen").value);
  const r = n && store.report(n);
  byID("ways").hidden = !r || !n.self || store.state.nodes.length < 2;
  if (!r) {
    const why = n ? store.silence(n) : "this node is in no network yet";
    return fill(byID("details"), why, () => el("p", { class: "none" }, `No report: ${why}.`));
  }
  const s = store.state.status;
  const facts = [["Version", r.version], ["Runs for", duration(r.uptime_seconds)], ["Lease", r.lease], ["MTU of the overlay", `${r.mtu} bytes`],
    ["Gossip", r.sealed ? "sealed with the cluster key" : "not sealed: any host of the underlay can join"]];
  if (n.self) {
    facts.push(["Device", `${s.device.name} is ${s.device.state}${s.device.note ? `: ${s.device.note}` : ""}`], ["Firewall rules", s.host.firewall || "not yet"],
      ["Lanes", s.lanes], ["Memory", `${count(Math.round(s.process.memory_bytes / 2 ** 20))} MiB`]);
  }
  const backends = r.backends.flatMap((b) => [
    { kind: b.unavailable ? "dim" : "", cells: [b.path, count(b.peers), b.unavailable || "available"] },
    b.path === "udp" ? shortcutRow(r.shortcut, n.self ? s.shortcut.left_to_user_space : {}) : []].flat());
  const ways = n.self ? store.state.nodes.flatMap((p) => p.paths.map((w) => ({
    kind: w.used ? "" : "dim", cells: [p.name, pathName(w), w.used ? "in use" : w.state, tripOf(w), whyOf(w)],
  }))) : [];
  const offloads = r.offloads.map((o) => ({ kind: o.used ? "" : "dim", cells: [o.name, o.used ? "used" : "not used", o.note || (o.used ? "the kernel does it" : "–")] }));
  fill(byID("details"), [n.id, facts, backends, offloads], () => [
    el("dl", { class: "facts" }, facts.map(([name, value]) => el("div", null, el("dt", null, name), el("dd", null, String(value))))),
    el("div", { class: "pair" },
      el("div", null, el("h3", null, "Backends"), backends.length ? table("Backends", [["Path"], ["Peers", "number"], ["On this host", "wide"]], backends) : el("p", { class: "none" }, "None.")),
      el("div", null, el("h3", null, "Offloads"), offloads.length ? table("Offloads", [["Offload"], ["State"], ["Why", "wide"]], offloads) : el("p", { class: "none" }, "None yet: there is no device."))),
  ]);
  fill(byID("ways-rows"), ways, () => table("Paths to peers", [["Peer"], ["Path"], ["State"], ["Round trip", "number"], ["Why", "wide"]], ways));
};
