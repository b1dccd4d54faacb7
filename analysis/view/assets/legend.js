/* Scales of colours of a map, and its legend. */
(function () {
  "use strict";

  const SHADES = 256; // colours of a scale
  const { make, html } = window.stackelgridDom;

  const parts = (color) => (color.startsWith("#")
    ? [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)) : color.match(/\d+/g).map(Number));

  /* SHADES colours between the stops [[0, "rgb(..)" or "#.."], ..., [1, ..]]. */
  function blended(stops) {
    const parsed = stops.map(([at, color]) => [at, parts(color)]);
    return Array.from({ length: SHADES }, (_, k) => {
      const at = k / (SHADES - 1);
      const n = Math.max(1, parsed.findIndex((stop) => stop[0] >= at));
      const [a, from] = parsed[n - 1], [b, to] = parsed[n];
      const share = (at - a) / (b - a);
      return `rgb(${from.map((v, i) => Math.round(v + share * (to[i] - v))).join(",")})`;
    });
  }

  /* Draw the scales with their ends, and the symbols that are on the map. */
  function legend(box, { half, top }, stops, symbols) {
    const bar = (title, ticks, colors) => {
      const part = html("div", "scale", box);
      html("div", "scale-title", part, title);
      html("div", "scale-bar", part).style.background =
        `linear-gradient(to right, ${colors.map(([at, c]) => `${c} ${100 * at}%`).join(", ")})`;
      const line = html("div", "scale-ticks", part);
      for (const text of ticks) html("span", "", line, text);
    };
    box.replaceChildren();
    bar("bus voltage in p.u.", [(1 - half).toFixed(3), "1.000", (1 + half).toFixed(3)], stops.voltage);
    bar("branch loading in %", ["0", `${top / 2}`, `${top}`], stops.loading);
    const signs = html("div", "signs", box);
    const sign = (text, draw) => {
      const entry = html("span", "sign", signs);
      draw(make("svg", { width: 18, height: 18, viewBox: "-9 -9 18 18" }, entry));
      entry.append(text);
    };
    for (const { path, color, label } of symbols) {
      sign(label, (picture) => make("path", { d: path, fill: color }, picture));
    }
    sign("beyond a limit", (picture) => {
      make("path", { d: "M-9 0H9", stroke: "var(--ink)", "stroke-width": 4 }, picture);
      make("circle", { r: 5, fill: "var(--paper)", stroke: "var(--ink)", "stroke-width": 3 }, picture);
    });
    sign("no rating", (picture) =>
      make("path", { d: "M-9 0H9", stroke: "var(--missing)", "stroke-width": 3 }, picture));
  }

  window.stackelgridLegend = { SHADES, blended, legend };
})();
