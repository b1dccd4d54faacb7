/* Part of the page that needs no request to the server: it keeps the values of the run, and paints
   maps.

   Values arrive as chunks (float32, base64) in the order of the geometry; a chunk replaces
   everything from its first interval on. */
(function () {
  "use strict";

  const SETTLE_MS = 200;
  const vm = [], loading = [], exchange = []; // one Float32Array an interval, all grids
  const states = [], marks = []; // one text an interval, with a character for each grid
  let range = {}; // by grid: largest distance from 1 p.u., largest loading
  let drawn = null; // choice of grids on the map
  let offered = { choice: null, has: () => false }; // elements that can be chosen
  let middle = null, settling = 0, marking = 0; // time of the interval shown; timers
  let settled = null; // interval reported to the server
  let live = false; // whether the run was running when the page was loaded
  let following = true; // whether the page shows the newest interval

  const nothing = () => window.dash_clientside.no_update;
  const triggerId = () => {
    const trigger = window.dash_clientside.callback_context.triggered[0];
    return trigger ? trigger.prop_id : "";
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

  /* Interval around a local time as Plotly writes it. */
  function intervalAt(geometry, text) {
    // not in the browser's zone, whose clocks may change in between; a date alone is read as UTC
    const at = (t) => Date.parse(t.length > 10 ? `${t.replace(" ", "T")}Z` : t), wanted = at(text);
    const away = geometry.middles.map((t) => Math.abs(at(t) - wanted));
    return away.indexOf(Math.min(...away));
  }

  /* The line at the interval shown, over the figures that run over time. */
  function markTime() {
    for (const box of document.querySelectorAll(".timed")) {
      const graph = box.querySelector(".js-plotly-plot"), line = box.querySelector(".time-line");
      if (!graph || !graph.on) { // not drawn yet
        clearTimeout(marking);
        marking = setTimeout(markTime, 100);
        continue;
      }
      if (!graph.dataset.timed) { // figures are drawn again, resized and zoomed
        graph.dataset.timed = "1";
        graph.on("plotly_afterplot", markTime);
      }
      const layout = graph._fullLayout, axis = layout && layout.xaxis;
      if (!axis || !axis.d2p || !middle || !(graph.data || []).length) {
        line.style.display = "none";
        continue;
      }
      const size = layout._size, x = axis.d2p(middle);
      line.style.display = x >= 0 && x <= axis._length ? "block" : "none";
      line.style.left = `${size.l + x}px`;
      line.style.top = `${size.t}px`;
      line.style.height = `${size.h}px`;
    }
  }

  /* Report the shown interval to the server once it has been shown for a moment. */
  function settle(k) {
    clearTimeout(settling);
    if (k === settled) return;
    settling = setTimeout(() => {
      settled = k;
      window.dash_clientside.set_props("settled", { data: k });
    }, SETTLE_MS);
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
    theme() {
      const dark = window.matchMedia("(prefers-color-scheme: dark)");
      dark.onchange = () => window.dash_clientside.set_props("dark", { data: dark.matches });
      return dark.matches;
    },

    take(chunk, geometry) {
      if (!chunk) return [nothing(), nothing()];
      if (chunk.revision !== geometry.revision) { // another run, or the first interval is there
        window.location.reload();
        return [nothing(), nothing()];
      }
      live = live || chunk.running;
      if (chunk.first < vm.length) range = {};
      for (const values of [vm, loading, exchange, states, marks]) {
        values.length = Math.min(chunk.first, values.length);
      }
      if (chunk.first > vm.length) return [vm.length, nothing()]; // a chunk was lost: request it again
      const volts = decoded(chunk.vm_pu, geometry.buses);
      const shares = decoded(chunk.loading_percent, geometry.branches);
      const from = Object.keys(range).length ? vm.length : 0;
      volts.forEach((row) => vm.push(row));
      shares.forEach((row) => loading.push(row));
      exchange.push(...decoded(chunk.exchange_mw, geometry.grids.length));
      states.push(...chunk.states);
      marks.push(...chunk.marks);
      widen(geometry, from);
      return [vm.length, Math.max(vm.length - 1, 0)];
    },

    paint(k, choice, done, geometry) {
      const at = Math.min(k, vm.length - 1), tree = window.stackelgridTree;
      tree.show(geometry);
      if (settled === null) settled = geometry.settled;
      if (at < 0) return "no interval yet";
      const map = window.stackelgridMap, grids = visible(geometry, choice);
      if (drawn !== choice) {
        map.show(geometry, grids);
        tree.select(choice);
        drawn = choice;
      }
      map.paint(vm[at], loading[at], scales(grids));
      tree.paint({ vm: vm[at], exchange: exchange[at], states: states[at], marks: marks[at] });
      middle = geometry.middles[at];
      markTime();
      settle(at);
      following = at === vm.length - 1;
      const thumb = document.querySelector("#interval [role=slider]");
      if (thumb) {
        thumb.setAttribute("aria-label", "interval");
        thumb.setAttribute("aria-valuetext", geometry.labels[at]);
      }
      return `${geometry.labels[at]} (interval ${at})`;
    },

    move(done, tick, back, on, cell, k, geometry) {
      const last = vm.length - 1, why = triggerId();
      if (last < 0) return nothing();
      if (why.startsWith("done")) return following && live ? last : nothing();
      if (why.startsWith("play")) return k >= last ? 0 : k + 1;
      if (why.startsWith("previous")) return Math.max(0, k - 1);
      if (why.startsWith("next")) return Math.min(last, k + 1);
      if (why.startsWith("strip") && cell) return intervalAt(geometry, cell.points[0].x);
      return nothing();
    },

    play(clicks, stopped) {
      if (!clicks) return [nothing(), nothing(), nothing()];
      return stopped ? [false, "⏸ Pause", "true"] : [true, "▶ Play", "false"];
    },

    choose: (cell) => (cell ? cell.points[0].y : nothing()),

    select(picked, element, choice, geometry) {
      const why = triggerId();
      let chosen = element;
      if (why.startsWith("picked") && picked) {
        chosen = picked.id;
      } else if (!why.startsWith("element") || !element) {
        const own = element && element.split("|")[1];
        const grids = visible(geometry, choice);
        if (!grids.length) return [nothing(), [], null];
        if (!grids.some((g) => g.name === own)) chosen = `agent|${grids[0].name}|-1|`;
      }
      window.stackelgridMap.select(chosen);
      if (offered.choice !== choice || !offered.has(chosen)) {
        const options = elements(geometry, choice, chosen);
        offered = { choice, has: (id) => options.some((o) => o.value === id) };
        return [chosen, options, chosen];
      }
      return [chosen, nothing(), chosen]; // a list of hundreds takes long to build
    },
  };
})();
