// What the pictures that answer share, and what starts them. A script beside this one puts its
// function into `sfcWidgets` under its name; it is called as draw(box, data) for each box of the
// page with data-widget="NAME", once data of that name are there.
window.sfc = {
  // An element with attributes and children. Options that are functions are listeners.
  make(tag, options = {}, ...children) {
    const vector = ["svg", "g", "rect", "path", "line", "text", "circle", "title", "polyline"];
    const element = vector.includes(tag)
      ? document.createElementNS("http://www.w3.org/2000/svg", tag)
      : document.createElement(tag);
    for (const [name, value] of Object.entries(options)) {
      if (typeof value === "function") element.addEventListener(name, value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.flat());
    return element;
  },

  // Draw again whenever the box gets another width.
  onWidth(box, show) {
    let width = box.clientWidth;
    new ResizeObserver(() => {
      if (box.clientWidth === width) return;
      width = box.clientWidth;
      show();
    }).observe(box);
  },

  // A choice with its label: options are [value, text] pairs.
  select(label, options, value, change) {
    const { make } = window.sfc;
    const list = make(
      "select",
      { change: (event) => change(event.target.value) },
      options.map(([key, text]) => make("option", { value: key, selected: key === value }, text)),
    );
    return make("label", {}, make("span", {}, label), list);
  },

  // A number as in the tables of the book: no zero before its point, a real minus.
  number(value, digits = 3, plus = false) {
    if (value === null || Number.isNaN(value)) return "–";
    const text = Math.abs(value).toFixed(digits);
    if (Number(text) === 0) return plus ? "±0" : "0";
    const sign = value < 0 ? "−" : plus ? "+" : "";
    return sign + text.replace(/^0\./, ".");
  },

  // Numbers as `sfc_lib.pages.widget.packed` writes them: whole ones, times their step.
  unpacked({ kind, step, base64 }) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const whole = new { int8: Int8Array, int16: Int16Array }[kind](bytes.buffer);
    return Float64Array.from(whole, (value) => value * step);
  },

  // The ends of an axis that holds all values, with some room.
  extent(values) {
    const low = Math.min(...values);
    const high = Math.max(...values);
    const room = (high - low || Math.abs(high) || 1) * 0.06;
    return [low - room, high + room];
  },

  // Round numbers on an axis from low to high, about five of them.
  ticks(low, high) {
    const rough = (high - low) / 5 || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
    const first = Math.ceil(low / step - 1e-9);
    const count = Math.floor(high / step + 1e-9) - first + 1;
    return Array.from({ length: count }, (_, i) => (first + i) * step);
  },

  // Digits that tell the values of an axis apart.
  digits: (low, high) => Math.max(0, Math.min(5, 1 - Math.floor(Math.log10(high - low || 1)))),

  // Rows of numbers as cells: red above 0, blue below, at their fullest from ± top on.
  heatmap(rows, top, label) {
    const [width, height] = [rows[0].length, rows.length];
    const about = { width, height, role: "img", "aria-label": label };
    const canvas = window.sfc.make("canvas", about);
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    rows.flat().forEach((value, i) => {
      const pale = Math.round(255 * (1 - Math.min(1, Math.abs(value) / top)));
      const red = [255, Math.round(90 + 0.65 * pale), pale, 255];
      const blue = [pale, Math.round(127 + pale / 2), 255, 255];
      image.data.set(value < 0 ? blue : red, 4 * i);
    });
    context.putImageData(image, 0, 0);
    canvas.style.height = `${Math.min(420, Math.max(120, 4 * height))}px`;
    return canvas;
  },
};

(() => {
  const start = () => {
    for (const box of document.querySelectorAll(".sfc-widget:not([data-drawn])")) {
      const draw = (window.sfcWidgets ?? {})[box.dataset.widget];
      const data = (window.sfcData ?? {})[box.dataset.widget];
      if (!draw || !data) continue;
      box.dataset.drawn = "";
      box.replaceChildren();
      draw(box, data);
    }
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
