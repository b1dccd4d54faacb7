"use strict";
// Draw figures one after the other, so that the page can be read meanwhile; before printing draw
// the figures of the print and fit them to the paper.
(() => {
  const NARROW = 600; // px
  const plots = [...document.querySelectorAll(".plot")];
  const waiting = new Set(plots);

  function specification(div) {
    const element = document.querySelector(`script[data-for="${div.id}"]`);
    return JSON.parse(element.textContent);
  }

  // a legend wraps into many rows on a phone: the figure grows instead of being squeezed
  function roomForLegend(div, data, layout) {
    const entries = data.filter((trace) => trace.showlegend !== false && trace.name).length;
    if (layout.showlegend === false || entries < 4) return;
    layout.height += 10 * entries;
    div.style.height = `${layout.height}px`;
  }

  function draw(div) {
    if (!waiting.delete(div)) return;
    const { data, layout, config } = specification(div);
    delete layout.width;
    layout.autosize = true;
    layout.height = div.clientHeight;
    if (div.clientWidth < NARROW) {
      layout.font = { ...layout.font, size: 11 };
      layout.margin = { ...layout.margin, l: 44, r: 10 };
    }
    if (window.innerWidth < NARROW) {
      config.displayModeBar = false;
      layout.dragmode = false; // a finger scrolls the page
      roomForLegend(div, data, layout);
    }
    Plotly.newPlot(div, data, layout, config);
  }

  function next() {
    const [div] = waiting;
    if (div === undefined) {
      document.documentElement.dataset.drawn = "all";
      return;
    }
    draw(div);
    setTimeout(next, 0);
  }

  window.addEventListener("beforeprint", () => {
    for (const div of plots) {
      draw(div);
      const share = div.closest("figure").classList.contains("narrow") ? 0.47 : 1;
      Plotly.relayout(div, { width: 690 * share, autosize: false });
    }
  });
  window.addEventListener("afterprint", () => {
    for (const div of plots) Plotly.relayout(div, { width: null, autosize: true });
  });
  next();
})();
