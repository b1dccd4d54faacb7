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
  window.addEventListener("beforeprint", () => {
    for (const box of tables) {
      const share = PAPER / box.firstElementChild.scrollWidth;
      if (share < 1) box.firstElementChild.style.zoom = share;
    }
  });
  window.addEventListener("afterprint", () => {
    for (const box of tables) box.firstElementChild.style.zoom = "";
  });
})();
