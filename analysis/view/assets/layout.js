/* Sizes and places of grids on a map. */
(function () {
  "use strict";

  const TILE = 1.16, TITLE = 0.2; // distance of grids among others (a grid's own is 1), its name

  const CORNERS = [[-1, -1], [1, -1], [1, 1]]; // of a bus, for the symbols of kinds in turn

  /* Places of grids, in as many columns as make them largest. */
  function offsets(count, width, height) {
    if (count < 2) return Array(count).fill([0, 0]);
    const size = (columns) => Math.min(width / (columns * TILE),
      height / (Math.ceil(count / columns) * (TILE + TITLE)));
    let columns = 1;
    for (let n = 2; n <= count; n++) if (size(n) > size(columns)) columns = n;
    return Array.from({ length: count }, (_, n) =>
      [(n % columns) * TILE, -Math.floor(n / columns) * (TILE + TITLE)]);
  }

  const span = (values) => Math.max(...values) - Math.min(...values);

  /* Distance of buses: a tenth of the branches are shorter. */
  function pitch(places, ends) {
    const lengths = ends.filter(([a, b]) => a >= 0 && b >= 0).map(([a, b]) =>
      Math.hypot(places[a][0] - places[b][0], places[a][1] - places[b][1]));
    lengths.sort((a, b) => a - b);
    return lengths.length ? lengths[Math.floor(lengths.length / 10)] : 1;
  }

  /* Importance of the number at each bus: of the head, of grids supplied, of devices. */
  function weight(g, symbols) {
    const found = g.bus.map((_, i) => (i === g.head ? 3 : 0));
    g.children.forEach(([, i]) => { found[i] += 2; });
    g.devices.forEach(([kind, , , , i]) => { if (kind in symbols) found[i] += 1; });
    return found;
  }

  /* Corner of a bus for a symbol: that of its kind, else the next free one, then further out. */
  function free(used, slot) {
    const count = CORNERS.length, place = (n) => [(slot + n) % count, 1 + Math.floor(n / count)];
    let n = 0;
    while (used.has(place(n).join())) n += 1;
    const [corner, out] = place(n);
    used.add(place(n).join());
    return CORNERS[corner].map((d) => d * out);
  }

  window.stackelgridLayout = { TITLE, free, offsets, pitch, span, weight };
})();
