// The explorer: choose data, metric, models and seeds; see scores, learning curves, importance and
// W_pos of the runs; choose one by a click to see its record. Data as of `sfc_lib.pages.explorer`.

(() => {
  const LEFT = 46; // pixels of an axis
  const ROW = 34; // of a model among the scores
  const HEIGHT = 220; // of the plots

  // The whole W_pos, row by row, mirrored where half of it is stored.
  function wholeRows({ units, length, stored, values }) {
    const numbers = window.sfc.unpacked(values);
    return Array.from({ length: units }, (_, k) =>
      Array.from({ length }, (_, l) => numbers[k * stored + (l < stored ? l : length - 1 - l)]),
    );
  }

  // Rows of mean 0 and Euclidean norm 1, as in Figure 4.
  function normalised(row) {
    const mean = row.reduce((a, b) => a + b, 0) / row.length;
    const centred = row.map((value) => value - mean);
    const norm = Math.hypot(...centred);
    return norm ? centred.map((value) => value / norm) : centred;
  }

  function median(values) {
    const sorted = values.filter((v) => v !== null).sort((a, b) => a - b);
    const half = Math.floor(sorted.length / 2);
    return sorted.length ? (sorted[half] + sorted[sorted.length - 1 - half]) / 2 : null;
  }

  function draw(box, data) {
    const { make, number, select, ticks, digits, extent, unpacked, heatmap } = window.sfc;
    const runs = data.groups.flatMap((group) => group.models.flatMap((model) => model.runs));
    runs.forEach((run) => Object.assign(run, data.details[run.id]));
    const state = { metric: "auroc", off: new Set(), seedsOff: new Set(), run: null, form: "raw" };
    const choices = make("div", { class: "controls" });
    const models = make("fieldset", { class: "choices" });
    const seeds = make("fieldset", { class: "choices" });
    const said = make("p", { class: "note said", "aria-live": "polite" });
    const scores = make("div", { class: "scores" });
    const curves = make("div", { class: "curves" });
    const profiles = make("div", { class: "profiles" });
    const list = make("div", { class: "list scroll", tabindex: 0, role: "region", "aria-label": "Runs" });
    const record = make("section", { class: "record", "aria-label": "The run chosen" });
    box.append(
      choices,
      models,
      seeds,
      said,
      scores,
      curves,
      profiles,
      make("details", {}, make("summary", {}, "These runs as a table"), list),
      record,
    );

    const all = () => state.group.models.flatMap((model) => model.runs.map((run) => ({ model, run })));
    const kept = () =>
      all().filter(({ model, run }) => !state.off.has(model.name) && !state.seedsOff.has(run.seed));
    const found = (id) =>
      data.groups.flatMap((group) => group.models.flatMap((model) => model.runs.map((run) => ({ group, model, run }))))
        .find((item) => item.run.id.startsWith(id));

    function opened(group) {
      state.group = group;
      state.off.clear();
      state.seedsOff.clear();
      const best = all().filter(({ run }) => run.best);
      state.run = (best.find(({ run }) => run.weights) ?? best[0] ?? all()[0]).run.id;
      show();
    }

    function chosen(id) {
      state.run = id;
      history.replaceState(null, "", `#${id}`);
      show();
    }

    function tick(set, name, on) {
      if (on) set.delete(name);
      else set.add(name);
      show();
    }

    function show() {
      const focused = document.activeElement?.dataset?.key;
      choices.replaceChildren(
        select("Data", data.groups.map((g) => [g.name, g.title]), state.group.name, (name) =>
          opened(data.groups.find((group) => group.name === name)),
        ),
        select("Metric", Object.entries(data.metrics), state.metric, (metric) => ((state.metric = metric), show())),
      );
      choices.querySelectorAll("select").forEach((element, i) => (element.dataset.key = `select ${i}`));
      models.replaceChildren(
        make("legend", {}, "Models"),
        ...state.group.models.map(({ name, label, colour }) =>
          box_of(`model ${name}`, !state.off.has(name), (on) => tick(state.off, name, on), swatch(colour), label),
        ),
      );
      const numbers = [...new Set(all().map(({ run }) => run.seed))].sort((a, b) => a - b);
      seeds.replaceChildren(
        make("legend", {}, "Seeds"),
        ...numbers.map((seed) =>
          box_of(`seed ${seed}`, !state.seedsOff.has(seed), (on) => tick(state.seedsOff, seed, on), String(seed)),
        ),
      );
      const runs = kept();
      const lost = runs.filter(({ run }) => run.diverged).length;
      said.textContent =
        `${runs.length} of ${all().length} runs` +
        (lost ? `, of which ${lost} diverged and ${lost > 1 ? "have" : "has"} no score` : "") +
        ". A click on a dot or a line shows its record.";
      drawScores(runs);
      drawCurves(runs);
      drawProfiles(runs);
      drawList(runs);
      drawRecord();
      if (focused) box.querySelector(`[data-key="${focused}"]`)?.focus();
    }

    function box_of(key, checked, change, ...text) {
      const input = make("input", {
        type: "checkbox",
        checked,
        "data-key": key,
        change: () => change(input.checked),
      });
      return make("label", { class: "inline" }, input, ...text);
    }

    const swatch = (colour) => make("span", { class: "swatch", style: `background:${colour}` });

    function heading(text) {
      return make("p", { class: "heading", role: "heading", "aria-level": 2 }, text);
    }

    // A row a model: a dot a seed, a line at the median.
    function drawScores(runs) {
      const name = data.metrics[state.metric];
      const values = runs.map(({ run }) => run[state.metric]).filter((v) => v !== null);
      const rows = state.group.models.filter((model) => !state.off.has(model.name));
      if (!values.length) return scores.replaceChildren(heading(name), none("No run here has this score."));
      const width = Math.max(280, box.clientWidth);
      const [low, high] = extent(values);
      const x = (v) => 8 + ((v - low) / (high - low)) * (width - 16);
      const bottom = rows.length * ROW;
      const parts = rows.flatMap((model, i) => {
        const y = i * ROW;
        const mine = runs.filter((item) => item.model === model && item.run[state.metric] !== null);
        const middle = median(mine.map(({ run }) => run[state.metric]));
        const about = middle === null ? "no score" : `median ${number(middle, digits(low, high))}`;
        return [
          make("text", { x: 4, y: y + 12 }, `${model.label}: ${about}`),
          make("line", { x1: 0, x2: width, y1: y + 23, y2: y + 23, stroke: "var(--sfc-line)" }),
          ...(middle === null
            ? []
            : [
                make("line", {
                  class: "median",
                  "data-model": model.name,
                  "data-value": middle,
                  x1: x(middle),
                  x2: x(middle),
                  y1: y + 15,
                  y2: y + 31,
                  stroke: model.colour,
                  "stroke-width": 4,
                }),
              ]),
          ...mine.map(({ run }) =>
            make(
              "circle",
              {
                class: "dot",
                cx: x(run[state.metric]),
                cy: y + 23,
                r: run.id === state.run ? 7 : 5,
                fill: model.colour,
                "fill-opacity": 0.75,
                stroke: "var(--sfc-text)",
                "stroke-width": run.id === state.run ? 2.5 : 0.8,
                "data-id": run.id,
                click: () => chosen(run.id),
              },
              make("title", {}, `${model.label}, seed ${run.seed}: ${number(run[state.metric], 4)}`),
            ),
          ),
        ];
      });
      const svg = make(
        "svg",
        { viewBox: `0 0 ${width} ${bottom + 24}`, role: "img", "aria-label": `${name} of every run, by model` },
        ...ticks(low, high).flatMap((v) => [
          make("line", { x1: x(v), x2: x(v), y1: 0, y2: bottom + 4, stroke: "var(--sfc-line)", "stroke-width": 0.6 }),
          make("text", { x: x(v), y: bottom + 18, "text-anchor": "middle" }, number(v, digits(low, high))),
        ]),
        ...parts,
      );
      scores.replaceChildren(heading(`${name}, a dot a seed; the line is the median`), svg);
    }

    const none = (text) => make("p", { class: "note" }, text);

    // Lines of many runs over one axis: items of {model, run, points}.
    function plot(items, label, xName, yName, first) {
      const width = Math.max(280, box.clientWidth);
      const [low, high] = extent(items.flatMap(({ points }) => points.filter((v) => v !== null)));
      const length = Math.max(...items.map(({ points }) => points.length));
      const x = (i) => LEFT + (i / Math.max(1, length - 1)) * (width - LEFT - 8);
      const y = (v) => HEIGHT - 24 - ((v - low) / (high - low)) * (HEIGHT - 32);
      const line = ({ model, run, points }) =>
        make(
          "polyline",
          {
            class: "line",
            "data-id": run.id,
            points: points.map((v, i) => (v === null ? "" : `${x(i).toFixed(1)},${y(v).toFixed(1)}`)).join(" "),
            fill: "none",
            stroke: model.colour,
            "stroke-width": run.id === state.run ? 3 : 1,
            "stroke-opacity": run.id === state.run ? 1 : 0.65,
            click: () => chosen(run.id),
          },
          make("title", {}, `${model.label}, seed ${run.seed}`),
        );
      const order = [...items].sort((a, b) => (a.run.id === state.run) - (b.run.id === state.run));
      return make(
        "svg",
        { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": label },
        ...ticks(low, high).flatMap((v) => [
          make("line", { x1: LEFT, x2: width, y1: y(v), y2: y(v), stroke: "var(--sfc-line)", "stroke-width": 0.6 }),
          make("text", { x: LEFT - 4, y: y(v) + 4, "text-anchor": "end" }, number(v, digits(low, high))),
        ]),
        ...ticks(first, first + length - 1)
          .filter((v) => Number.isInteger(v) && x(v - first) < width - 70)
          .map((v) =>
            make("text", { x: x(v - first), y: HEIGHT - 8, "text-anchor": "middle" }, String(v)),
          ),
        make("text", { x: width, y: HEIGHT - 8, "text-anchor": "end" }, xName),
        ...order.map(line),
      );
    }

    function drawCurves(runs) {
      const metric = ["auroc", "auprc"].includes(state.metric) ? state.metric : "auroc";
      const name = data.metrics[metric];
      const items = runs.map((item) => ({ ...item, points: item.run.curve[metric] }));
      const some = items.filter(({ points }) => points.some((v) => v !== null));
      curves.replaceChildren(
        heading(`Learning curves: ${name} by epoch`),
        some.length ? plot(some, `${name} by epoch, a line a run`, "epoch", name, 1) : none("No run is chosen."),
      );
    }

    function drawProfiles(runs) {
      const some = runs.filter(({ run }) => run.profile);
      const items = some.map((item) => ({ ...item, points: [...unpacked(item.run.profile[state.form])] }));
      const form = select("Gradient × input", [["raw", "raw, as in the paper"], ["centred", "centred"]], state.form, (to) => ((state.form = to), show()));
      form.querySelector("select").dataset.key = "form";
      profiles.replaceChildren(
        heading("Importance by position"),
        make("div", { class: "controls" }, form),
        some.length
          ? plot(items, "Importance by position, a line a run", "position", "importance", 0)
          : none("No record of these runs carries importance."),
        none(
          some.length
            ? `Of ${some.length} of ${runs.length} runs: task ${some[0].run.profile.task}, mean over ` +
                `${some[0].run.profile.sequences.toLocaleString("en")} sequences, in units of the centred form's mean size.`
            : "",
        ),
      );
    }

    function drawList(runs) {
      const head = ["model", "seed", data.metrics[state.metric], "run"];
      const rows = runs.map(({ model, run }) =>
        make(
          "tr",
          { "data-id": run.id },
          make("td", {}, swatch(model.colour), ` ${model.label}`),
          make("td", { class: "number" }, String(run.seed)),
          make("td", { class: "number" }, run.diverged ? "diverged" : number(run[state.metric], 4)),
          make(
            "td",
            {},
            make(
              "button",
              { type: "button", "data-key": `run ${run.id}`, "aria-pressed": String(run.id === state.run), click: () => chosen(run.id) },
              run.id,
            ),
          ),
        ),
      );
      list.replaceChildren(
        make(
          "table",
          {},
          make("thead", {}, make("tr", {}, head.map((text) => make("th", { scope: "col" }, text)))),
          make("tbody", {}, rows),
        ),
      );
    }

    function drawRecord() {
      const { model, run } = all().find((item) => item.run.id === state.run);
      const scored = ["auroc", "auprc", "test_auroc", "test_auprc"];
      const rows = Object.entries(data.metrics).map(([key, name]) => [name, number(run[key], scored.includes(key) ? 4 : key === "cpu_minutes" ? 1 : 0)]);
      for (const [task, [auroc, auprc]] of Object.entries(run.tasks))
        rows.push([`task ${task}`, `auROC ${number(auroc, 4)}, auPRC ${number(auprc, 4)}`]);
      const pair = ([name, value]) => [make("dt", {}, name), make("dd", {}, value)];
      record.replaceChildren(
        heading(`${model.label}, seed ${run.seed}${run.best ? ", its best seed" : ""}`),
        make(
          "dl",
          {},
          ...[
            ["run", make("code", {}, run.id)],
            ["record", data.records && run.path.startsWith("data/") ? make("a", { href: data.records + run.path }, run.path) : make("code", {}, run.path)],
            ["show it", make("code", {}, `sfc runs show ${run.id}`)],
          ].flatMap(pair),
          ...(run.diverged ? [["status", "diverged"]] : rows).flatMap(pair),
        ),
        make(
          "details",
          {},
          make("summary", {}, "Its spec"),
          make("dl", { class: "spec" }, ...Object.entries({ ...model.spec, seed: run.seed }).flatMap(([k, v]) => pair([k, String(v)]))),
        ),
        ...weights(run, model.spec.variant !== "std"),
      );
    }

    // W_pos as cells: each row normalised, sorted by where its largest weight is.
    function weights(run, layer) {
      if (!run.weights)
        return [
          none(
            run.has_weights
              ? "Of a control, only the best seed's W_pos is on this page; this run's is in its record, W_pos.npy."
              : layer
                ? `The published record of this control holds its scores and no W_pos: sfc runs retrain ${run.id} trains it again.`
                : "This run has no W_pos: its network has no SFC layer.",
          ),
        ];
      const rows = wholeRows(run.weights).map(normalised);
      const peak = (row) => row.reduce((best, v, l) => (Math.abs(v) > Math.abs(row[best]) ? l : best), 0);
      rows.sort((a, b) => peak(a) - peak(b) || a[peak(a)] - b[peak(b)]);
      const { length } = run.weights;
      const sizes = rows.flat().map(Math.abs).sort((a, b) => a - b);
      const top = sizes[Math.floor(0.995 * (sizes.length - 1))] || 1;
      const canvas = heatmap(rows, top, `W_pos: ${rows.length} neurons, ${length} positions`);
      return [
        heading(`W_pos: ${rows.length} neurons (rows) × ${length} positions`),
        canvas,
        none(
          "Rows have mean 0 and Euclidean norm 1 and are sorted by where their largest weight is. " +
            `Red is positive, blue negative; colours end at ±${number(top, 2)}, beyond which one weight in 200 lies.`,
        ),
      ];
    }

    const asked = location.hash.length > 4 && found(location.hash.slice(1));
    opened(asked ? asked.group : data.groups[0]);
    if (asked) chosen(asked.run.id);
    addEventListener("hashchange", () => {
      const item = location.hash.length > 4 && found(location.hash.slice(1));
      if (!item) return;
      opened(item.group);
      chosen(item.run.id);
    });
    window.sfc.onWidth(box, show);
  }

  (window.sfcWidgets ??= {}).explorer = draw;
  window.sfcRuns = { wholeRows };
})();
