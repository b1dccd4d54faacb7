/* Maps of grids as SVG: drawn once for a choice of grids, then only coloured.

   Elements are found by distance, not by the browser's hit test: a finger is wide, a line is thin. */
(function () {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";
  const TILE = 1.16, TITLE = 0.14; // distance of grids among others (a grid's own is 1), its name
  const SHADES = 256, REACH = 14; // colours of a scale; px from the pointer to the chosen element
  const TOP = 36; // px above the map for its buttons
  const BESIDE = 11; // px between a bus and the symbols beside it
  const SHAPES = {
    diamond: "M0-5 5 0 0 5-5 0Z",
    triangle: "M0-5 5 4-5 4Z",
    square: "M-4-4H4V4H-4Z",
    star: "M0-8 2-2.6 7.6-2.5 3.1 1 4.7 6.5 0 3.2-4.7 6.5-3.1 1-7.6-2.5-2-2.6Z",
  };
  const CORNERS = [[-1, -1], [1, -1], [1, 1]]; // of a bus, for the symbols of kinds in turn

  let box = null, svg = null, tip = null, ring = null, bars = null;
  let geometry = null, grids = [], items = [], selected = null;
  let symbols = {}; // by kind
  let view = { x: 0, y: 0, scale: 1, fit: 1 };
  let scales = { half: 0.01, top: 100 }, shades = null;

  const assign = (element, attributes) => {
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };

  const make = (name, attributes, parent) =>
    parent.appendChild(assign(document.createElementNS(SVG, name), attributes));

  const html = (name, className, parent, text) => {
    const element = document.createElement(name);
    element.className = className;
    if (text) element.textContent = text;
    parent.appendChild(element);
    return element;
  };

  /* SHADES colours between the stops [[0, "rgb(..)"], ..., [1, "rgb(..)"]]. */
  function blended(stops) {
    const parsed = stops.map(([at, color]) => [at, color.match(/\d+/g).map(Number)]);
    return Array.from({ length: SHADES }, (_, k) => {
      const at = k / (SHADES - 1);
      const n = Math.max(1, parsed.findIndex((stop) => stop[0] >= at));
      const [a, from] = parsed[n - 1], [b, to] = parsed[n];
      const share = (at - a) / (b - a);
      return `rgb(${from.map((v, i) => Math.round(v + share * (to[i] - v))).join(",")})`;
    });
  }

  const shade = (share) => Math.max(0, Math.min(SHADES - 1, Math.round(share * (SHADES - 1))));

  function offsets(count, width) {
    if (count < 2) return Array(count).fill([0, 0]);
    const columns = Math.ceil(Math.sqrt(count * (width < 500 ? 0.7 : 1)));
    return Array.from({ length: count }, (_, n) =>
      [(n % columns) * TILE, -Math.floor(n / columns) * (TILE + TITLE)]);
  }

  function frame() {
    box = document.getElementById("map");
    if (!box || svg) return Boolean(box);
    svg = make("svg", { class: "map-drawing", "aria-hidden": "true" }, box);
    tip = html("div", "map-tip", box);
    const zoom = html("div", "map-zoom", box);
    for (const [text, label, act] of [["+", "larger", () => magnify(1.4)],
      ["−", "smaller", () => magnify(1 / 1.4)], ["⤢", "whole map", fit]]) {
      const button = html("button", "", zoom, text);
      button.setAttribute("aria-label", label);
      button.title = label;
      button.onclick = act;
    }
    bars = document.getElementById("map-legend");
    svg.addEventListener("pointermove", hover);
    svg.addEventListener("pointerleave", () => { tip.style.display = "none"; });
    svg.addEventListener("click", pick);
    svg.addEventListener("wheel", (event) => {
      event.preventDefault();
      magnify(event.deltaY < 0 ? 1.15 : 1 / 1.15, event.offsetX, event.offsetY);
    }, { passive: false });
    dragging();
    new ResizeObserver(fit).observe(box);
    return true;
  }

  /* Draw the grids of a choice; colours come with paint. */
  function show(newGeometry, visible) {
    if (!frame()) return;
    geometry = newGeometry;
    geometry.symbols.forEach(([kind, shape, color, label], n) => {
      const [dx, dy] = shape === "star" ? [-1, 1] : CORNERS[n % CORNERS.length];
      symbols[kind] = { path: SHAPES[shape], color, label, dx, dy };
    });
    shades = shades || { vm: blended(geometry.voltage), loading: blended(geometry.loading) };
    grids = visible.filter((g) => g.bus.length && g.x.length === g.bus.length);
    box.hidden = bars.hidden = !grids.length;
    svg.replaceChildren();
    items = [];
    const colors = geometry.colors, many = grids.length > 1;
    const layers = ["branches", "buses", "symbols", "names"].map((c) => make("g", { class: c }, svg));
    ring = make("circle", { class: "map-ring", r: 12, fill: "none", stroke: colors.ink,
      "stroke-width": 2.5, "stroke-dasharray": "4 2", visibility: "hidden" }, svg);
    offsets(grids.length, box.clientWidth).forEach(([ox, oy], n) => {
      const g = grids[n];
      const put = (layer, name, attributes, own) => {
        const item = { ...own, element: make(name, attributes, layers[layer]), shown: -1 };
        items.push(item);
        return item;
      };
      const at = (i) => [g.x[i] + ox, g.y[i] + oy];
      g.ends.forEach(([a, b], i) => {
        if (a < 0 || b < 0) return;
        const [kind, index] = g.branch[i];
        put(0, "line", { "stroke-linecap": "round" }, { kind: "branch", from: at(a), to: at(b),
          value: g.branch0 + i, full: g.full[i], id: `${kind}|${g.name}|${index}|${kind}`,
          label: `${kind} ${index} of ${g.name}` });
      });
      g.bus.forEach((bus, i) => {
        const r = many ? (g.bus.length > 60 ? 2.2 : 3.5) : g.bus.length > 60 ? 4.5 : 8;
        put(1, "circle", { r, stroke: colors.ink }, { kind: "bus", from: at(i), r,
          value: g.bus0 + i, low: g.low[i], high: g.high[i], id: `bus|${g.name}|${bus}|`,
          label: `bus ${bus} of ${g.name}`, edge: many ? 0.3 : 0.7 });
      });
      const symbol = (kind, place, id, label, own = {}) => {
        const { path, color, dx, dy } = symbols[kind];
        put(2, "path", { d: path, fill: color, stroke: colors.paper, "stroke-width": 1 },
          { kind: "symbol", from: place, dx: dx * BESIDE, dy: dy * BESIDE, id, label, ...own });
      };
      const agent = `agent|${g.name}|-1|`;
      if (many) {
        symbol("agent", [ox + 0.03, oy + 1.07], agent, `agent of ${g.title}`, { dx: 0, dy: 0 });
        const name = put(3, "text", { "font-size": 13, "dominant-baseline": "middle" },
          { kind: "name", from: [ox + 0.03, oy + 1.07], dx: 11, dy: 1, id: g.name,
            width: 8 * g.name.length, label: `choose ${g.title}` });
        name.element.textContent = g.name;
        return;
      }
      symbol("agent", at(g.head), agent, `agent of ${g.title}`);
      g.children.forEach(([child, i]) =>
        symbol("agent", at(i), `agent|${child}|-1|`, `agent of ${child}, supplied here`));
      g.devices.forEach(([kind, element, index, name, i]) => {
        if (kind in symbols) {
          symbol(kind, at(i), `${kind}|${g.name}|${index}|${element}`, `${name || kind} of ${g.name}`);
        }
      });
    });
    legend();
    fit();
    select(selected);
  }

  /* The whole map in the middle of its box. */
  function fit() {
    if (!items.length || !box.clientWidth) return;
    const x = items.map((i) => i.from[0]), y = items.map((i) => i.from[1]);
    const low = [Math.min(...x), Math.min(...y)], high = [Math.max(...x), Math.max(...y)];
    const room = 2 * (BESIDE + 14);
    const scale = Math.min((box.clientWidth - room) / (high[0] - low[0] || 1),
      (box.clientHeight - TOP - room) / (high[1] - low[1] || 1));
    view = { x: (low[0] + high[0]) / 2, y: (low[1] + high[1]) / 2, scale, fit: scale };
    place();
  }

  function magnify(factor, px = box.clientWidth / 2, py = middleY()) {
    const scale = Math.max(view.fit / 2, Math.min(view.fit * 60, view.scale * factor));
    const dx = (px - box.clientWidth / 2), dy = (py - middleY());
    view.x += dx / view.scale - dx / scale;
    view.y -= dy / view.scale - dy / scale;
    view.scale = scale;
    place();
  }

  function dragging() {
    let last = null;
    svg.addEventListener("pointerdown", (event) => {
      svg.dataset.dragged = ""; // a drag may have ended outside, without a click
      if (event.pointerType === "mouse") last = { x: event.clientX, y: event.clientY, moved: 0 };
    });
    window.addEventListener("pointermove", (event) => {
      if (!last) return;
      const dx = event.clientX - last.x, dy = event.clientY - last.y;
      last = { x: event.clientX, y: event.clientY, moved: last.moved + Math.abs(dx) + Math.abs(dy) };
      svg.dataset.dragged = last.moved > 5 ? "1" : "";
      view.x -= dx / view.scale;
      view.y += dy / view.scale;
      place();
    });
    window.addEventListener("pointerup", () => { last = null; });
  }

  const middleY = () => TOP + (box.clientHeight - TOP) / 2;

  const screen = (at) => [
    (at[0] - view.x) * view.scale + box.clientWidth / 2,
    (view.y - at[1]) * view.scale + middleY(),
  ];

  function place() {
    for (const item of items) {
      const [x, y] = screen(item.from), e = item.element;
      item.x = x + (item.dx || 0);
      item.y = y + (item.dy || 0);
      if (item.kind === "branch") {
        const [x2, y2] = screen(item.to);
        Object.assign(item, { x2, y2, middle: [(x + x2) / 2, (y + y2) / 2] });
        assign(e, { x1: x, y1: y, x2, y2 });
      } else {
        item.middle = [item.x, item.y];
        assign(e, item.kind === "bus" ? { cx: x, cy: y }
          : { transform: `translate(${item.x},${item.y})` });
      }
    }
    select(selected);
  }

  /* Colour every bus and branch by the values of an interval. */
  function paint(vm, loading, newScales) {
    if (!items.length || !vm) return;
    if (newScales.half !== scales.half || newScales.top !== scales.top) {
      scales = newScales;
      legend();
    }
    const { half, top } = scales, many = grids.length > 1, tolerance = geometry.tolerance;
    for (const item of items) {
      if (item.kind === "bus") {
        const v = vm[item.value];
        const bad = (item.low !== null && v < item.low - tolerance) ||
          (item.high !== null && v > item.high + tolerance);
        const color = isNaN(v) ? -2 : shade((v - 1 + half) / (2 * half));
        item.text = isNaN(v) ? "no value" : `${v.toFixed(4)} p.u.${bad ? ", beyond its limit" : ""}`;
        if (color !== item.shown) {
          item.element.setAttribute("fill", color < 0 ? geometry.colors.missing : shades.vm[color]);
          item.shown = color;
        }
        if (bad !== item.bad) {
          item.element.setAttribute("stroke-width", bad ? 3 : item.edge);
          item.bad = bad;
        }
      } else if (item.kind === "branch") {
        const value = loading[item.value];
        const over = value > item.full * (1 + tolerance);
        const color = isNaN(value) ? -2 : over ? SHADES : shade(value / top);
        item.text = item.full === null ? "no rating" : isNaN(value) ? "no value"
          : `${value.toFixed(1)} % loaded${over ? `, beyond its limit of ${item.full} %` : ""}`;
        if (color !== item.shown) {
          const c = geometry.colors;
          const share = Math.max(0, Math.min(1, color / SHADES));
          item.element.setAttribute("stroke",
            color < 0 ? c.missing : over ? c.over : shades.loading[color]);
          item.element.setAttribute("stroke-width", (many ? 1.2 : 2) + (many ? 2.3 : 5) * share);
          item.shown = color;
        }
      }
    }
  }

  function legend() {
    const bar = (title, low, middle, high, stops) => {
      const part = html("div", "scale", bars);
      html("div", "scale-title", part, title);
      html("div", "scale-bar", part).style.background =
        `linear-gradient(to right, ${stops.map(([at, c]) => `${c} ${100 * at}%`).join(", ")})`;
      const ticks = html("div", "scale-ticks", part);
      for (const text of [low, middle, high]) html("span", "", ticks, text);
    };
    bars.replaceChildren();
    const { half, top } = scales;
    bar("bus voltage in p.u.", (1 - half).toFixed(3), "1.000", (1 + half).toFixed(3), geometry.voltage);
    bar("branch loading in %", "0", `${top / 2}`, `${top}`, geometry.loading);
    const signs = html("div", "signs", bars);
    for (const [kind, { path, color, label }] of Object.entries(symbols)) {
      const drawn = items.some((i) => i.kind === "symbol" && i.id.startsWith(`${kind}|`));
      if (!drawn) continue;
      const sign = html("span", "sign", signs);
      const picture = make("svg", { width: 18, height: 18, viewBox: "-9 -9 18 18" }, sign);
      make("path", { d: path, fill: color }, picture);
      sign.append(label);
    }
    html("span", "sign", signs, "thick outline, black: beyond a limit; grey: no rating");
  }

  function distance(item, x, y) {
    if (item.kind === "name") {
      return Math.hypot(Math.max(item.x - x, x - item.x - item.width, 0), item.y - y) - 6;
    }
    if (item.kind !== "branch") return Math.hypot(item.x - x, item.y - y) - 4;
    const dx = item.x2 - item.x, dy = item.y2 - item.y;
    const share = ((x - item.x) * dx + (y - item.y) * dy) / (dx * dx + dy * dy || 1);
    const at = Math.max(0, Math.min(1, share));
    return Math.hypot(item.x + at * dx - x, item.y + at * dy - y) + 2; // buses come first
  }

  function nearest(event) {
    const { left, top } = svg.getBoundingClientRect();
    const x = event.clientX - left, y = event.clientY - top;
    let found = null, least = REACH;
    for (const item of items) {
      const away = distance(item, x, y);
      if (away < least) {
        least = away;
        found = item;
      }
    }
    return found;
  }

  function hover(event) {
    const item = nearest(event);
    svg.style.cursor = item ? "pointer" : "grab";
    tip.style.display = item && item.label ? "block" : "none";
    if (!item) return;
    tip.textContent = item.label + (item.text ? `: ${item.text}` : "");
    const left = Math.min(item.x + 14, box.clientWidth - tip.offsetWidth - 4);
    tip.style.left = `${Math.max(0, left)}px`;
    tip.style.top = `${Math.max(0, item.y - 34)}px`;
  }

  function pick(event) {
    if (svg.dataset.dragged) {
      svg.dataset.dragged = "";
      return;
    }
    const item = nearest(event);
    if (!item) return;
    if (item.kind === "name") window.dash_clientside.set_props("grid", { data: item.id });
    else window.dash_clientside.set_props("picked", { data: { id: item.id, at: Date.now() } });
  }

  /* Draw a ring around an element. */
  function select(id) {
    selected = id;
    if (!ring) return;
    const item = id && items.find((i) => i.id === id);
    ring.setAttribute("visibility", item ? "visible" : "hidden");
    if (item) assign(ring, { cx: item.middle[0], cy: item.middle[1] });
  }

  /* Position of an element on the page, and its colour. */
  function find(id) {
    const item = items.find((i) => i.id === id);
    if (!item) return null;
    const { left, top } = svg.getBoundingClientRect();
    return {
      x: left + item.middle[0],
      y: top + item.middle[1],
      color: item.element.getAttribute(item.kind === "branch" ? "stroke" : "fill"),
      text: item.text || "",
    };
  }

  window.stackelgridMap = { show, paint, select, find };
})();
