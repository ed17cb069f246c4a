// Paste a sequence: a network's forward pass and gradient, and the picture around them.
//
// A sequence is an array of codes: 0 to 3 for A, C, G, T, and 4 for N. Between two layers stands
// a map: numbers of all positions, and at each position of all channels, one behind the other.
// Layers and their weights are those of `sfc_lib.pages.sequence.exported`.

(() => {
  const LETTERS = "ACGTN";
  const TOGETHER = { conv: convolve, pool, separable, dense };
  const BACK = {
    conv: convolveBack,
    pool: poolBack,
    separable: separableBack,
    dense: denseBack,
  };

  // Numbers of half precision: a sign, five bits of exponent, ten of fraction.
  function halves(base64) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const numbers = new Float64Array(bytes.length / 2);
    for (let i = 0; i < numbers.length; i++) {
      const bits = bytes[2 * i] | (bytes[2 * i + 1] << 8);
      const exponent = (bits >> 10) & 31;
      const fraction = (bits & 1023) / 1024;
      const size = exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction;
      numbers[i] = bits >> 15 ? -size : size;
    }
    return numbers;
  }

  // The layers of a network, each with its own two arrays of weights, `first` and `second`.
  function unpack(network) {
    const numbers = halves(network.weights);
    let place = 0;
    const take = (count) => numbers.subarray(place, (place += count));
    return network.layers.map((layer) => {
      const { kind, width, inputs, outputs, units, length, channels } = layer;
      if (kind === "conv")
        return { ...layer, first: take(width * inputs * outputs), second: take(outputs) };
      if (kind === "dense")
        return { ...layer, first: take(inputs * outputs), second: take(outputs) };
      if (kind === "separable")
        return { ...layer, first: take(units * length), second: take(units * channels) };
      return layer;
    });
  }

  function oneHot(codes) {
    const map = new Float64Array(4 * codes.length);
    codes.forEach((code, position) => code < 4 && (map[4 * position + code] = 1));
    return map;
  }

  // All maps of a sequence on its way through the layers; the last one are the logits.
  function forward(layers, codes) {
    const maps = [oneHot(codes)];
    for (const layer of layers) {
      const map = TOGETHER[layer.kind](layer, maps[maps.length - 1]);
      if (layer.relu) map.forEach((value, i) => value < 0 && (map[i] = 0));
      maps.push(map);
    }
    return maps;
  }

  // The gradient of one logit for the one-hot sequence, by the chain rule from back to front.
  function gradient(layers, maps, task) {
    let slope = new Float64Array(maps[maps.length - 1].length);
    slope[task] = 1;
    for (let i = layers.length - 1; i >= 0; i--) {
      if (layers[i].relu) maps[i + 1].forEach((value, j) => value > 0 || (slope[j] = 0));
      slope = BACK[layers[i].kind](layers[i], maps[i], slope);
    }
    return slope;
  }

  // Gradient × input, centred: what the base at each position adds over an average one.
  function contributions(codes, slope) {
    return codes.map((code, l) => {
      const four = slope.subarray(4 * l, 4 * l + 4);
      return code < 4 ? four[code] - (four[0] + four[1] + four[2] + four[3]) / 4 : 0;
    });
  }

  function convolve({ width, inputs, outputs, first, second }, x) {
    const length = x.length / inputs - width + 1;
    const y = new Float64Array(length * outputs);
    for (let l = 0; l < length; l++) {
      y.set(second, l * outputs);
      for (let i = 0; i < width * inputs; i++) {
        const value = x[l * inputs + i];
        if (value === 0) continue;
        for (let o = 0; o < outputs; o++) y[l * outputs + o] += value * first[i * outputs + o];
      }
    }
    return y;
  }

  function convolveBack({ width, inputs, outputs, first }, x, slope) {
    const back = new Float64Array(x.length);
    for (let l = 0; l < slope.length / outputs; l++)
      for (let o = 0; o < outputs; o++) {
        const value = slope[l * outputs + o];
        if (value === 0) continue;
        for (let i = 0; i < width * inputs; i++)
          back[l * inputs + i] += value * first[i * outputs + o];
      }
    return back;
  }

  // Pooling does not know how many channels there are; the layer before it does (`prepare`).
  function pool({ size, stride, channels }, x) {
    const length = Math.floor((x.length / channels - size) / stride) + 1;
    const y = new Float64Array(length * channels);
    for (let l = 0; l < length; l++)
      for (let c = 0; c < channels; c++)
        y[l * channels + c] = x[highest(x, l * stride, size, channels, c)];
    return y;
  }

  function poolBack({ size, stride, channels }, x, slope) {
    const back = new Float64Array(x.length);
    slope.forEach((value, i) => {
      const position = Math.floor(i / channels) * stride;
      back[highest(x, position, size, channels, i % channels)] += value;
    });
    return back;
  }

  // Where in a map the first of the highest values of a window is.
  function highest(x, position, size, channels, channel) {
    let best = position * channels + channel;
    for (let i = best; i < (position + size) * channels; i += channels) if (x[i] > x[best]) best = i;
    return best;
  }

  // y[k] = Σ over l of W_pos[k, l] · Σ over c of W_chan[k, c] · x[l, c]
  function separable({ units, length, channels, first, second }, x) {
    const y = new Float64Array(units);
    for (let k = 0; k < units; k++)
      for (let l = 0; l < length; l++) {
        let sum = 0;
        for (let c = 0; c < channels; c++) sum += second[k * channels + c] * x[l * channels + c];
        y[k] += first[k * length + l] * sum;
      }
    return y;
  }

  function separableBack({ units, length, channels, first, second }, x, slope) {
    const back = new Float64Array(x.length);
    for (let k = 0; k < units; k++)
      for (let l = 0; l < length; l++) {
        const value = slope[k] * first[k * length + l];
        for (let c = 0; c < channels; c++) back[l * channels + c] += value * second[k * channels + c];
      }
    return back;
  }

  function dense({ inputs, outputs, first, second }, x) {
    const y = Float64Array.from(second);
    for (let i = 0; i < inputs; i++)
      for (let o = 0; o < outputs; o++) y[o] += x[i] * first[i * outputs + o];
    return y;
  }

  function denseBack({ inputs, outputs, first }, x, slope) {
    const back = new Float64Array(inputs);
    for (let i = 0; i < inputs; i++)
      for (let o = 0; o < outputs; o++) back[i] += slope[o] * first[i * outputs + o];
    return back;
  }

  // A network ready to compute. `score` gives logits and probabilities of all tasks, and what
  // each base adds to the logit of one.
  function prepare(network) {
    const layers = unpack(network);
    layers.forEach((layer, i) => {
      if (layer.kind === "pool") layer.channels = layers[i - 1].outputs;
    });
    return {
      ...network,
      score(codes, task) {
        const maps = forward(layers, codes);
        const logits = [...maps[maps.length - 1]];
        return {
          logits,
          probabilities: logits.map((logit) => 1 / (1 + Math.exp(-logit))),
          adds: contributions(codes, gradient(layers, maps, task)),
        };
      },
    };
  }

  // The codes of what was pasted, or an error in words. Lines of spaces, and one FASTA head, pass.
  function read(text, length) {
    const lines = text.split(/\r?\n/);
    const heads = lines.filter((line) => line.startsWith(">")).length;
    if (heads > 1) return { error: `Expected one sequence, got ${heads} lines that begin with “>”.` };
    const bases = lines.filter((line) => !line.startsWith(">")).join("").replace(/\s/g, "");
    const letters = [...bases.toUpperCase()];
    const bad = letters.findIndex((letter) => !LETTERS.includes(letter));
    if (bad >= 0)
      return {
        error:
          `Expected only the letters A, C, G, T and N, got “${[...bases][bad]}” at position ` +
          `${bad} (counted from 0).`,
      };
    const codes = letters.map((letter) => LETTERS.indexOf(letter));
    if (codes.length !== length)
      return {
        codes,
        error: codes.length
          ? `This network takes exactly ${length.toLocaleString("en")} bases, got ` +
            `${codes.length.toLocaleString("en")}.`
          : `Paste a sequence of ${length.toLocaleString("en")} bases.`,
      };
    return { codes };
  }

  const written = (codes) => codes.map((code) => LETTERS[code]).join("");
  const reverseComplement = (codes) => codes.map((code) => (code < 4 ? 3 - code : 4)).reverse();

  // Letters of the logo, in a box from 0 to 1, and their colours.
  const SHAPES = [
    "M0,1L.39,0H.61L1,1H.79L.7,.74H.3L.21,1ZM.36,.57H.64L.5,.17Z",
    "M.97,.34A.5,.5 0 1 0 .97,.66L.78,.6A.3,.31 0 1 1 .78,.4Z",
    "M.97,.34A.5,.5 0 1 0 1,.6V.46H.55V.62H.79A.3,.31 0 1 1 .78,.4Z",
    "M0,0H1V.18H.61V1H.39V.18H0Z",
  ];
  const COLOURS = ["#00875f", "#2f7fd0", "#b57900", "#d55e00"];
  const GROUNDS = ["#00764f", "#1f66b0", "#8a5d00", "#b34700"]; // under white letters
  const COLUMN = 17; // pixels of a base
  const LEFT = 44; // pixels of the axis
  const HEIGHT = 150; // of the logo
  const PROFILE = 84; // of the whole profile

  function draw(box, data) {
    const { make, number, select } = window.sfc;
    const networks = data.networks.map((network) => ({ ...network, ready: null }));
    const ready = () => (state.network.ready ??= prepare(state.network));
    const state = { network: networks[0], task: 0, start: 0, codes: [], first: [], cell: null };

    const choices = make("div", { class: "controls" });
    const samples = make("div", { class: "controls", role: "group", "aria-label": "Examples" });
    const text = make("textarea", {
      rows: 5,
      spellcheck: "false",
      autocapitalize: "characters",
      input: () => pasted(text.value),
    });
    const message = make("div", { class: "message", role: "alert" });
    const said = make("p", { class: "note said", "aria-live": "polite" });
    const scores = make("div", { class: "scroll" });
    const profile = make("div", { class: "profile" });
    const slider = make("input", {
      type: "range",
      min: 0,
      "aria-label": "First base of the part that is shown large",
      input: () => ((state.start = Number(slider.value)), drawLarge(), drawProfile()),
    });
    const large = make("div", { class: "large" });
    const results = make("div", { class: "results" }, scores, profile, slider, large);
    const again = make("button", { type: "button", click: () => mutated(state.first, null) });
    again.textContent = "Undo all mutations";
    const other = make("button", { type: "button", click: reversed }, "Reverse complement");
    box.append(
      choices,
      make("label", { class: "wide" }, make("span", { class: "expected" }), text),
      samples,
      make("div", { class: "controls" }, other, again),
      message,
      said,
      results,
    );
    if (data.missing.length)
      box.append(
        make(
          "p",
          { class: "note missing" },
          `No record holds a network of: ${data.missing.join(", ")}. Once one does, it is here.`,
        ),
      );
    if (!networks.length) {
      box.replaceChildren(box.lastChild ?? make("p", {}, "No record holds a network."));
      return;
    }

    function chosen(network) {
      const same = network.length === state.network.length && state.first.length;
      const sameTasks = network.data === state.network.data && state.first.length;
      state.network = network;
      if (!sameTasks) state.task = network.task;
      const titles = [...new Set(networks.map((n) => n.title))];
      const here = networks.filter((n) => n.title === network.title);
      choices.replaceChildren(
        select("Data", titles.map((t) => [t, t]), network.title, (title) =>
          chosen(networks.find((n) => n.title === title)),
        ),
        select("Network", here.map((n) => [n.id, n.name]), network.id, (id) =>
          chosen(networks.find((n) => n.id === id && n.title === network.title)),
        ),
      );
      box.querySelector(".expected").textContent =
        `Sequence: ${network.length.toLocaleString("en")} bases, A, C, G, T or N; FASTA is fine`;
      const examples = data.examples[network.data] ?? [];
      samples.replaceChildren(
        make("span", { class: "note" }, "Examples:"),
        ...examples.map(({ name, bases }) =>
          make("button", { type: "button", click: () => pasted((text.value = bases)) }, name),
        ),
      );
      if (same && !message.textContent) return show();
      pasted((text.value = same ? text.value : (examples[0]?.bases ?? "")));
    }

    function pasted(content) {
      const { codes, error } = read(content, state.network.length);
      message.replaceChildren(error ?? "");
      said.textContent = "";
      results.hidden = Boolean(error);
      other.disabled = again.disabled = Boolean(error);
      if (error) {
        if (codes?.length > state.network.length) message.append(" ", cutButton(codes));
        return;
      }
      state.codes = state.first = codes;
      state.start = null; // in view is then what stands out
      show();
    }

    function cutButton(codes) {
      const { length } = state.network;
      const from = Math.floor((codes.length - length) / 2);
      const click = () => pasted((text.value = written(codes.slice(from, from + length))));
      return make("button", { type: "button", click }, `Take the middle ${length}`);
    }

    function reversed() {
      pasted((text.value = written(reverseComplement(state.codes))));
      said.textContent = "This is the other strand, read in its own direction.";
    }

    // The sequence with other bases; `place` is the position that was changed, if it was one.
    function mutated(codes, place) {
      const before = state.score;
      const from = LETTERS[state.codes[place]];
      state.codes = codes;
      text.value = written(codes);
      show();
      const [logit, probability] = ["logits", "probabilities"].map((name, i) => {
        const [old, now] = [before[name][state.task], state.score[name][state.task]];
        const form = (v, plus) => number(v, 2 + i, plus);
        return `${form(old)} → ${form(now)} (${form(now - old, true)})`;
      });
      const change = `${state.network.tasks[state.task].name}: ${probability}, logit ${logit}.`;
      said.textContent =
        place === null
          ? `All bases as pasted. ${change}`
          : `Position ${place}: ${from} → ${LETTERS[codes[place]]}. ${change}`;
    }

    function show() {
      state.score = ready().score(state.codes, state.task);
      state.before = ready().score(state.first, state.task);
      again.disabled = written(state.codes) === written(state.first);
      drawScores();
      drawLarge();
      drawProfile();
    }

    function drawScores() {
      const { tasks } = state.network;
      const head = ["show", "label", "probability", "change", "logit"];
      const rows = tasks.map(({ name, means }, i) => {
        const value = state.score.probabilities[i];
        const change = value - state.before.probabilities[i];
        return make(
          "tr",
          {},
          make(
            "td",
            {},
            make("input", {
              type: "radio",
              name: "sfc-task",
              checked: i === state.task,
              "aria-label": `Show what adds to ${name}`,
              change: () => ((state.task = i), show()),
            }),
          ),
          make("th", { scope: "row" }, name, make("small", {}, `1 means: ${means}`)),
          make(
            "td",
            { class: "number probability", "data-logit": state.score.logits[i] },
            number(value),
          ),
          make("td", { class: "number" }, change ? number(change, 3, true) : "–"),
          make("td", { class: "number" }, number(state.score.logits[i], 2)),
        );
      });
      scores.replaceChildren(
        make(
          "table",
          {},
          make("thead", {}, make("tr", {}, head.map((h) => make("th", { scope: "col" }, h)))),
          make("tbody", {}, rows),
        ),
      );
    }

    // How many bases fit, and where the part begins: at first around the highest contribution.
    function part() {
      const { length } = state.network;
      const fit = Math.floor((box.clientWidth - LEFT) / COLUMN);
      const count = Math.max(8, Math.min(fit, length));
      if (state.start === null) {
        const sizes = state.score.adds.map(Math.abs);
        state.start = sizes.indexOf(Math.max(...sizes)) - Math.floor(count / 2);
      }
      state.start = Math.max(0, Math.min(state.start, length - count));
      slider.max = length - count;
      slider.value = state.start;
      return count;
    }

    function drawProfile() {
      const count = part();
      const width = Math.max(200, box.clientWidth);
      const { adds } = state.score;
      const top = Math.max(...adds.map(Math.abs), ...state.before.adds.map(Math.abs), 1e-9);
      const middle = PROFILE / 2;
      const step = (width - LEFT) / adds.length;
      const x = (l) => (LEFT + (l + 0.5) * step).toFixed(2);
      const y = (value) => (middle - (value / top) * (middle - 4)).toFixed(2);
      const bars = adds.map((value, l) => `M${x(l)},${middle}V${y(value)}`).join("");
      const before = state.before.adds.map((value, l) => `${x(l)},${y(value)}`).join(" ");
      const svg = make(
        "svg",
        {
          viewBox: `0 0 ${width} ${PROFILE + 18}`,
          role: "img",
          "aria-label":
            `What each base adds to the logit of ${state.network.tasks[state.task].name}, ` +
            `all ${adds.length} positions; highest ${number(Math.max(...adds), 2)} at position ` +
            `${adds.indexOf(Math.max(...adds))}.`,
          click: (event) => {
            const { left, width: shown } = svg.getBoundingClientRect();
            const place = ((event.clientX - left) * width) / shown - LEFT;
            state.start = Math.floor(place / step - count / 2);
            drawLarge();
            drawProfile();
          },
        },
        make("rect", {
          x: LEFT + state.start * step,
          y: 0,
          width: count * step,
          height: PROFILE,
          fill: "var(--sfc-accent)",
          "fill-opacity": 0.18,
        }),
        make("polyline", {
          points: before,
          fill: "none",
          stroke: "var(--sfc-muted)",
          "stroke-width": again.disabled ? 0 : 1,
        }),
        make("path", {
          d: bars,
          stroke: "var(--sfc-text)",
          "stroke-width": Math.max(0.8, 0.75 * step),
        }),
        make("line", { class: "axis", x1: LEFT, x2: width, y1: middle, y2: middle }),
        ...[top, -top].map((value) =>
          make("text", { x: LEFT - 4, y: value > 0 ? 10 : PROFILE, "text-anchor": "end" }, number(value, 2)),
        ),
        ...[0, 0.25, 0.5, 0.75, 1].map((share) => {
          const l = Math.round(share * (adds.length - 1));
          const anchor = share === 1 ? "end" : share ? "middle" : "start";
          return make("text", { x: x(l), y: PROFILE + 14, "text-anchor": anchor }, String(l));
        }),
      );
      profile.replaceChildren(svg);
    }

    function drawLarge() {
      const count = part();
      const { adds } = state.score;
      const places = Array.from({ length: count }, (_, i) => state.start + i);
      const most = Math.max(0, ...adds);
      const least = Math.min(0, ...adds);
      const scale = (HEIGHT - 8) / (most - least || 1);
      const zero = 4 + most * scale;
      const width = LEFT + count * COLUMN;
      const letters = places.flatMap((l, i) => {
        const code = state.codes[l];
        const high = Math.abs(adds[l]) * scale;
        if (code === 4 || high < 0.3) return [];
        const top = adds[l] > 0 ? zero - high : zero;
        const left = LEFT + i * COLUMN + 1;
        const place = `translate(${left},${top}) scale(${COLUMN - 2},${high})`;
        return make("path", {
          d: SHAPES[code],
          transform: place,
          fill: COLOURS[code],
          "fill-rule": "evenodd",
        });
      });
      const svg = make(
        "svg",
        {
          viewBox: `0 0 ${width} ${HEIGHT + 18}`,
          style: `width:${width}px`,
          role: "img",
          "aria-label":
            `Logo of positions ${places[0]} to ${places[count - 1]}: ` +
            places.map((l) => LETTERS[state.codes[l]]).join(""),
        },
        make("line", { class: "axis", x1: LEFT, x2: width, y1: zero, y2: zero }),
        ...letters,
        make("text", { x: LEFT - 4, y: zero + 4, "text-anchor": "end" }, "0"),
        make("text", { x: LEFT - 4, y: 12, "text-anchor": "end" }, most * scale > 20 ? number(most, 2) : ""),
        ...places
          .map((l, i) => [l, i])
          .filter(([l]) => l % 10 === 0)
          .map(([l, i]) =>
            make("text", { x: LEFT + (i + 0.5) * COLUMN, y: HEIGHT + 14, "text-anchor": "middle" }, String(l)),
          ),
      );
      const keys = make(
        "div",
        { class: "bases", role: "grid", "aria-label": "Bases: choose another one to mutate", keydown: moved },
        [0, 1, 2, 3].map((code) =>
          make(
            "div",
            { role: "row" },
            make("span", { role: "rowheader" }, LETTERS[code]),
            places.map((l) => key(l, code)),
          ),
        ),
      );
      large.replaceChildren(svg, keys);
      (keys.querySelector(`[data-place="${state.cell}"]`) ?? keys.querySelector("button")).tabIndex = 0;
    }

    function key(l, code) {
      const here = state.codes[l] === code;
      const was = LETTERS[state.first[l]];
      const changed = state.codes[l] !== state.first[l];
      const click = () => {
        state.cell = `${l} ${code}`;
        if (!here) mutated(state.codes.map((old, i) => (i === l ? code : old)), l);
        large.querySelector(`[data-place="${state.cell}"]`)?.focus();
      };
      return make(
        "button",
        {
          type: "button",
          role: "gridcell",
          tabindex: -1,
          class: `${here ? "here" : ""} ${changed ? "changed" : ""}`,
          style: here ? `background:${GROUNDS[code]}` : undefined,
          "data-place": `${l} ${code}`,
          "aria-selected": String(here),
          "aria-label": `position ${l}, ${LETTERS[code]}${here && changed ? `, was ${was}` : ""}`,
          title: here ? `position ${l}` : `position ${l}: ${LETTERS[state.codes[l]]} → ${LETTERS[code]}`,
          click,
        },
        here ? LETTERS[code] : "",
      );
    }

    // Arrow keys move from base to base, and the part along with them.
    function moved(event) {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      const from = event.target.dataset.place?.split(" ").map(Number);
      if (!step || !from) return;
      event.preventDefault();
      const l = Math.max(0, Math.min(from[0] + step[0], state.codes.length - 1));
      const code = Math.max(0, Math.min(from[1] + step[1], 3));
      state.cell = `${l} ${code}`;
      const count = part();
      if (l < state.start || l >= state.start + count) state.start += step[0];
      drawLarge();
      drawProfile();
      large.querySelector(`[data-place="${state.cell}"]`).focus();
    }

    chosen(networks[0]);
    window.sfc.onWidth(box, () => {
      if (results.hidden) return;
      drawLarge();
      drawProfile();
    });
  }

  (window.sfcWidgets ??= {}).sequence = draw;
  window.sfcNetworks = { halves, prepare, read };
})();
