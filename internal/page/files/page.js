// SPDX-License-Identifier: Apache-2.0

// Takes events, and shows what they say.

import { byID, el, fill, withCode, withCommands } from "./dom.js";
import { count, duration, millis, rate, several } from "./format.js";
import { Mesh } from "./mesh.js";
import { Store, pathsOf } from "./store.js";
import { showChoice, showDetails, showDrops, showEvents, showLeases } from "./tables.js";
import { Traffic } from "./traffic.js";

const grave = ["conflict", "lease"];

const store = new Store();
const traffic = new Traffic(store);
const mesh = new Mesh(store, (node) => {
  byID("chosen").value = node.id;
  showDetails(store);
  byID("details-title").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
});

const showHead = () => {
  const { status } = store.state;
  byID("node").textContent = status.node.name;
  document.title = `${status.ok ? "" : "● "}${status.node.name} · flanneld`;
  byID("about").textContent = [status.network.prefix && `network ${status.network.prefix}`, status.lease.subnet && `subnet ${status.lease.subnet}`,
    `flanneld ${status.version}`, `up ${duration(status.uptime_seconds)}`].filter(Boolean).join(" · ");
  const n = store.problems().length, dead = store.dead().length;
  const v = byID("verdict");
  v.className = n ? "verdict bad" : dead ? "verdict lost" : "verdict good";
  const text = n ? several(n, "problem") : dead ? `${several(dead, "host")} dead` : "all is well";
  if (v.textContent !== text) v.textContent = text;
};

/** More dead hosts than these are one item: one cause is likelier than many. */
const singly = 4;

const deadItems = (dead) => dead.length > singly
  ? [{ kind: "warn", on: several(dead.length, "host"), part: "dead", text: `${dead.map((n) => n.name).join(", ")} are dead. Their subnets stay their own.`,
    advice: "Start them again, or strike out each one that will not come back, by its ID in `flanneld nodes`: flanneld forget ID" }]
  : dead.map((n) => ({ kind: "warn", on: n.name, part: "dead", text: `${n.name} is dead. ${n.subnet ? `Its subnet ${n.subnet} stays its own.` : ""}`,
    advice: `Start it again, or strike it out if it will not come back: flanneld forget ${n.id.slice(0, 8)}` }));

const showProblems = () => {
  const problems = store.problems();
  const items = problems.map((p) => ({ kind: grave.includes(p.part) ? "grave" : "bad", ...p }));
  items.sort((a, b) => (b.kind === "grave") - (a.kind === "grave"));
  items.push(...deadItems(store.dead()));
  const claim = store.state.status.lease.claim;
  byID("wrong").hidden = items.length === 0;
  fill(byID("problems"), [items.map((p) => [p.on, p.part, p.text, p.advice]), claim?.missing.map((m) => m.name)], () => items.map((p) => el("li", { class: p.kind },
    el("p", { class: "where" }, el("strong", null, p.on), el("span", { class: "part" }, p.part)),
    el("p", null, withCode(p.text)),
    p.part === "lease" && claim && p.on === store.state.status.node.name && el("p", null, `${claim.promised_by.length} of ${claim.needed} promises for ${claim.subnet}; no answer from ${claim.missing.map((m) => `${m.name} (${m.state})`).join(", ") || "none"}.`),
    el("p", { class: "advice" }, p.advice ? withCommands(p.advice) : "flanneld mends this itself, as soon as it can."))));
};

const median = (list) => list.length ? list.sort((a, b) => a - b)[list.length >> 1] : 0;

const showTiles = () => {
  const { nodes, status, history } = store.state;
  const members = nodes.filter((n) => n.id), alive = members.filter((n) => n.state === "alive" || n.state === "suspect").length;
  let works = 0, paths = 0, reports = 0, into = 0;
  for (const n of members) {
    const r = store.report(n);
    if (!r || store.stale(n)) continue;
    reports++;
    works += r.paths.works;
    paths += pathsOf(r);
    into += store.rates.get(n.id)?.in ?? 0;
  }
  const trips = nodes.filter((n) => n.path.rtt_seconds > 0).map((n) => n.path.rtt_seconds * 1e6);
  const dropped = history.length > 1 ? history.at(-1).dropped - history[0].dropped : 0;
  const tiles = [
    ["Nodes up", `${count(alive)} of ${count(members.length)}`, `${count(reports)} reporting`, alive < members.length ? "warn" : ""],
    ["Paths proven", `${count(works)} of ${count(paths)}`, "both ways, over all nodes", works < paths ? "bad" : ""],
    ["Round trip", trips.length ? `${millis(median(trips))} ms` : "–", "median from here", ""],
    ["Traffic", rate(into), "arrives at all nodes now", ""],
    ["Dropped", count(Math.max(0, dropped)), "packets here, 10 min", ""],
    ["Subnet", status.lease.subnet || "none", `lease ${status.lease.state}`, status.lease.state === "confirmed" ? "" : "bad"],
  ];
  const long = (value) => value.length > 10 ? "long" : ""; // wider than a tile
  fill(byID("tiles"), tiles, () => tiles.map(([name, value, more, kind]) => el("div", { class: `${kind} ${long(value)}` }, el("dt", null, name), el("dd", null, value, el("small", null, more)))));
};

let due = false;
const show = () => {
  if (due || !store.state) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    showHead();
    showProblems();
    showTiles();
    mesh.show();
    traffic.show();
    showDrops(store);
    showLeases(store);
    showEvents(store);
    showChoice(store);
    showDetails(store);
    document.documentElement.dataset.ready = String(store.answers.size);
  });
};

const lost = () => {
  const v = byID("verdict");
  v.className = "verdict lost";
  v.textContent = "not connected";
};

let source;
const listen = () => {
  source = new EventSource("page/events");
  const on = (name, take) => source.addEventListener(name, (e) => { take(JSON.parse(e.data)); show(); });
  on("meanings", (m) => { store.meanings = m; });
  on("state", (s) => store.setState(s));
  on("report", (a) => store.setAnswer(a));
  source.onerror = () => {
    lost();
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 10_000); // too many pages, or no page: later
  };
};

byID("chosen").addEventListener("change", () => showDetails(store));
listen();
