// How the layer works: drag a profile over positions and one over channels, see their outer
// product; mirror the first half, or bend the profile as curvature regularisation (CR) would.

(() => {
  const MOST = 1; // of a weight
  const STEP = 0.05; // of a key press
  const TOP = 118; // pixels of the position profile
  const ROW = 26; // of a channel
  const SWEEPS = 20000;

  // The profile p that minimises mean (p − w)² + strength · mean |second difference of p|.
  //
  // With D the second differences and weight = strength · L / (2 (L − 2)) this is the minimum of
  // ½ |p − w|² + weight · |D p|₁, and p = w − Dᵀu with the u, each within ± weight, that makes
  // |w − Dᵀu| smallest. That is found one entry of u at a time, the others as they are.
  function smoothed(w, strength) {
    const p = Float64Array.from(w);
    const count = w.length - 2;
    if (count < 1 || strength === 0) return p;
    const weight = (strength * w.length) / (2 * count);
    const u = new Float64Array(count);
    for (let sweep = 0; sweep < SWEEPS; sweep++) {
      let moved = 0;
      for (let i = 0; i < count; i++) {
        const best = u[i] + (p[i] - 2 * p[i + 1] + p[i + 2]) / 6;
        const next = Math.max(-weight, Math.min(weight, best));
        const change = next - u[i];
        if (change === 0) continue;
        u[i] = next;
        p[i] -= change;
        p[i + 1] += 2 * change;
        p[i + 2] -= change;
        moved = Math.max(moved, Math.abs(change));
      }
      if (moved < 1e-10) break;
    }
    return p;
  }

  // Mean size of the second differences: what CR multiplies by its strength.
  function curvature(p) {
    let sum = 0;
    for (let l = 1; l + 1 < p.length; l++) sum += Math.abs(p[l + 1] - 2 * p[l] + p[l - 1]);
    return p.length > 2 ? sum / (p.length - 2) : 0;
  }

  function mirrored(stored, length) {
    return Array.from({ length }, (_, l) => stored[Math.min(l, length - 1 - l)]);
  }

  // What is multiplied: the drawn profile, of a symmetric layer its first half, bent, mirrored.
  function weights(drawn, symmetric, strength) {
    const { length } = drawn;
    if (!symmetric) return [...smoothed(drawn, strength)];
    return mirrored(smoothed(drawn.slice(0, Math.ceil(length / 2)), strength), length);
  }

  // Red to blue through the page's ground; its share says how large a product is.
  function colour(value) {
    const share = Math.round(Math.min(1, Math.abs(value)) * 100);
    return `color-mix(in srgb, ${value < 0 ? "#2f7fd0" : "#d0452f"} ${share}%, var(--sfc-ground))`;
  }

  function draw(box, data) {
    const { make, number } = window.sfc;
    const state = { pos: [...data.positions], chan: [...data.channels], symmetric: false, place: 0 };
    state.at = ["pos", 0]; // what the keyboard is at
    const picture = make("div");
    const sentence = make("p", { class: "note", "aria-live": "polite" });
    const mirror = make("input", {
      type: "checkbox",
      change: () => ((state.symmetric = mirror.checked), show()),
    });
    const value = make("b", { class: "value" });
    const slider = make("input", {
      type: "range",
      min: 0,
      max: data.strengths.length - 1,
      value: 0,
      "aria-label": "Strength of curvature regularisation",
      input: () => ((state.place = Number(slider.value)), show()),
    });
    const again = make("button", { type: "button", click: reset }, "Start again");
    box.append(
      picture,
      make(
        "div",
        { class: "controls" },
        make("label", { class: "inline" }, mirror, "symmetric"),
        make("label", { style: "flex: 1 1 12rem" }, make("span", {}, "strength of CR: ", value), slider),
        again,
      ),
      sentence,
    );

    function reset() {
      Object.assign(state, { pos: [...data.positions], chan: [...data.channels] });
      Object.assign(state, { symmetric: false, place: 0 });
      mirror.checked = false;
      slider.value = 0;
      show();
    }

    function set(kind, place, size) {
      const kept = Math.max(-MOST, Math.min(MOST, Math.round(size / STEP) * STEP));
      state[kind][place] = kept;
      if (kind === "pos" && state.symmetric) state.pos[state.pos.length - 1 - place] = kept;
    }

    function show() {
      const focused = picture.contains(document.activeElement);
      const strength = data.strengths[state.place];
      if (state.symmetric) state.pos = mirrored(state.pos, state.pos.length);
      const w = weights(state.pos, state.symmetric, strength);
      const length = w.length;
      const count = state.chan.length;
      const stored = state.symmetric ? Math.ceil(length / 2) : length;
      const width = Math.max(280, box.clientWidth);
      const left = Math.min(150, width * 0.26);
      const cell = (width - left) / length;
      const high = TOP / 2 - 6;
      const x = (l) => left + l * cell;
      const y = (v) => TOP / 2 - v * high;
      const wide = left / 2 - 6;
      const at = (kind, place) => state.at[0] === kind && state.at[1] === place;
      const bar = (kind, place, shape, label) =>
        make("rect", {
          ...shape,
          class: "handle",
          fill: "transparent",
          role: "slider",
          tabindex: at(kind, place) ? 0 : -1,
          "data-kind": kind,
          "data-place": place,
          "aria-label": label,
          "aria-valuemin": -MOST,
          "aria-valuemax": MOST,
          "aria-valuenow": state[kind][place].toFixed(2),
          "aria-orientation": kind === "pos" ? "vertical" : "horizontal",
        });
      const svg = make(
        "svg",
        { viewBox: `0 0 ${width} ${TOP + 22 + count * ROW + 26}`, keydown: pressed, pointerdown: grabbed },
        make("text", { x: left - 8, y: TOP / 2 - 4, "text-anchor": "end" }, "W_pos"),
        make("line", { class: "axis", x1: left, x2: width, y1: y(0), y2: y(0) }),
        ...w.map((v, l) =>
          make("rect", {
            class: "weight",
            "data-value": v,
            x: x(l) + 1.5,
            width: cell - 3,
            y: Math.min(y(0), y(v)),
            height: Math.abs(v) * high,
            fill: "var(--sfc-accent)",
            "fill-opacity": l < stored ? 0.85 : 0.35,
          }),
        ),
        ...state.pos.map((v, l) =>
          make("line", {
            x1: x(l) + 1.5,
            x2: x(l) + cell - 1.5,
            y1: y(v),
            y2: y(v),
            stroke: "var(--sfc-text)",
            "stroke-width": 2,
          }),
        ),
        ...w.map((_, l) =>
          bar("pos", l, { x: x(l), y: 0, width: cell, height: TOP }, `W_pos, position ${l + 1}`),
        ),
        make("text", { x: left / 2, y: TOP + 10, "text-anchor": "middle" }, "W_chan"),
        make("text", { x: left, y: TOP + 14 }, "W_out = W_pos × W_chan"),
        make("line", { class: "axis", x1: left / 2, x2: left / 2, y1: TOP + 22, y2: TOP + 22 + count * ROW }),
        ...state.chan.flatMap((v, c) => {
          const top = TOP + 22 + c * ROW;
          return [
            make("rect", {
              x: left / 2 + Math.min(0, v * wide),
              y: top + 3,
              width: Math.abs(v) * wide,
              height: ROW - 6,
              fill: "var(--sfc-accent)",
              "fill-opacity": 0.85,
            }),
            make("line", {
              x1: left / 2 + v * wide,
              x2: left / 2 + v * wide,
              y1: top + 3,
              y2: top + ROW - 3,
              stroke: "var(--sfc-text)",
              "stroke-width": 2,
            }),
            bar("chan", c, { x: 0, y: top, width: left - 4, height: ROW }, `W_chan, channel ${c + 1}`),
            ...w.map((p, l) =>
              make(
                "rect",
                {
                  class: "product",
                  x: x(l),
                  y: top,
                  width: cell,
                  height: ROW,
                  style: `fill:${colour(p * v)}`,
                  stroke: "var(--sfc-line)",
                  "stroke-width": 0.5,
                  "data-value": p * v,
                },
                make("title", {}, `position ${l + 1}, channel ${c + 1}: ${number(p, 2)} × ${number(v, 2)} = ${number(p * v, 2)}`),
              ),
            ),
          ];
        }),
        ...[1, length].map((l) =>
          make("text", { x: x(l - 0.5), y: TOP + 22 + count * ROW + 16, "text-anchor": "middle" }, String(l)),
        ),
        make("text", { x: x(length / 2), y: TOP + 22 + count * ROW + 16, "text-anchor": "middle" }, "position"),
      );
      picture.replaceChildren(svg);
      if (focused) handle(...state.at).focus();
      value.textContent = String(strength);
      const bends = curvature(w.slice(0, stored));
      const drawn = curvature(state.pos.slice(0, stored));
      sentence.textContent =
        `${stored} + ${count} = ${stored + count} numbers make ${length} × ${count} = ` +
        `${length * count} weights. Mean size of the second differences of the stored W_pos: ` +
        (strength
          ? `${number(drawn)} as drawn (lines), ${number(bends)} as bent (bars).`
          : `${number(drawn)}.`);
    }

    const handle = (kind, place) =>
      picture.querySelector(`.handle[data-kind="${kind}"][data-place="${place}"]`);

    // While the pointer is down, each position that it passes takes its height; so do channels.
    function grabbed(event) {
      const { kind } = event.target.dataset;
      if (!kind) return;
      event.preventDefault();
      const follow = (e) => {
        const svg = picture.firstChild;
        const area = svg.getBoundingClientRect();
        const scale = svg.viewBox.baseVal.width / area.width;
        const [px, py] = [(e.clientX - area.left) * scale, (e.clientY - area.top) * scale];
        const width = svg.viewBox.baseVal.width;
        const left = Math.min(150, width * 0.26);
        const count = state[kind].length;
        const along = kind === "pos" ? ((px - left) / (width - left)) * count : (py - TOP - 22) / ROW;
        const place = Math.max(0, Math.min(count - 1, Math.floor(along)));
        const size = kind === "pos" ? (TOP / 2 - py) / (TOP / 2 - 6) : (px - left / 2) / (left / 2 - 6);
        state.at = [kind, place];
        set(kind, place, size);
        show();
        handle(kind, place).focus({ preventScroll: true });
      };
      const done = () => {
        removeEventListener("pointermove", follow);
        removeEventListener("pointerup", done);
        removeEventListener("pointercancel", done);
      };
      addEventListener("pointermove", follow);
      addEventListener("pointerup", done);
      addEventListener("pointercancel", done);
      follow(event);
    }

    // Arrows along a bar change it; arrows across go to the next one.
    function pressed(event) {
      const [kind, place] = state.at;
      const up = kind === "pos" ? "ArrowUp" : "ArrowRight";
      const down = kind === "pos" ? "ArrowDown" : "ArrowLeft";
      const next = kind === "pos" ? "ArrowRight" : "ArrowDown";
      const previous = kind === "pos" ? "ArrowLeft" : "ArrowUp";
      const change = { [up]: STEP, [down]: -STEP }[event.key];
      const step = { [next]: 1, [previous]: -1 }[event.key];
      if (!change && !step) return;
      event.preventDefault();
      if (change) set(kind, place, state[kind][place] + change);
      else state.at = [kind, Math.max(0, Math.min(state[kind].length - 1, place + step))];
      show();
    }

    // Tab goes from one profile to the other.
    picture.addEventListener("focusin", (event) => {
      const { kind, place } = event.target.dataset;
      if (kind) state.at = [kind, Number(place)];
      for (const name of ["pos", "chan"])
        handle(name, name === state.at[0] ? state.at[1] : 0)?.setAttribute("tabindex", 0);
    });

    show();
    for (const name of ["pos", "chan"]) handle(name, 0).setAttribute("tabindex", 0);
    window.sfc.onWidth(box, show);
  }

  (window.sfcWidgets ??= {}).outer_product = draw;
  window.sfcProfiles = { smoothed, curvature, weights };
})();
