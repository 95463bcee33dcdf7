// SPDX-License-Identifier: Apache-2.0

// Elements. What nodes say of themselves becomes text, never markup.

/** An element with attributes and children; a child that is no node is text. */
export const el = (name, attributes, ...children) => {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === true) e.setAttribute(key, "");
    else if (value !== false && value != null) e.setAttribute(key, value);
  }
  e.append(...children.flat().filter((c) => c != null && c !== false && c !== ""));
  return e;
};

export const byID = (id) => document.getElementById(id);

/** Replaces what is in an element when the data for it have changed. Focus and scrolling of tables stay. */
export const fill = (element, data, make) => {
  const key = JSON.stringify(data);
  if (element.shown === key) return;
  element.shown = key;
  const before = [...element.querySelectorAll(".scroll")].map((s) => [s.scrollLeft, s === document.activeElement]);
  element.replaceChildren(...[make()].flat());
  element.querySelectorAll(".scroll").forEach((s, i) => {
    s.scrollLeft = before[i]?.[0] ?? 0;
    if (before[i]?.[1]) s.focus();
  });
};

/** Text in which commands stand out. */
export const withCommands = (text) => withCode(text, /(`[^`]+`|\bflanneld (?:[a-z]+(?: get)?)(?: [A-Za-z0-9][\w.:/-]*)?)/);

/** Text with what is in backquotes, or what a pattern finds, as code. */
export const withCode = (text, pattern = /(`[^`]+`)/) => text.split(pattern)
  .map((part, i) => i % 2 === 0 ? part : el("code", null, part.replaceAll("`", "")));

/** A table: columns are [title, class]; rows are lists of cells. */
export const table = (caption, columns, rows) => el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Table: ${caption}` },
  el("table", null,
    el("caption", { class: "unseen" }, caption),
    el("thead", null, el("tr", null, columns.map(([title, kind]) => el("th", { scope: "col", class: kind }, title)))),
    el("tbody", null, rows.map(({ kind, cells }) => el("tr", { class: kind }, cells.map((cell, i) =>
      el(i === 0 ? "th" : "td", { scope: i === 0 ? "row" : null, class: columns[i][1] }, cell)))))));
