// SPDX-License-Identifier: Apache-2.0

// Which node reaches which: a matrix, or a list of a large network.

import { byID, el, fill, table } from "./dom.js";
import { count, millis, percent, rate } from "./format.js";
import { pathsOf } from "./store.js";

const wordy = 14; // nodes up to which a cell has room for words
const pageSize = 50;

/** The kinds of cells: class, sign and what it means. */
const kinds = {
  self: ["", "the node itself"],
  works: ["", "packets arrive, and come back"],
  small: ["½", "only small packets pass"],
  failed: ["✕", "packets do not arrive"],
  unproven: ["?", "not proven yet"],
  dead: ["†", "the node is dead, or has left"],
  idle: ["–", "no path is needed: one of the two has no lease"],
  silent: ["", "not known: no report"],
};

const kindOf = (sight) => {
  if (!sight) return "silent";
  if (sight.state === "dead" || sight.state === "left") return "dead";
  return { works: "works", "small-only": "small", failed: "failed", impossible: "failed", unproven: "unproven" }[sight.proof] ?? "idle";
};

/** Five classes of round trips, so that distance can be seen. */
const heat = (us) => us < 500 ? 0 : us < 2000 ? 1 : us < 10_000 ? 2 : us < 50_000 ? 3 : 4;

export class Mesh {
  #store;
  #choose;
  #cells = [];
  #nodes = [];
  #focus = [0, 0];
  #page = 0;

  /** choose is called with a node that the reader wants to see. */
  constructor(store, choose) {
    this.#store = store;
    this.#choose = choose;
  }

  show() {
    const nodes = this.#store.state.nodes.filter((n) => n.id);
    if (this.#store.state.large) return this.#list(nodes);
    if (nodes.length < 2) return this.#alone();
    const signature = nodes.map((n) => n.id + n.name).join();
    if (byID("mesh").signature !== signature) {
      byID("mesh").signature = signature;
      this.#build(nodes);
    }
    this.#nodes = nodes;
    this.#update();
  }

  /** There is no other node: how to get one. */
  #alone() {
    const { gossip, network, security } = this.#store.state.status;
    const [text, command] = !network.prefix || !gossip ? ["This node is in no network yet.", ""]
      : security.gossip_sealed ? ["There is no other node yet. This prints what to type on the next host:", "flanneld token"]
        : ["There is no other node yet. To type on another host:", `flanneld run --join ${gossip.replace(/:8286$/, "")}`];
    byID("mesh").signature = "alone";
    byID("mesh-about").textContent = "";
    fill(byID("mesh"), [text, command], () => el("p", { class: "none" }, `${text} `, command && el("code", null, command)));
  }

  /** Makes the matrix once for a set of nodes, so that the focus stays. */
  #build(nodes) {
    const compact = nodes.length > wordy;
    const body = nodes.map((from, row) => el("tr", null, el("th", { scope: "row" }, el("span", null, from.name)), nodes.map((to, column) => {
      const cell = el("td", { tabindex: row + column === 0 ? "0" : "-1" });
      cell.place = [row, column];
      return cell;
    })));
    this.#cells = body.map((row) => [...row.querySelectorAll("td")]);
    this.#focus = [0, 0];
    const grid = el("table", { role: "grid", class: compact ? "matrix compact" : "matrix", "aria-labelledby": "mesh-title", "aria-describedby": "mesh-keys" },
      el("thead", null, el("tr", null, el("td", { class: "corner" }, compact ? "" : "from ↓ to →"), nodes.map((to) => el("th", { scope: "col" }, el("span", null, to.name))))),
      el("tbody", null, body));
    grid.addEventListener("keydown", (e) => this.#key(e));
    grid.addEventListener("focusin", (e) => e.target.place && this.#enter(e.target));
    grid.addEventListener("mouseover", (e) => e.target.closest("td")?.place && this.#tell(e.target.closest("td")));
    grid.addEventListener("click", (e) => e.target.closest("td")?.place && this.#choose(this.#nodes[e.target.closest("td").place[0]]));
    byID("mesh").shown = null;
    byID("mesh").replaceChildren(
      el("div", { class: "scroll" }, grid),
      el("p", { id: "mesh-cell", class: "cell" }, "Point at a cell, or walk through them with the arrow keys."),
      el("p", { id: "mesh-keys", class: "unseen" }, "A row is what one node sees. Arrow keys move, Enter shows the node of the row."),
      legend());
  }

  #update() {
    this.#nodes.forEach((from, row) => {
      const stale = this.#store.stale(from);
      this.#nodes.forEach((to, column) => this.#draw(this.#cells[row][column], from, to, stale));
    });
    byID("mesh-about").textContent = `${count(this.#nodes.length)} nodes; a row is what one node sees; round trips in ms`;
  }

  #draw(cell, from, to, stale) {
    const own = from.id === to.id, sight = own ? null : this.#store.sight(from, to);
    const kind = own ? "self" : stale ? "silent" : kindOf(sight);
    const loss = this.#store.loss(from.id, to.id);
    const lossy = kind === "works" && loss.recent && loss.lost > loss.sent * 0.01;
    const words = own ? `${from.name}: itself` : `${from.name} to ${to.name}: ${this.#words(from, to, kind, sight)}`;
    const wide = kind === "works" && this.#nodes.length <= wordy;
    const text = wide ? millis(sight.rtt) : kinds[kind][0];
    const more = wide ? `${sight.path}${lossy ? ` · ${percent(loss.lost, loss.sent)}` : ""}` : "";
    if (cell.words === words && cell.more === more) return;
    cell.words = words;
    cell.more = more;
    cell.className = kind === "works" ? `works heat${heat(sight.rtt)}${lossy ? " lossy" : ""}` : kind;
    cell.replaceChildren(el("span", { "aria-hidden": "true" }, text, more && el("small", null, more)), el("span", { class: "unseen" }, words));
    if (cell.matches(":hover, :focus")) this.#tell(cell);
  }

  #words(from, to, kind, sight) {
    if (kind === "silent") return `not known: ${this.#store.silence(from) || "not in its report"}`;
    if (kind === "dead") return `it is ${sight.state}`;
    const parts = [kinds[kind][1]];
    if (sight.path) parts.push(`by ${sight.path}`);
    if (sight.rtt) parts.push(`${millis(sight.rtt)} ms`);
    const { sent, lost } = this.#store.loss(from.id, to.id);
    if (sent) parts.push(`${count(lost)} of ${count(sent)} probes lost`);
    if (from.self) {
      const r = this.#store.exchange(to);
      parts.push(`out ${rate(r.out)}, in ${rate(r.in)}`);
    }
    if (sight.note) parts.push(sight.note);
    return parts.join(", ");
  }

  #tell(cell) {
    byID("mesh-cell").textContent = cell.words ?? "";
  }

  #enter(cell) {
    const [row, column] = this.#focus;
    this.#cells[row]?.[column]?.setAttribute("tabindex", "-1");
    this.#focus = cell.place;
    cell.setAttribute("tabindex", "0");
    this.#tell(cell);
  }

  #key(e) {
    let [row, column] = this.#focus;
    const last = this.#cells.length - 1;
    switch (e.key) {
      case "ArrowUp": row--; break;
      case "ArrowDown": row++; break;
      case "ArrowLeft": column--; break;
      case "ArrowRight": column++; break;
      case "Home": column = 0; if (e.ctrlKey) row = 0; break;
      case "End": column = last; if (e.ctrlKey) row = last; break;
      case "Enter": this.#choose(this.#nodes[row]); break;
      default: return;
    }
    e.preventDefault();
    this.#cells[Math.min(Math.max(row, 0), last)][Math.min(Math.max(column, 0), last)].focus();
  }

  /** A large network: a line for each node, with the nodes it does not reach. */
  #list(nodes) {
    const root = byID("mesh");
    if (root.signature !== "list") {
      root.signature = "list";
      const filter = el("input", { type: "search", id: "mesh-filter", placeholder: "name, subnet or state" });
      filter.addEventListener("input", () => { this.#page = 0; this.show(); });
      const turn = (by) => () => { this.#page += by; this.show(); };
      const back = el("button", { type: "button", id: "mesh-back" }, "Previous"), next = el("button", { type: "button", id: "mesh-next" }, "Next");
      back.addEventListener("click", turn(-1));
      next.addEventListener("click", turn(1));
      root.shown = null;
      root.replaceChildren(
        el("p", { class: "tools" }, el("label", null, "Filter ", filter), back, next, el("span", { id: "mesh-place", role: "status" })),
        el("div", { id: "mesh-rows" }));
    }
    const wanted = byID("mesh-filter").value.toLowerCase();
    const rows = nodes.map((n) => this.#row(n)).filter((r) => r.text.includes(wanted)).sort((a, b) => a.rank - b.rank);
    const pages = Math.max(1, Math.ceil(rows.length / pageSize));
    this.#page = Math.min(Math.max(this.#page, 0), pages - 1);
    const shown = rows.slice(this.#page * pageSize, (this.#page + 1) * pageSize);
    byID("mesh-back").disabled = this.#page === 0;
    byID("mesh-next").disabled = this.#page === pages - 1;
    byID("mesh-place").textContent = `${count(rows.length)} nodes, page ${this.#page + 1} of ${pages}`;
    byID("mesh-about").textContent = `${count(nodes.length)} nodes: those first that do not reach others`;
    fill(byID("mesh-rows"), shown.map(({ kind, cells }) => [kind, cells]), () => table("Nodes, and which others each reaches",
      [["Node"], ["State"], ["Subnet", "mono"], ["Reaches", "number"], ["Does not reach", "wide"], ["Round trip from here", "number"], ["Out", "number"], ["In", "number"]], shown));
  }

  #row(n) {
    const r = this.#store.report(n), rates = this.#store.rates.get(n.id);
    const known = r && !this.#store.stale(n);
    const total = known ? pathsOf(r) : 0;
    const missed = !known ? [] : n.self
      ? this.#store.state.nodes.filter((o) => !o.self && ["failed", "small-only"].includes(o.path.state)).map((o) => o.name)
      : this.#store.answers.get(n.id).peers.filter((p) => p.w === "failed" || p.w === "small-only").map((p) => this.#store.names.get(p.id)?.name ?? "?");
    const more = missed.length > 8 ? ` and ${missed.length - 8} more` : "";
    const bad = missed.length > 0 || n.state === "dead" || n.state === "suspect";
    return {
      kind: missed.length ? "bad" : n.state === "dead" ? "dim" : "", rank: missed.length ? 0 : bad ? 1 : known ? 2 : 3,
      text: `${n.name} ${n.subnet} ${n.state}`.toLowerCase(),
      cells: [n.name + (n.self ? " (this node)" : ""), n.state, n.subnet || "–",
        known ? `${count(r.paths.works)} of ${count(total)}` : "–", known ? missed.slice(0, 8).join(", ") + more || "–" : `not known: ${this.#store.silence(n)}`,
        n.self || !n.path.rtt_seconds ? "–" : `${millis(n.path.rtt_seconds * 1e6)} ms`, rates ? rate(rates.out) : "–", rates ? rate(rates.in) : "–"],
    };
  }
}

const legend = () => el("ul", { class: "legend", "aria-label": "Signs" },
  ["below 0.5 ms", "2 ms", "10 ms", "50 ms", "more"].map((text, i) => el("li", null, el("span", { class: `sign works heat${i}`, "aria-hidden": "true" }), text)),
  el("li", null, el("span", { class: "sign works lossy", "aria-hidden": "true" }), "loses probes"),
  ["small", "failed", "unproven", "dead", "silent"].map((kind) => el("li", null, el("span", { class: `sign ${kind}`, "aria-hidden": "true" }, kinds[kind][0]), kinds[kind][1])));
