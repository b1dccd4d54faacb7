/* Numbers at the buses of a map: all that fit beside the buses, symbols and each other.

   Texts are placed again after every change of size or position, and reused. */
(function () {
  "use strict";

  const { assign, make } = window.stackelgridDom;
  const HEIGHT = 11, DIGIT = 6.3; // px of a text
  const CELL = 32; // px of a cell of the table of taken places
  const SPREAD = 13; // px between neighbours, below which a grid has no texts
  const NEXT = { a: "abrl", b: "barl", r: "rlab" }; // sides to try, from the preferred one

  /* Boxes [left, top, right, bottom] that are taken, found by their cells. */
  function table() {
    const cells = new Map();
    const over = ([l, t, r, b], act) => {
      for (let i = Math.floor(l / CELL); i <= Math.floor(r / CELL); i++) {
        for (let j = Math.floor(t / CELL); j <= Math.floor(b / CELL); j++) {
          if (act(`${i},${j}`)) return true;
        }
      }
      return false;
    };
    return {
      take: (box) => over(box, (key) => {
        if (!cells.has(key)) cells.set(key, []);
        cells.get(key).push(box);
      }),
      free: (box) => !over(box, (key) => (cells.get(key) || []).some((other) =>
        box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])),
    };
  }

  function beside(item, side) {
    const { x, y, r } = item, width = DIGIT * item.name.length, gap = r + 2;
    const left = side === "r" ? x + gap : side === "l" ? x - gap - width : x - width / 2;
    const top = side === "a" ? y - gap - HEIGHT : side === "b" ? y + gap : y - HEIGHT / 2;
    return [left, top, left + width, top + HEIGHT];
  }

  /* Place texts at the buses of items inside a box; `chosen` has one in any case. */
  function place(layer, items, width, height, chosen) {
    const taken = table(), shown = [];
    const buses = items.filter((item) => item.kind === "bus" && item.x > -20 && item.y > -20 &&
      item.x < width + 20 && item.y < height + 20);
    for (const { x, y, r } of buses) taken.take([x - r, y - r, x + r, y + r]);
    for (const item of items) {
      if (item.kind === "symbol") taken.take([item.x - 6, item.y - 6, item.x + 6, item.y + 6]);
    }
    const ordered = buses.filter((item) => item.id === chosen || item.pitch >= SPREAD)
      .sort((a, b) => (b.id === chosen) - (a.id === chosen) || b.weight - a.weight);
    for (const item of ordered) {
      const sides = NEXT[item.side] || NEXT.a;
      let box = sides.split("").map((side) => beside(item, side)).find(taken.free);
      if (!box && item.id === chosen) box = beside(item, item.side);
      if (!box) continue;
      taken.take(box);
      shown.push([item, box]);
    }
    while (layer.children.length > shown.length) layer.lastChild.remove();
    shown.forEach(([item, box], n) => {
      const text = layer.children[n] || make("text", {}, layer);
      assign(text, { x: (box[0] + box[2]) / 2, y: box[3] - 2 });
      text.classList.toggle("chosen", item.id === chosen);
      if (text.textContent !== item.name) text.textContent = item.name;
    });
  }

  window.stackelgridLabels = { place };
})();
