"use strict";
// Tables wider than the page: they scroll, also by keys, and say so; on paper they shrink to it.
(() => {
  const PAPER = 690; // px of a printed page (A4)
  const tables = [...document.querySelectorAll(".table")];

  function hint(box) {
    const scrolls = box.scrollWidth > box.clientWidth + 1;
    box.classList.toggle("scrolls", scrolls);
    if (scrolls) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
    const name = box.querySelector("caption").textContent;
    box.setAttribute("aria-label", scrolls ? `${name}; scroll sideways to see all columns` : name);
  }

  const watch = new ResizeObserver((entries) => entries.forEach(({ target }) => hint(target)));
  for (const box of tables) watch.observe(box);
  // width of a table whose texts wrap to the paper, in the letters of a print
  function printedWidth(box, table) {
    box.style.width = `${PAPER}px`;
    table.style.fontSize = "8.5pt";
    const width = table.scrollWidth;
    box.style.width = table.style.fontSize = "";
    return width;
  }

  window.addEventListener("beforeprint", () => {
    for (const box of tables) {
      const share = PAPER / printedWidth(box, box.firstElementChild);
      if (share < 1) box.firstElementChild.style.zoom = share;
    }
  });
  window.addEventListener("afterprint", () => {
    for (const box of tables) box.firstElementChild.style.zoom = "";
  });
})();
