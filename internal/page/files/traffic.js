// SPDX-License-Identifier: Apache-2.0

// The traffic of this node: a chart of the last minutes, and its peers.

import { byID, el, fill } from "./dom.js";
import { rate } from "./format.js";

const height = 210;

/** Turns samples of counters into rates: [times, out, in, dropped]. */
const series = (samples) => {
  const data = [[], [], [], []];
  for (let i = 1; i < samples.length; i++) {
    const a = samples[i - 1], b = samples[i], seconds = (b.at - a.at) / 1000;
    if (seconds <= 0) continue;
    data[0].push(b.at / 1000);
    ["out", "in", "dropped"].forEach((name, k) => data[k + 1].push(Math.max(0, b[name] - a[name]) / seconds));
  }
  return data;
};

export class Traffic {
  #store;
  #plot = null;
  #times = null;

  constructor(store) {
    this.#store = store;
    new ResizeObserver(() => this.#plot?.setSize({ width: byID("chart").clientWidth, height })).observe(byID("chart"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw(true));
  }

  show() {
    this.#draw(false);
    this.#talkers();
  }

  #draw(anew) {
    const samples = this.#store.state?.history ?? [];
    const newest = samples.at(-1)?.at;
    if (!anew && newest === this.#times) return;
    this.#times = newest;
    const [times, out, into, dropped] = series(samples);
    const data = [times, out.map((v) => v * 8), into.map((v) => v * 8)];
    if (anew || !this.#plot) {
      this.#plot?.destroy();
      byID("chart").replaceChildren();
      this.#plot = new uPlot(this.#options(), data, byID("chart"));
    } else {
      this.#plot.setData(data);
    }
    const last = (list) => list.at(-1) ?? 0, most = (list) => Math.max(0, ...list);
    const text = `Out ${rate(last(out))} now, ${rate(most(out))} at most; in ${rate(last(into))} now, ${rate(most(into))} at most; ` +
      `${most(dropped) ? `up to ${most(dropped).toFixed(1)} packets a second dropped` : "nothing dropped"}`;
    byID("chart").setAttribute("aria-label", text);
    fill(byID("chart-key"), text, () => [
      el("span", { class: "swatch out", "aria-hidden": "true" }), `out ${rate(last(out))}`,
      el("span", { class: "swatch in", "aria-hidden": "true" }), `in ${rate(last(into))}`,
      el("span", { class: "most" }, `at most ${rate(Math.max(most(out), most(into)))}; ${most(dropped) ? `up to ${most(dropped).toFixed(1)} packets/s dropped` : "nothing dropped"}`),
    ]);
  }

  #options() {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: color("--mute"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line"), width: 1 }, font: "12px system-ui, sans-serif" };
    const line = (label, name) => ({ label, stroke: color(name), fill: color(name) + "26", width: 2, points: { show: false } });
    return {
      width: byID("chart").clientWidth, height, legend: { show: false },
      cursor: { show: false },
      scales: { x: { range: (_, min, max) => [Math.min(min, max - 120), max] }, y: { range: (_, __, max) => [0, Math.max(max * 1.1, 1000)] } },
      axes: [{ ...axis, space: 80, incrs: [60, 120, 300], values: (_, times) => times.map((t) => new Date(t * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })) },
        { ...axis, size: 84, values: (_, values) => values.map((v) => rate(v / 8)) }],
      series: [{}, line("out", "--out"), line("in", "--in")],
    };
  }

  #talkers() {
    const all = this.#store.state.nodes.filter((n) => !n.self)
      .map((n) => ({ name: n.name, ...this.#store.exchange(n) }))
      .filter((n) => n.out + n.in >= 1).sort((a, b) => b.out + b.in - a.out - a.in).slice(0, 8);
    const most = Math.max(1, ...all.map((n) => Math.max(n.out, n.in)));
    const bar = (kind, bytes) => {
      const b = el("span", { class: `bar ${kind}` });
      b.style.inlineSize = `${Math.max(1, bytes / most * 100)}%`;
      return b;
    };
    fill(byID("talkers"), all.map((n) => [n.name, Math.round(n.out), Math.round(n.in)]), () => all.length === 0
      ? el("p", { class: "none" }, "No packets at the moment.")
      : el("ul", { class: "talkers" }, all.map((n) => el("li", null,
        el("span", { class: "name" }, n.name),
        el("span", { class: "bars", "aria-hidden": "true" }, bar("out", n.out), bar("in", n.in)),
        el("span", { class: "amount" }, el("span", null, `out ${rate(n.out)}`), el("span", null, `in ${rate(n.in)}`))))));
  }
}
