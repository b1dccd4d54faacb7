/* Grids as a tree, each with its state at the interval shown, and the way from the top to the grid
   chosen.

   One row can be reached by Tab; arrow keys move between rows, Enter or Space chooses a grid. */
(function () {
  "use strict";

  const { html } = window.stackelgridDom;
  const INDENT = 14; // px a level
  const NOTHING_MW = 5e-6; // shown as 0.00 kW
  const MARKS = { "✕": "", R: "recovered", F: "last schedule kept", "!": "limits exceeded in reality" };

  let geometry = null, rows = [], chosen = null;

  const choose = (name) => window.dash_clientside.set_props("grid", { data: name });

  /* Grids below others, from the top, with their depth. */
  function ordered() {
    const found = [], all = geometry.grids, names = new Set(all.map((g) => g.name));
    const add = (g, depth) => {
      found.push([g, depth]);
      all.forEach((child) => { if (child.parent === g.name) add(child, depth + 1); });
    };
    const deeper = all.length > 1 ? 1 : 0;
    all.forEach((g) => { if (!names.has(g.parent)) add(g, deeper); });
    return found;
  }

  /* Draw the rows; values come with paint. */
  function show(newGeometry) {
    const box = document.getElementById("hierarchy");
    if (!box || (geometry && geometry.revision === newGeometry.revision && rows.length)) return;
    geometry = newGeometry;
    box.replaceChildren();
    const tree = html("div", "tree", box);
    tree.setAttribute("role", "tree");
    tree.setAttribute("aria-label", "grids");
    tree.addEventListener("keydown", key);
    rows = [];
    const put = (name, label, copies, depth, grid) => {
      const element = html("div", "tree-row", tree);
      element.setAttribute("role", "treeitem");
      element.setAttribute("aria-level", depth + 1);
      element.dataset.grid = name;
      element.addEventListener("click", () => choose(name));
      const cell = html("span", "tree-name", element);
      cell.style.paddingLeft = `${INDENT * depth}px`;
      const swatch = html("span", "tree-state", cell);
      html("span", "tree-label", cell, label);
      if (copies > 1) html("span", "tree-copies", cell, `×${copies}`);
      rows.push({ name, grid, element, swatch,
        exchange: html("span", "tree-number", element), volts: html("span", "tree-number", element) });
    };
    if (geometry.grids.length > 1) put(geometry.all, `all ${geometry.grids.length} grids`, 1, 0, null);
    for (const [g, depth] of ordered()) put(g.name, g.name, g.copies, depth, g);
    select(chosen);
  }

  function key(event) {
    const at = rows.findIndex((row) => row.element === document.activeElement);
    if (at < 0) return;
    const { grid, name } = rows[at];
    const named = (wanted) => rows.findIndex((row) => row.name === wanted);
    const parent = grid && (named(grid.parent) >= 0 ? named(grid.parent) : named(geometry.all));
    const below = (row) => row.grid && (name === geometry.all ? true : row.grid.parent === name);
    const to = {
      ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1, ArrowLeft: parent,
      ArrowRight: rows.findIndex(below),
    }[event.key];
    if (event.key === "Enter" || event.key === " ") choose(name);
    else if (to === undefined) return;
    else if (rows[to]) focus(to);
    event.preventDefault();
  }

  function focus(at) {
    rows.forEach((row, k) => { row.element.tabIndex = k === at ? 0 : -1; });
    rows[at].element.focus();
  }

  /* Mark a choice, and draw the grids above it. */
  function select(choice) {
    chosen = choice;
    rows.forEach(({ name, element }) => {
      element.setAttribute("aria-selected", String(name === choice));
      element.tabIndex = name === choice ? 0 : -1;
    });
    const trail = document.getElementById("trail");
    if (!trail || !geometry) return;
    const way = [], by = new Map(geometry.grids.map((g) => [g.name, g]));
    for (let g = by.get(choice); g; g = by.get(g.parent)) way.unshift([g.name, g.name]);
    if (geometry.grids.length > 1) way.unshift([geometry.all, `all ${geometry.grids.length} grids`]);
    trail.replaceChildren();
    way.forEach(([name, label]) => {
      if (name === choice) {
        html("span", "trail-here", trail, by.has(name) ? by.get(name).title : label)
          .setAttribute("aria-current", "location");
      } else html("button", "", trail, label).onclick = () => choose(name);
    });
  }

  /* Size of a power with three digits. */
  function power(mw) {
    const size = Math.abs(mw), unit = size >= 1 ? "MW" : "kW", value = size >= 1 ? size : 1e3 * size;
    return `${value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)} ${unit}`;
  }

  /* Voltage of the bus nearest to a limit, or furthest beyond it; without limits, furthest from 1. */
  function worst(g, vm) {
    let found = { v: NaN, margin: Infinity, limited: false };
    for (let i = 0; i < g.bus.length; i++) {
      const v = vm[g.bus0 + i], low = g.low[i], high = g.high[i];
      if (isNaN(v)) continue;
      const limited = low !== null || high !== null;
      const margin = limited
        ? Math.min(low === null ? Infinity : v - low, high === null ? Infinity : high - v)
        : -Math.abs(v - 1);
      if (limited === found.limited ? margin < found.margin : limited) {
        found = { v, margin, limited };
      }
    }
    return found;
  }

  /* Set a text or an attribute if it has changed: most stay from one interval to the next. */
  function text(element, value) {
    if (element.textContent !== value) element.textContent = value;
  }

  /* Show the states of all grids at an interval. */
  function paint({ vm, exchange, states, marks }) {
    const many = [];
    rows.forEach((row) => {
      if (!row.grid) return;
      const g = row.grid, n = geometry.grids.indexOf(g), volts = worst(g, vm);
      many.push({ n, volts });
      const mw = exchange[n], down = mw >= 0, some = !isNaN(mw);
      const arrow = Math.abs(mw) < NOTHING_MW ? "" : down ? "↓ " : "↑ ";
      fill(row, [Number(states[n]), marks[n]], volts, some ? arrow + power(mw) : "",
        !some ? "" : g.level === "transmission" ? `${power(mw)} ${down ? "to" : "from"} the grids below`
          : `${down ? "imports" : "exports"} ${power(mw)}`);
    });
    if (rows[0] && !rows[0].grid) {
      const severe = many.reduce((a, b) => (Number(states[b.n]) > Number(states[a.n]) ? b : a));
      const near = many.map((m) => m.volts).reduce((a, b) =>
        ((a.limited === b.limited ? b.margin < a.margin : b.limited) ? b : a));
      const mark = marks.split("").find((m) => m !== " ") || " ";
      fill(rows[0], [Number(states[severe.n]), mark], near, "", "the worst of each");
    }
  }

  function fill(row, [state, mark], volts, exchange, said) {
    const [label, color] = geometry.states[state];
    const beyond = volts.limited && volts.margin < -geometry.tolerance;
    const shown = isNaN(volts.v) ? "" : volts.v.toFixed(3);
    if (row.color !== color) {
      row.swatch.style.background = row.color = color;
    }
    text(row.swatch, mark.trim());
    text(row.exchange, exchange);
    text(row.volts, shown);
    row.volts.classList.toggle("beyond", beyond);
    const words = [row.grid ? row.grid.title : `all ${geometry.grids.length} grids`, label,
      MARKS[mark] || "", said,
      shown && `${volts.v.toFixed(4)} p.u.${beyond ? ", beyond its limit" : ""}`];
    const all = words.filter(Boolean).join("; ");
    if (row.said !== all) {
      row.element.setAttribute("aria-label", all);
      row.element.title = row.said = all;
    }
  }

  window.stackelgridTree = { show, paint, select };
})();
