// Figure 4 with two sliders: the strength of CR, and the number of clusters. Data as of
// `sfc_lib.pages.figure4_positional_weights.weight_slider`.

(() => {
  function draw(box, data) {
    const { make, number, unpacked, heatmap } = window.sfc;
    const state = { place: 0, count: data.counts.indexOf(data.count), cell: [0, 0] };
    const sentence = make("p", { class: "note said", "aria-live": "polite" });
    const cell = make("p", { class: "note cell", "aria-live": "polite" });
    const picture = make("div", { class: "cells", tabindex: 0, keydown: pressed });
    const slider = (name, most, value, change) => {
      const output = make("b", { class: "value" });
      const input = make("input", {
        type: "range",
        min: 0,
        max: most,
        value,
        "aria-label": name,
        input: () => (change(Number(input.value)), show()),
      });
      return { label: make("label", { class: "slide" }, make("span", {}, `${name}: `, output), input), output, input };
    };
    const strength = slider("strength of CR", data.panels.length - 1, 0, (v) => (state.place = v));
    const count = slider("clusters", data.counts.length - 1, state.count, (v) => (state.count = v));
    strength.label.hidden = data.panels.length < 2;
    box.append(make("div", { class: "controls" }, strength.label, count.label), sentence, picture, cell);

    // The rows of a panel, of unit magnitude, in the order of its clusters.
    function rows({ length, units, values }, order) {
      const numbers = unpacked(values);
      const all = Array.from({ length: units }, (_, k) => [...numbers.subarray(k * length, (k + 1) * length)]);
      return order.map((neuron) => all[neuron]);
    }

    function show() {
      const panel = data.panels[state.place];
      const { order, sizes } = panel.clusters[state.count];
      state.rows = rows(panel, order);
      state.order = order;
      const wanted = data.counts[state.count];
      for (const [slide, text] of [[strength, panel.strength], [count, String(wanted)]]) {
        slide.output.textContent = text;
        slide.input.setAttribute("aria-valuetext", text);
      }
      sentence.textContent =
        `${panel.name}. Rows of the clusters: ${sizes.join(", ")}.` +
        (sizes.length < wanted ? ` Only ${sizes.length} rows are different.` : "");
      const label = `W_pos at CR ${panel.strength}: ${order.length} neurons in ${sizes.length} clusters`;
      const canvas = heatmap(state.rows, data.top, label);
      canvas.addEventListener("pointermove", pointed);
      let seen = 0;
      const borders = sizes.slice(0, -1).map((size) => {
        seen += size;
        return make("line", {
          class: "border",
          "data-row": seen,
          x1: 0,
          x2: 1,
          y1: seen,
          y2: seen,
          stroke: "#000",
          "stroke-width": 1.4,
          "vector-effect": "non-scaling-stroke",
        });
      });
      const over = { viewBox: `0 0 1 ${order.length}`, preserveAspectRatio: "none", "aria-hidden": "true" };
      picture.replaceChildren(canvas, make("svg", over, ...borders));
      tell();
    }

    function tell() {
      const [row, position] = state.cell.map((v, i) => Math.min(v, (i ? state.rows[0] : state.rows).length - 1));
      state.cell = [row, position];
      cell.textContent =
        `Neuron ${state.order[row]}, position ${position}: weight ` +
        `${number(state.rows[row][position], 3)}. Point at a cell, or use the arrow keys.`;
    }

    function pointed(event) {
      const area = event.target.getBoundingClientRect();
      const share = [(event.clientY - area.top) / area.height, (event.clientX - area.left) / area.width];
      state.cell = [state.rows.length, state.rows[0].length].map((n, i) =>
        Math.max(0, Math.min(n - 1, Math.floor(share[i] * n))),
      );
      tell();
    }

    function pressed(event) {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      state.cell = state.cell.map((v, i) => Math.max(0, v + step[i]));
      tell();
    }

    show();
  }

  (window.sfcWidgets ??= {}).weights = draw;
})();
