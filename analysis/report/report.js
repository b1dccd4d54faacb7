"use strict";
// Draw a figure when it comes near the window; choices and sliders change what it shows. Before
// printing all figures outside closed parts are drawn for paper: light, and as wide as the page.
(() => {
  const NARROW = 600; // px
  const PAPER = { width: 690, height: 900 }; // px of a printed page (A4)
  const plots = [...document.querySelectorAll(".plot")];
  const theme = JSON.parse(document.getElementById("theme").textContent);
  const scales = new Map(theme.scales.map(([light, dark]) => [scaleKey(light), dark]));
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const waiting = new Set(plots); // not drawn, or not as they would be drawn now
  const shown = new Map(); // by plot: number of the chosen figure, its content, its frame

  function scaleKey(stops) {
    return stops.map(([at, color]) => `${Number(at).toFixed(3)} ${color}`).join();
  }

  function control(div, name) {
    return document.querySelector(`[data-${name}="${div.id}"]`);
  }

  // the chosen figure of a plot, parsed once
  function content(div) {
    const choice = control(div, "choice");
    const number = choice ? Number(choice.value) : 0;
    if (!shown.has(div) || shown.get(div).number !== number) {
      const element = document.querySelectorAll(`script[data-for="${div.id}"]`)[number];
      const figure = JSON.parse(element.textContent);
      const slider = (figure.layout.sliders || [{}])[0];
      shown.set(div, { number, element, figure, slider, frame: slider.active || 0 });
      delete figure.layout.sliders; // the page has its own
      delete figure.layout.updatemenus;
    }
    return shown.get(div);
  }

  // a copy of the figure to draw, with the values of its frame
  function specification(div) {
    const { figure, frame } = content(div);
    const { frames = [], ...own } = figure;
    const copy = structuredClone(own);
    const { data = [], traces = [], layout = {} } = structuredClone(frames[frame] || {});
    data.forEach((change, k) => merge(copy.data[traces.length ? traces[k] : k], change));
    merge(copy.layout, layout);
    return copy;
  }

  function merge(into, change) {
    for (const [key, value] of Object.entries(change)) {
      const plain = value && typeof value === "object" && !Array.isArray(value) && !value.bdata;
      if (plain && into[key] && typeof into[key] === "object") merge(into[key], value);
      else into[key] = value;
    }
  }

  // colours of a dark page, wherever a figure names colours
  function darken(value, key = "") {
    if (Array.isArray(value)) {
      if (!key.endsWith("colorscale")) return value.map((part) => darken(part, key));
      return scales.get(scaleKey(value)) || value.map(([at, color]) => [at, darkColor(color)]);
    }
    if (value && typeof value === "object") {
      for (const [name, part] of Object.entries(value)) {
        if (name !== "bdata") value[name] = darken(part, /color/i.test(name) ? name : key && "");
      }
      return value;
    }
    if (typeof value !== "string") return value;
    return key ? darkColor(value) : value.replace(/color:(#[0-9a-f]{6})/g, (_, hex) =>
      `color:${darkColor(hex)}`); // texts with colours of their own
  }

  function darkColor(color) {
    const rgba = color.match(/^rgba\((\d+), ?(\d+), ?(\d+), ?([\d.]+)\)$/);
    if (!rgba) return theme.colors[color.toLowerCase()] || color;
    const hex = rgba.slice(1, 4).map((part) => Number(part).toString(16).padStart(2, "0"));
    const found = theme.colors[`#${hex.join("")}`];
    if (!found) return color;
    const parts = [1, 3, 5].map((at) => parseInt(found.slice(at, at + 2), 16));
    return `rgba(${parts.join()},${rgba[4]})`;
  }

  // a legend wraps into many rows on a phone: the figure grows instead of being squeezed
  function roomForLegend(data, layout) {
    const entries = data.filter((trace) => trace.showlegend !== false && trace.name).length;
    if (layout.showlegend !== false && entries >= 4) layout.height += 10 * entries;
  }

  function draw(div, { paper = false } = {}) {
    if (paper) waiting.add(div); // the page draws it again for the screen
    else waiting.delete(div);
    const { data, layout, config } = specification(div);
    const wide = !div.closest("figure").classList.contains("narrow");
    const width = paper ? PAPER.width * (wide ? 1 : 0.47) : div.clientWidth;
    layout.autosize = !paper;
    layout.height = layout.height || 360;
    delete layout.width;
    if (width < NARROW) {
      layout.font = { ...layout.font, size: 11 };
      layout.margin = { ...layout.margin, l: Math.min(44, layout.margin.l), r: 10 };
    }
    for (const trace of data) { // labels that need more room than there is
      if (!trace.meta || !(trace.meta.textFrom > width)) continue;
      if (trace.mode === "text") trace.visible = false;
      else trace.mode = trace.mode.replace("+text", "");
    }
    if (paper) {
      layout.width = width;
      layout.height = Math.min(PAPER.height, layout.height);
      config.responsive = false;
    } else if (window.innerWidth < NARROW) {
      config.displayModeBar = false;
      layout.dragmode = false; // a finger scrolls the page
      roomForLegend(data, layout);
    }
    if (dark.matches && !paper) {
      layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: "#8b949e", activecolor: "#e8e8e8" };
      darken(data);
      darken(layout);
    }
    div.style.height = `${layout.height}px`;
    Plotly.react(div, data, layout, config);
    describe(div);
    document.documentElement.dataset.drawn = waiting.size ? "" : "all";
  }

  // description, note and slider of what a plot shows
  function describe(div) {
    const { element, figure, slider, frame } = content(div);
    div.setAttribute("aria-label", element.dataset.description);
    const note = div.parentElement.querySelector(".note[data-of]");
    if (note) note.textContent = element.dataset.note;
    const input = control(div, "frames");
    if (!input) return;
    const frames = figure.frames || [];
    const label = (slider.currentvalue && slider.currentvalue.prefix) || "";
    input.parentElement.hidden = !frames.length;
    if (!frames.length) return;
    input.max = frames.length - 1;
    input.value = frame;
    input.previousElementSibling.textContent = label;
    input.nextElementSibling.textContent = frames[frame].name;
    input.setAttribute("aria-valuetext", frames[frame].name);
  }

  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting && waiting.has(target)) draw(target);
    }
  }, { rootMargin: "500px" });

  // draw plots again, each when it comes near the window
  function renew(chosen) {
    for (const div of chosen) {
      waiting.add(div);
      near.unobserve(div);
      near.observe(div);
    }
  }

  for (const select of document.querySelectorAll("[data-choice]")) {
    select.addEventListener("change", () => draw(document.getElementById(select.dataset.choice)));
  }
  for (const input of document.querySelectorAll("[data-frames]")) {
    input.addEventListener("input", () => {
      const div = document.getElementById(input.dataset.frames);
      content(div).frame = Number(input.value);
      draw(div);
    });
  }
  window.addEventListener("beforeprint", () => {
    for (const div of plots) if (!div.closest("details:not([open])")) draw(div, { paper: true });
  });
  window.addEventListener("afterprint", () => renew(plots));
  dark.addEventListener("change", () => renew(plots.filter((div) => !waiting.has(div))));
  renew(plots);
})();
