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
