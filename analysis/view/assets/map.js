/* Maps of grids as SVG: drawn once for a choice of grids, then only coloured.

   Elements are found by distance, not by the browser's hit test: a finger is wide, a line is thin. */
(function () {
  "use strict";

  const { assign, make, html } = window.stackelgridDom;
  const { TITLE, free, offsets, pitch, span, weight } = window.stackelgridLayout;
  const { SHADES, blended } = window.stackelgridLegend;
  const REACH = 14; // px from the pointer to the chosen element
  const TOP = 36; // px above the map for its buttons
  const BESIDE = 4, EDGE = 25; // px: from a bus to the symbols beside it; around a map
  const STRETCH = 4; // most by which rows of a tree are further apart than its columns
  const RADIUS = 0.34, SMALL = 1.8, LARGE = 8; // of a bus: share of the distance of buses, px
  const NEAR = 0.05; // share of it by which a bus is chosen before a branch, at most 4 px
  const SHAPES = {
    diamond: "M0-5 5 0 0 5-5 0Z",
    triangle: "M0-5 5 4-5 4Z",
    square: "M-4-4H4V4H-4Z",
    star: "M0-8 2-2.6 7.6-2.5 3.1 1 4.7 6.5 0 3.2-4.7 6.5-3.1 1-7.6-2.5-2-2.6Z",
  };

  let box = null, svg = null, tip = null, ring = null, bars = null, texts = null;
  let geometry = null, grids = [], items = [], selected = null;
  let symbols = {}; // by kind
  let view = { x: 0, y: 0, scale: 1, fit: 1, stretch: 1 };
  let scales = { half: 0.01, top: 100 }, shades = null, painted = null;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  const shade = (share) => Math.max(0, Math.min(SHADES - 1, Math.round(share * (SHADES - 1))));

  const stops = () => geometry.scales[dark.matches ? "dark" : "light"];

  function renew() {
    shades = { vm: blended(stops().voltage), loading: blended(stops().loading) };
  }

  /* Colour the map for a page that has become dark or light. */
  dark.addEventListener("change", () => {
    if (!painted) return;
    renew();
    items.forEach((item) => { item.shown = -1; });
    legend();
    paint(...painted);
  });

  /* The scales, and the symbols of kinds that are drawn. */
  function legend() {
    const drawn = Object.entries(symbols).filter(([kind]) =>
      items.some((i) => i.kind === "symbol" && i.id.startsWith(`${kind}|`)));
    window.stackelgridLegend.legend(bars, scales, stops(), drawn.map(([, symbol]) => symbol));
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
      symbols[kind] = { path: SHAPES[shape], color, label, slot: n };
    });
    renew();
    grids = visible.filter((g) => g.bus.length && g.x.length === g.bus.length);
    box.hidden = bars.hidden = !grids.length;
    svg.replaceChildren();
    items = [];
    const many = grids.length > 1;
    const layers = ["branches", "buses", "symbols", "names", "numbers"].map((c) =>
      make("g", { class: c }, svg));
    texts = layers[4];
    ring = make("circle", { class: "map-ring", r: 12, fill: "none", "stroke-width": 2.5,
      "stroke-dasharray": "4 2", visibility: "hidden" }, svg);
    offsets(grids.length, box.clientWidth, box.clientHeight - TOP).forEach(([ox, oy], n) => {
      const g = grids[n];
      const put = (layer, name, attributes, own) => {
        const item = { ...own, element: make(name, attributes, layers[layer]), shown: -1 };
        items.push(item);
        return item;
      };
      const up = many && g.tree ? Math.min(STRETCH, 1 / (span(g.y) || 1)) : 1; // a tile is square
      const places = g.x.map((x, i) => [x + ox, (g.y[i] - 0.5) * up + 0.5 + oy]);
      const at = (i) => places[i], apart = pitch(places, g.ends);
      const weights = weight(g, symbols);
      g.ends.forEach(([a, b], i) => {
        if (a < 0 || b < 0) return;
        const [kind, index] = g.branch[i];
        put(0, "line", { "stroke-linecap": "round" }, { kind: "branch", from: at(a), to: at(b), apart,
          value: g.branch0 + i, full: g.full[i], id: `${kind}|${g.name}|${index}|${kind}`,
          label: `${kind} ${index} of ${g.name}` });
      });
      g.bus.forEach((bus, i) => {
        const called = g.names[i] ? ` (${g.names[i]})` : "";
        put(1, "circle", {}, { kind: "bus", from: at(i), r: 4, apart, weight: weights[i],
          value: g.bus0 + i, low: g.low[i], high: g.high[i], id: `bus|${g.name}|${bus}|`,
          label: `bus ${bus}${called} of ${g.name}`, name: String(bus), side: g.sides[i],
          edge: many ? 0.3 : 0.7 });
      });
      const symbol = (kind, place, id, label, own = {}) => {
        const { path, color } = symbols[kind];
        put(2, "path", { d: path, fill: color, "stroke-width": 1 },
          { kind: "symbol", from: place, corner: [-1, 1], apart, id, label, ...own });
      };
      const agent = `agent|${g.name}|-1|`;
      if (many) {
        symbol("agent", [ox + 0.03, oy + 1 + 0.6 * TITLE], agent, `agent of ${g.title}`, { corner: null });
        const name = put(3, "text", { "font-size": 13, "dominant-baseline": "middle" },
          { kind: "name", from: [ox + 0.03, oy + 1 + 0.6 * TITLE], dx: 11, dy: 1, id: g.name,
            width: 8 * g.name.length, label: `choose ${g.title}` });
        name.element.textContent = g.name;
        return;
      }
      symbol("agent", at(g.head), agent, `agent of ${g.title}`);
      g.children.forEach(([child, i]) =>
        symbol("agent", at(i), `agent|${child}|-1|`, `agent of ${child}, supplied here`));
      const used = g.bus.map(() => new Set());
      g.devices.forEach(([kind, element, index, name, i]) => {
        if (kind in symbols) {
          const corner = free(used[i], symbols[kind].slot);
          symbol(kind, at(i), `${kind}|${g.name}|${index}|${element}`, `${name || kind} of ${g.name}`,
            { corner, bus: `bus|${g.name}|${g.bus[i]}|` });
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
    const room = 2 * EDGE, wide = box.clientWidth - room;
    const tall = box.clientHeight - TOP - room, across = high[0] - low[0] || 1;
    const up = high[1] - low[1] || 1, tree = grids.length === 1 && grids[0].tree;
    const stretch = tree ? Math.max(1, Math.min(STRETCH, tall / wide * across / up)) : 1;
    const scale = Math.min(wide / across, tall / (up * stretch));
    view = { x: (low[0] + high[0]) / 2, y: (low[1] + high[1]) / 2, scale, fit: scale, stretch };
    zoomed();
    place();
  }

  function magnify(factor, px = box.clientWidth / 2, py = middleY()) {
    const scale = Math.max(view.fit / 2, Math.min(view.fit * 60, view.scale * factor));
    const dx = (px - box.clientWidth / 2), dy = (py - middleY());
    view.x += dx / view.scale - dx / scale;
    view.y -= (dy / view.scale - dy / scale) / view.stretch;
    view.scale = scale;
    zoomed();
    place();
  }

  /* A finger scrolls the page, on a magnified map it moves the map. */
  const zoomed = () => {
    box.style.touchAction = view.scale > 1.01 * view.fit ? "none" : "";
  };

  function dragging() {
    let last = null;
    svg.addEventListener("pointerdown", (event) => {
      svg.dataset.dragged = ""; // a drag may have ended outside, without a click
      const moves = event.pointerType === "mouse" || box.style.touchAction;
      if (moves) last = { x: event.clientX, y: event.clientY, moved: 0 };
    });
    window.addEventListener("pointermove", (event) => {
      if (!last) return;
      const dx = event.clientX - last.x, dy = event.clientY - last.y;
      last = { x: event.clientX, y: event.clientY, moved: last.moved + Math.abs(dx) + Math.abs(dy) };
      svg.dataset.dragged = last.moved > 5 ? "1" : "";
      view.x -= dx / view.scale;
      view.y += dy / (view.scale * view.stretch);
      place();
    });
    window.addEventListener("pointerup", () => { last = null; });
  }

  const middleY = () => TOP + (box.clientHeight - TOP) / 2;

  const screen = (at) => [
    (at[0] - view.x) * view.scale + box.clientWidth / 2,
    (view.y - at[1]) * view.scale * view.stretch + middleY(),
  ];

  function place() {
    for (const item of items) {
      const [x, y] = screen(item.from), e = item.element;
      if (item.apart) {
        item.pitch = item.apart * view.scale;
        item.r = Math.max(SMALL, Math.min(LARGE, RADIUS * item.pitch));
      }
      const [right, down] = item.corner || [0, 0], away = BESIDE + item.r;
      item.x = x + (item.dx || right * away || 0);
      item.y = y + (item.dy || down * away || 0);
      if (item.kind === "branch") {
        const [x2, y2] = screen(item.to);
        Object.assign(item, { x2, y2, middle: [(x + x2) / 2, (y + y2) / 2] });
        assign(e, { x1: x, y1: y, x2, y2 });
      } else {
        item.middle = [item.x, item.y];
        if (item.kind === "bus") {
          assign(e, { cx: x, cy: y, r: item.r });
        } else assign(e, { transform: `translate(${item.x},${item.y})` });
      }
    }
    select(selected);
  }

  /* Colour every bus and branch by the values of an interval. */
  function paint(vm, loading, newScales) {
    if (!items.length || !vm) return;
    painted = [vm, loading, newScales];
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

  function distance(item, x, y) {
    if (item.kind === "name") {
      return Math.hypot(Math.max(item.x - x, x - item.x - item.width, 0), item.y - y) - 6;
    }
    if (item.kind === "symbol") return Math.hypot(item.x - x, item.y - y) - 4;
    if (item.kind === "bus") return Math.hypot(item.x - x, item.y - y) - item.r;
    const dx = item.x2 - item.x, dy = item.y2 - item.y;
    const share = ((x - item.x) * dx + (y - item.y) * dy) / (dx * dx + dy * dy || 1);
    const at = Math.max(0, Math.min(1, share));
    return Math.hypot(item.x + at * dx - x, item.y + at * dy - y) +
      Math.min(4, NEAR * item.pitch); // buses come first
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
    const item = id && items.find((i) => i.id === id), bus = item && item.bus ? item.bus : id;
    window.stackelgridLabels.place(texts, items, box.clientWidth, box.clientHeight, bus);
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
