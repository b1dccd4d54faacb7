"use strict";
// Draw the figures of a notebook's page when they come near the window.
(() => {
  const NARROW = 600; // px

  function draw(div) {
    const element = document.querySelector(`script[data-for="${div.id}"]`);
    const { data, layout, config } = JSON.parse(element.textContent);
    delete layout.width;
    layout.autosize = true;
    layout.height = div.clientHeight;
    if (div.clientWidth < NARROW) {
      layout.font = { ...layout.font, size: 11 };
      layout.margin = { ...layout.margin, l: 44, r: 10 };
      config.displayModeBar = false;
      layout.dragmode = false; // a finger scrolls the page
      // a legend wraps into many rows: the figure grows instead of being squeezed
      const entries = data.filter((trace) => trace.showlegend !== false && trace.name).length;
      if (layout.showlegend !== false && entries >= 4) {
        layout.height += 10 * entries;
        div.style.height = `${layout.height}px`;
      }
    }
    Plotly.newPlot(div, data, layout, config);
  }

  const plots = new Set(document.querySelectorAll(".plot"));
  const drawOnce = (div) => plots.delete(div) && draw(div);
  const seen = new IntersectionObserver(
    (entries) => entries.filter((e) => e.isIntersecting).forEach((e) => drawOnce(e.target)),
    { rootMargin: "600px" },
  );
  plots.forEach((div) => seen.observe(div));
  window.addEventListener("beforeprint", () => [...plots].forEach(drawOnce));
})();
