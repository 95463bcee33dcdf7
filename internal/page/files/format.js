// SPDX-License-Identifier: Apache-2.0

// How numbers are written.

const scale = (n, base, units) => {
  let i = 0;
  while (n >= base && i < units.length - 1) { n /= base; i++; }
  return `${n >= 100 || i === 0 ? Math.round(n) : n.toPrecision(n >= 10 ? 3 : 2)} ${units[i]}`;
};

/** A rate in bytes a second, in bits. */
export const rate = (bytes) => scale(bytes * 8, 1000, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"]);

/** A number with separators. */
export const count = (n) => n.toLocaleString("en-US");

/** So many of something, in words. */
export const several = (n, what) => `${count(n)} ${what}${n === 1 ? "" : "s"}`;

/** A duration in seconds, in its two greatest units at most. */
export const duration = (s) => {
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
};

/** A round trip in microseconds, in milliseconds without the unit. */
export const millis = (us) => {
  const ms = us / 1000;
  return ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : Math.round(ms).toString();
};

/** A share in percent. */
export const percent = (part, of) => {
  if (!of || !part) return "0 %";
  const p = part / of * 100;
  return `${p < 10 ? p.toFixed(1) : Math.round(p)} %`;
};
