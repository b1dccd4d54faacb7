/* What the page does without asking the server: it keeps the values of the run, and paints maps.

   Values arrive as chunks (float32, base64) in the order of the geometry; a chunk replaces
   everything from its first interval on. */
(function () {
  "use strict";

  const TILE = 1.16; // width of a grid among others; its own is 1
  const vm = [], loading = []; // one Float32Array an interval, all grids
  let range = {}; // by grid: largest distance from 1 p.u., largest loading
  let drawn = null; // what the map shows: {choice, grids, places, offset}
  let live = false; // whether the run was going on when the page was there
  let following = true; // whether the page shows the newest interval

  const nothing = () => window.dash_clientside.no_update;
  const asked = () => {
    const trigger = window.dash_clientside.callback_context.triggered[0];
    return trigger ? trigger.prop_id : "";
  };
  const plot = (id) => {
    const found = document.querySelector(`#${id} .js-plotly-plot`);
    return found && found._fullLayout && window.Plotly ? found : null;
  };

  function decoded(text, width) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const all = new Float32Array(bytes.buffer);
    const rows = [];
    for (let k = 0; width && k < all.length; k += width) rows.push(all.subarray(k, k + width));
    return rows;
  }

  function widen(geometry, from) {
    for (const g of geometry.grids) {
      const r = (range[g.name] = range[g.name] || { vm: 0, loading: 0 });
      for (let k = from; k < vm.length; k++) {
        for (let i = g.bus0; i < g.bus0 + g.bus.length; i++) {
          const away = Math.abs(vm[k][i] - 1);
          if (away > r.vm) r.vm = away;
        }
        for (let i = g.branch0; i < g.branch0 + g.branch.length; i++) {
          if (loading[k][i] > r.loading) r.loading = loading[k][i];
        }
      }
    }
  }

  /* Colour ranges of the grids shown: symmetric about 1 p.u.; from 0 to a round loading. */
  function scales(grids) {
    const most = (key) => Math.max(0, ...grids.map((g) => (range[g.name] || {})[key] || 0));
    const half = Math.max(0.01, Math.ceil(most("vm") * 200 - 1e-9) / 200);
    const top = [5, 10, 20, 50, 100].find((v) => most("loading") <= v) || 100;
    return { half, top };
  }

  const visible = (geometry, choice) =>
    choice === geometry.all ? geometry.grids : geometry.grids.filter((g) => g.name === choice);

  /* Where each grid lies: one in the unit square, several as tiles. */
  function offsets(grids) {
    if (grids.length < 2) return [[0, 0]];
    const columns = Math.ceil(Math.sqrt(grids.length * (window.innerWidth < 600 ? 0.7 : 1)));
    return grids.map((_, n) => [(n % columns) * TILE, -Math.floor(n / columns) * (TILE + 0.14)]);
  }

  function places(grids, offset) {
    const at = { x: [], y: [], from: [], to: [] };
    grids.forEach((g, n) => {
      g.x.forEach((x, i) => {
        at.x.push(x + offset[n][0]);
        at.y.push(g.y[i] + offset[n][1]);
      });
    });
    return at;
  }

  const shown = (grids) => grids.filter((g) => g.x.length === g.bus.length && g.bus.length);

  /* Coordinates of the branches by shade of their loading, the overloaded last. */
  function branchLines(d, k, top, shades) {
    const bins = Array.from({ length: shades + 1 }, () => ({ x: [], y: [] }));
    const texts = [];
    d.grids.forEach((g, n) => {
      const [ox, oy] = d.offset[n];
      g.ends.forEach(([a, b], i) => {
        const value = loading[k] ? loading[k][g.branch0 + i] : NaN;
        texts.push(`${g.branch[i][0]} ${g.branch[i][1]} of ${g.name}: ` +
          (isNaN(value) ? "no value" : `${value.toFixed(1)} % loaded`));
        if (a < 0 || b < 0) return;
        const bin = value > 100 ? shades : Math.min(shades - 1, Math.floor(value / top * shades) || 0);
        bins[bin].x.push(g.x[a] + ox, g.x[b] + ox, null);
        bins[bin].y.push(g.y[a] + oy, g.y[b] + oy, null);
      });
    });
    return { bins, texts };
  }

  function busValues(d, k) {
    const values = [], texts = [], edges = [];
    d.grids.forEach((g) => {
      g.bus.forEach((bus, i) => {
        const v = vm[k] ? vm[k][g.bus0 + i] : NaN;
        const low = g.low[i], high = g.high[i];
        const bad = (low !== null && v < low - 1e-4) || (high !== null && v > high + 1e-4);
        values.push(isNaN(v) ? null : v);
        edges.push(bad ? 3 : d.grids.length > 1 ? 0.3 : 0.6);
        texts.push(`bus ${bus} of ${g.name}: ` + (isNaN(v) ? "no value" : `${v.toFixed(4)} p.u.`) +
          (bad ? " beyond its limit" : ""));
      });
    });
    return { values, texts, edges };
  }

  const midpoint = (d) => {
    const at = { x: [], y: [], id: [] };
    d.grids.forEach((g, n) => {
      const [ox, oy] = d.offset[n];
      g.ends.forEach(([a, b], i) => {
        at.x.push(a < 0 || b < 0 ? null : (g.x[a] + g.x[b]) / 2 + ox);
        at.y.push(a < 0 || b < 0 ? null : (g.y[a] + g.y[b]) / 2 + oy);
        at.id.push(`${g.branch[i][0]}|${g.name}|${g.branch[i][1]}|${g.branch[i][0]}`);
      });
    });
    return at;
  };

  /* Symbols beside the buses: batteries, PV, units, and the agents of grids. */
  function symbols(d, colors) {
    const one = d.grids.length === 1;
    const kinds = {
      battery: { name: "battery", symbol: "diamond", dx: 1, dy: 1 },
      pv: { name: "PV", symbol: "triangle-up", dx: -1, dy: 1 },
      unit: { name: "unit", symbol: "square", dx: 1, dy: -1 },
      agent: { name: "agent", symbol: "star", dx: -1, dy: -1 },
    };
    const step = 0.024;
    const traces = {};
    for (const [kind, s] of Object.entries(kinds)) {
      traces[kind] = {
        type: "scatter", mode: "markers", name: s.name, x: [], y: [], text: [], customdata: [],
        hovertemplate: "%{text}<extra></extra>", cliponaxis: false,
        marker: { symbol: s.symbol, size: kind === "agent" ? 13 : 8, color: colors[kind],
          line: { color: colors.paper, width: 1 } },
      };
    }
    const put = (kind, x, y, text, id) => {
      const t = traces[kind], s = kinds[kind];
      t.x.push(x + s.dx * step);
      t.y.push(y + s.dy * step);
      t.text.push(text);
      t.customdata.push(id);
    };
    d.grids.forEach((g, n) => {
      const [ox, oy] = d.offset[n];
      if (!one) {
        put("agent", 0.04 + ox, 1.07 + oy, `agent of ${g.title}`, `agent|${g.name}|-1|`);
        return;
      }
      const head = g.head;
      put("agent", g.x[head], g.y[head], `agent of ${g.title}`, `agent|${g.name}|-1|`);
      g.children.forEach(([child, i]) =>
        put("agent", g.x[i], g.y[i], `agent of ${child}, supplied here`, `agent|${child}|-1|`));
      g.devices.forEach(([kind, element, index, name, i]) => {
        if (kind in kinds) {
          put(kind, g.x[i], g.y[i], `${name || kind} of ${g.name}`,
            `${kind}|${g.name}|${index}|${element}`);
        }
      });
    });
    return Object.values(traces).filter((t) => t.x.length);
  }

  const bar = (title, x, ticks) => ({
    orientation: "h", x, xanchor: "center", y: -0.02, yanchor: "top", len: 0.46, thickness: 10,
    outlinewidth: 0.5, title: { text: title, side: "top", font: { size: 12 } }, ...ticks,
  });

  function figure(geometry, choice, k) {
    const grids = shown(visible(geometry, choice));
    const colors = geometry.colors, shades = geometry.loading.length;
    const base = geometry.layout;
    if (!grids.length || !vm.length) {
      drawn = null;
      return { data: [], layout: { ...base, xaxis: { visible: false }, yaxis: { visible: false } } };
    }
    const offset = offsets(grids);
    drawn = { choice, grids, offset };
    const at = places(grids, offset), { half, top } = scales(grids);
    drawn.half = half;
    drawn.top = top;
    const lines = branchLines(drawn, k, top, shades), buses = busValues(drawn, k);
    const mid = midpoint(drawn);
    const many = grids.length > 1, small = at.x.length > 60;
    const data = lines.bins.map((b, n) => ({
      type: "scatter", mode: "lines", x: b.x, y: b.y, hoverinfo: "skip", showlegend: false,
      line: { color: n < shades ? geometry.loading[n] : colors.over,
        width: (many ? 1.2 : 2) + (many ? 1.8 : 4) * n / shades },
    }));
    const step = [];
    geometry.loading.forEach((c, n) => step.push([n / shades, c], [(n + 1) / shades, c]));
    data.push({
      type: "scatter", mode: "markers", x: mid.x, y: mid.y, text: lines.texts, customdata: mid.id,
      hovertemplate: "%{text}<extra></extra>", showlegend: false,
      marker: { size: many ? 3 : 9, opacity: 0, color: mid.x.map(() => 0), cmin: 0, cmax: top,
        colorscale: step, colorbar: bar("branch loading in %", 0.76, { nticks: 6 }) },
    });
    const ids = [];
    grids.forEach((g) => g.bus.forEach((b) => ids.push(`bus|${g.name}|${b}|`)));
    data.push({
      type: "scatter", mode: "markers", x: at.x, y: at.y, text: buses.texts, customdata: ids,
      hovertemplate: "%{text}<extra></extra>", showlegend: false,
      marker: {
        size: many ? (at.x.length > 300 ? 5 : 7) : small ? 8 : 14, color: buses.values, cmin: 1 - half, cmax: 1 + half,
        colorscale: geometry.voltage, line: { color: colors.ink, width: buses.edges },
        colorbar: bar("bus voltage in p.u.", 0.24, { nticks: 5 }),
      },
    });
    data.push(...symbols(drawn, colors));
    const hidden = { visible: false };
    const columns = Math.max(...offset.map((o) => o[0])), rows = Math.min(...offset.map((o) => o[1]));
    const layout = {
      ...base,
      meta: choice, uirevision: choice, hovermode: "closest", dragmode: "pan",
      margin: { l: 8, r: 8, t: 30, b: 64 },
      showlegend: true,
      xaxis: { ...hidden, constrain: "domain", range: [-0.06, columns + 1.06] },
      yaxis: { ...hidden, scaleanchor: "x", constrain: "domain", range: [rows - 0.06, many ? 1.16 : 1.06] },
      annotations: many ? grids.map((g, n) => ({
        text: g.name, x: 0.06 + offset[n][0], y: 1.07 + offset[n][1], xanchor: "left",
        yanchor: "middle", showarrow: false, font: { size: 12 },
      })) : [],
    };
    return { data, layout };
  }

  /* Colours of another interval on the map that is there. */
  function recolour(geometry, k) {
    const map = plot("map");
    if (!drawn || !map || !map.layout || map.layout.meta !== drawn.choice) return;
    const shades = geometry.loading.length;
    const { half, top } = scales(drawn.grids);
    const lines = branchLines(drawn, k, top, shades), buses = busValues(drawn, k);
    const n = shades + 1; // traces of lines; then branches' texts, then buses
    const none = Array(n).fill(undefined);
    const change = {
      x: [...lines.bins.map((b) => b.x), undefined, undefined],
      y: [...lines.bins.map((b) => b.y), undefined, undefined],
      text: [...none, lines.texts, buses.texts],
      "marker.color": [...none, undefined, buses.values],
      "marker.line.width": [...none, undefined, buses.edges],
    };
    if (half !== drawn.half || top !== drawn.top) {
      drawn.half = half;
      drawn.top = top;
      change["marker.cmin"] = [...none, 0, 1 - half];
      change["marker.cmax"] = [...none, top, 1 + half];
    }
    window.Plotly.restyle(map, change, Array.from({ length: n + 2 }, (_, i) => i));
  }

  function markTime(geometry, k) {
    const x = geometry.middles[k];
    for (const id of ["series", "strip"]) {
      const found = plot(id);
      if (found && (found.layout.shapes || []).length && found.layout.shapes[0].x0 !== x) {
        window.Plotly.relayout(found, { "shapes[0].x0": x, "shapes[0].x1": x });
      }
    }
  }

  function elements(geometry, choice, selected) {
    const options = [];
    for (const g of visible(geometry, choice)) {
      options.push({ label: `agent of ${g.name}`, value: `agent|${g.name}|-1|` });
    }
    if (choice !== geometry.all) {
      for (const g of visible(geometry, choice)) {
        g.bus.forEach((b) => options.push({ label: `bus ${b}`, value: `bus|${g.name}|${b}|` }));
        g.branch.forEach(([e, i], n) => {
          const [a, b] = g.ends[n];
          const ends = a < 0 || b < 0 ? "" : ` (bus ${g.bus[a]} to ${g.bus[b]})`;
          options.push({ label: `${e} ${i}${ends}`, value: `${e}|${g.name}|${i}|${e}` });
        });
        g.devices.forEach(([kind, e, i, name, at]) => options.push({
          label: `${name || kind + " " + i} at bus ${g.bus[at]}`,
          value: `${kind}|${g.name}|${i}|${e}`,
        }));
      }
    }
    if (selected && !options.some((o) => o.value === selected)) {
      const [kind, grid, index] = selected.split("|");
      const label = kind === "agent" ? `agent of ${grid}` : `${kind} ${index} of ${grid}`;
      options.unshift({ label, value: selected });
    }
    return options;
  }

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.stackelgrid = {
    take(chunk, geometry) {
      if (!chunk) return [nothing(), nothing()];
      if (chunk.revision !== geometry.revision) { // another run, or the first interval is there
        window.location.reload();
        return [nothing(), nothing()];
      }
      live = live || chunk.running;
      if (chunk.first < vm.length) range = {};
      vm.length = loading.length = Math.min(chunk.first, vm.length);
      if (chunk.first > vm.length) return [vm.length, nothing()]; // a chunk was lost: ask again
      const volts = decoded(chunk.vm_pu, geometry.buses);
      const shares = decoded(chunk.loading_percent, geometry.branches);
      const from = Object.keys(range).length ? vm.length : 0;
      volts.forEach((row) => vm.push(row));
      shares.forEach((row) => loading.push(row));
      widen(geometry, from);
      return [vm.length, Math.max(vm.length - 1, 0)];
    },

    draw(choice, done, k, geometry) {
      const same = drawn && drawn.choice === choice;
      if (same && asked() === "done.data") return nothing(); // recolour does it
      return figure(geometry, choice, Math.min(k, vm.length - 1));
    },

    paint(k, done, geometry) {
      const at = Math.min(k, vm.length - 1);
      if (at < 0) return "no interval yet";
      recolour(geometry, at);
      markTime(geometry, at);
      following = at === vm.length - 1;
      const thumb = document.querySelector("#interval [role=slider]");
      if (thumb) {
        thumb.setAttribute("aria-label", "interval");
        thumb.setAttribute("aria-valuetext", geometry.labels[at]);
      }
      return `${geometry.labels[at]} (interval ${at + 1} of ${geometry.labels.length})`;
    },

    move(done, tick, back, on, cell, k) {
      const last = vm.length - 1, why = asked();
      if (last < 0) return nothing();
      if (why.startsWith("done")) return following && live ? last : nothing();
      if (why.startsWith("play")) return k >= last ? 0 : k + 1;
      if (why.startsWith("previous")) return Math.max(0, k - 1);
      if (why.startsWith("next")) return Math.min(last, k + 1);
      if (why.startsWith("strip") && cell) return cell.points[0].customdata[0];
      return nothing();
    },

    play(clicks, stopped) {
      if (!clicks) return [nothing(), nothing(), nothing()];
      return stopped ? [false, "⏸ Pause", "true"] : [true, "▶ Play", "false"];
    },

    choose: (cell) => (cell ? cell.points[0].y : nothing()),

    select(click, element, choice, geometry) {
      const why = asked();
      let chosen = element;
      if (why.startsWith("map") && click && click.points[0].customdata) {
        chosen = click.points[0].customdata;
      } else if (!why.startsWith("element") || !element) {
        const own = element && element.split("|")[1];
        const grids = visible(geometry, choice);
        if (!grids.length) return [nothing(), [], null];
        if (!grids.some((g) => g.name === own)) chosen = `agent|${grids[0].name}|-1|`;
      }
      return [chosen, elements(geometry, choice, chosen), chosen];
    },
  };
})();
