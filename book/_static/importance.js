// Figure 3c with a slider over the strength of CR. Data as of
// `sfc_lib.pages.figure3_importance.strength_slider`.

(() => {
  const LEFT = 46; // pixels of the axis
  const HEIGHT = 260;

  function draw(box, data) {
    const { make, number, ticks, digits, extent, unpacked } = window.sfc;
    const profiles = data.panels.map((panel) => [...unpacked(panel.profile)]);
    const [low, high] = extent(profiles.flat());
    let chosen = 0;
    const value = make("b", { class: "value" });
    const slider = make("input", {
      type: "range",
      min: 0,
      max: profiles.length - 1,
      value: 0,
      "aria-label": "strength of CR",
      input: () => ((chosen = Number(slider.value)), show()),
    });
    const picture = make("div");
    const sentence = make("p", { class: "note said", "aria-live": "polite" });
    box.append(
      make("div", { class: "controls" }, make("label", { class: "slide" }, make("span", {}, "strength of CR: ", value), slider)),
      picture,
      sentence,
    );

    function show() {
      const panel = data.panels[chosen];
      const width = Math.max(280, box.clientWidth);
      const { length } = profiles[0];
      const x = (i) => LEFT + (i / (length - 1)) * (width - LEFT - 8);
      const y = (v) => HEIGHT - 24 - ((v - low) / (high - low)) * (HEIGHT - 32);
      const line = (points, options) =>
        make("polyline", {
          points: points.map((v, i) => `${x(i).toFixed(1)},${y(v).toFixed(1)}`).join(" "),
          fill: "none",
          ...options,
        });
      const shown = profiles[chosen];
      value.textContent = panel.strength;
      slider.setAttribute("aria-valuetext", panel.strength);
      picture.replaceChildren(
        make(
          "svg",
          {
            viewBox: `0 0 ${width} ${HEIGHT}`,
            role: "img",
            "aria-label": `Importance by position at CR ${panel.strength}, and its mirror image`,
          },
          ...ticks(low, high).flatMap((v) => [
            make("line", { x1: LEFT, x2: width, y1: y(v), y2: y(v), stroke: "var(--sfc-line)", "stroke-width": 0.6 }),
            make("text", { x: LEFT - 4, y: y(v) + 4, "text-anchor": "end" }, number(v, digits(low, high))),
          ]),
          ...ticks(0, length - 1)
            .filter((i) => x(i) < width - 100)
            .map((i) => make("text", { x: x(i), y: HEIGHT - 8, "text-anchor": "middle" }, String(i))),
          make("text", { x: width, y: HEIGHT - 8, "text-anchor": "end" }, "position, bp"),
          ...profiles.map((points, i) =>
            line(points, { class: "other", stroke: "var(--sfc-muted)", "stroke-width": 0.7, "stroke-opacity": i === chosen ? 0 : 0.35 }),
          ),
          line([...shown].reverse(), { class: "mirror", stroke: "#2ca02c", "stroke-width": 1.4 }),
          line(shown, { class: "shown", stroke: "#4a74e0", "stroke-width": 1.8 }),
        ),
      );
      const numbers = Object.entries(panel.numbers).map(
        ([name, [size, noise]]) => `${name} ${number(size)} (noise ${number(noise)})`,
      );
      sentence.textContent = `${panel.name}: ${numbers.join(", ")}. Blue: the profile; green: its mirror image; grey: the other strengths.`;
    }

    show();
    window.sfc.onWidth(box, show);
  }

  (window.sfcWidgets ??= {}).importance = draw;
})();
