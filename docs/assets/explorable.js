// Draws the explorable page. Every position and every number comes from generated/explorable, which the project's
// Python computes when the site is built; here they are looked up and put on the screen. Only the contours of what KDS
// sees are computed, in explorable-contours.js.
(() => {
  "use strict";
  const SOURCE = document.currentScript.src;
  const root = document.querySelector(".kds-explorable");
  const data = window.kdsExplorable;
  if (!root || !data) return;

  const SVG = "http://www.w3.org/2000/svg";
  const { settings, fractions, side, units } = data;
  const FRAMES = fractions.length;
  const MODES = settings.mixture.weights.length;
  const part = (name) => root.querySelector(`[data-part="${name}"]`);

  // --- Looking up -------------------------------------------------------------------------------------------
  const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const VALUE = Object.fromEntries([...ALPHABET].map((letter, value) => [letter, value]));
  const at = (text, i) => 64 * VALUE[text[2 * i]] + VALUE[text[2 * i + 1]];

  // Rows are in the order (method, bandwidth): DDIM first, then cut-offs times strengths. The wrong implementations,
  // of which the second file has (mistake, cut-off) for one strength, are methods "wrong".
  const row = (method, bandwidth) => method.number * settings.bandwidths.length + bandwidth;
  const PLAIN = { set: "right", number: 0 };
  const steeredMethod = (s) =>
    s.implementation
      ? { set: "wrong", number: (s.implementation - 1) * settings.cutoffs.length + s.cutoff }
      : { set: "right", number: 1 + s.cutoff * settings.strengths.length + s.strength };
  const ensembleOf = (method, n) => (method.set === "right" ? data.ensembles : window.kdsExplorableMore.wrong)[n];

  // What KDS sees: for each particle the predicted clean point and the end of its full shift, (x, y, x, y).
  function lookUpSeen(s, method, frame) {
    const n = settings.n_particles[s.particles];
    const seen = window.kdsExplorableMore.seen[n][method.set];
    const i = row(method, s.bandwidth) * FRAMES + frame;
    const picture = 4096 * at(seen.index, 2 * i) + at(seen.index, 2 * i + 1);
    return [...Array(n).keys()].map((k) => [0, 1, 2, 3].map((j) => at(seen.pictures, 4 * (picture * n + k) + j)));
  }

  function lookUp(s, method, frame) {
    const n = settings.n_particles[s.particles];
    const ensemble = ensembleOf(method, n);
    const r = row(method, s.bandwidth);
    const picture = at(ensemble.index, r * FRAMES + frame);
    const counts = [...Array(MODES).keys()].map((mode) => at(ensemble.counts, r * MODES + mode));
    return {
      n,
      point: (i) => [at(ensemble.pictures, 2 * (picture * n + i)), at(ensemble.pictures, 2 * (picture * n + i) + 1)],
      variance: at(ensemble.variance, r * FRAMES + frame) * units.variance,
      effective: at(ensemble.effective_particles, r * FRAMES + frame) * units.effective_particles,
      shares: counts.map((count) => Math.round((100 * count) / n)),
    };
  }

  // --- The state and its controls ---------------------------------------------------------------------------
  const LISTS = {
    particles: settings.n_particles,
    bandwidth: settings.bandwidths,
    strength: settings.strengths,
    frame: fractions,
  };
  const timeText = (frame) => fractions[frame].toFixed(2);
  const TEXTS = { frame: timeText };
  const text = (name, i) => (TEXTS[name] ? TEXTS[name](i) : String(LISTS[name][i]));
  const state = {
    particles: settings.n_particles.length - 1,
    bandwidth: settings.bandwidths.indexOf(0.3),
    strength: settings.strengths.indexOf(0.3),
    cutoff: settings.cutoffs.indexOf(0),
    frame: 0, // before the result: guess first
    implementation: 0, // 0 is right
  };
  const sliders = {};
  for (const [name, values] of Object.entries(LISTS)) {
    sliders[name] = root.querySelector(`input[name="${name}"]`);
    sliders[name].max = values.length - 1;
    sliders[name].addEventListener("input", (event) => {
      if (name === "frame") pause();
      set({ [name]: Number(event.target.value) });
    });
  }
  const cutoffs = [...root.querySelectorAll('input[name="cutoff"]')];
  cutoffs.forEach((input) => input.addEventListener("change", () => set({ cutoff: Number(input.value) })));
  const switches = [...root.querySelectorAll('input[name="implementation"]')];
  switches.forEach((input) =>
    input.addEventListener("change", () => withMore(() => set({ implementation: Number(input.value) }))),
  );
  part("paths").addEventListener("change", () => draw());
  part("sees").addEventListener("change", () => withMore(() => set({})));

  // The second file is fetched when it is needed first.
  function withMore(then) {
    if (window.kdsExplorableMore) return then();
    part("loading").hidden = false;
    const script = document.createElement("script");
    script.src = new URL("../generated/explorable/more.js", SOURCE);
    script.addEventListener("load", () => {
      part("loading").hidden = true;
      then();
    });
    document.head.append(script);
  }

  function set(change) {
    Object.assign(state, change);
    draw();
    announceSoon();
    writeAddress();
  }

  // --- The settings in the address, so that a view can be sent to somebody -------------------------------------
  // Not "h" for the bandwidth: the theme's search reads that, to mark what was looked for.
  const ADDRESS = { N: "particles", bandwidth: "bandwidth", strength: "strength", cutoff: "cutoff", t: "frame" };
  const valuesOf = (name) =>
    name === "cutoff" ? settings.cutoffs.map(String) : LISTS[name].map((_, i) => text(name, i));

  function writeAddress() {
    const query = new URLSearchParams();
    for (const [key, name] of Object.entries(ADDRESS)) query.set(key, valuesOf(name)[state[name]]);
    if (state.implementation) query.set("wrong", state.implementation);
    if (part("sees").checked) query.set("sees", 1);
    try {
      history.replaceState(null, "", `?${query}`);
    } catch {
      // a page that was opened from a folder may not change its address
    }
  }

  function readAddress() {
    const query = new URLSearchParams(location.search);
    for (const [key, name] of Object.entries(ADDRESS)) {
      const index = valuesOf(name).indexOf(query.get(key));
      if (index >= 0) state[name] = index;
    }
    const wrong = Number(query.get("wrong"));
    const wanted = switches.some((input) => Number(input.value) === wrong) ? wrong : 0;
    const sees = query.get("sees") === "1";
    part("sees").checked = sees && Boolean(window.kdsExplorableMore);
    if (wanted || sees) {
      withMore(() => {
        part("sees").checked = sees;
        set({ implementation: wanted });
      });
    }
  }

  // --- Drawing ----------------------------------------------------------------------------------------------
  function element(parent, tag, attributes) {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    parent.append(made);
    return made;
  }

  function makePanel(name) {
    const svg = part(name);
    svg.setAttribute("viewBox", `0 0 ${side} ${side}`);
    const contours = data.masses.map((_, i) => element(svg, "path", { class: `kds-level kds-level-${i}` }));
    const estimate = data.masses.map(() => element(svg, "path", { class: "kds-estimate" }));
    const [paths, dots, seen] = ["paths", "dots", "seen"].map((group) =>
      element(svg, "g", { class: `kds-${group}` }),
    );
    return { svg, contours, estimate, paths, dots, seen };
  }
  const panels = { ddim: makePanel("ddim"), kds: makePanel("kds") };

  function drawPanel(panel, label, method) {
    const now = lookUp(state, method, state.frame);
    panel.contours.forEach((path, i) => path.setAttribute("d", data.contours[state.frame][i]));
    while (panel.dots.childElementCount > now.n) panel.dots.lastChild.remove();
    while (panel.dots.childElementCount < now.n) element(panel.dots, "circle", {});
    [...panel.dots.children].forEach((dot, i) => {
      const [x, y] = now.point(i);
      dot.setAttribute("cx", x);
      dot.setAttribute("cy", y);
    });
    drawPaths(panel, method, now.n);
    drawSeen(panel, method);
    panel.svg.setAttribute(
      "aria-label",
      `${label}: ${now.n} particles at t/T = ${timeText(state.frame)}, over the exact density`,
    );
    return now;
  }

  function drawPaths(panel, method, n) {
    panel.paths.replaceChildren();
    if (!part("paths").checked) return;
    const before = [];
    for (let frame = 0; frame <= state.frame; frame += 1) before.push(lookUp(state, method, frame));
    for (let i = 0; i < n; i += 1) {
      element(panel.paths, "polyline", { points: before.map((past) => past.point(i).join(" ")).join(" ") });
    }
  }

  // The predicted clean points, where a full shift takes each, and the contours of their kernel density estimate.
  function drawSeen(panel, method) {
    panel.seen.replaceChildren();
    panel.estimate.forEach((path) => path.setAttribute("d", ""));
    const on = part("sees").checked && window.kdsExplorableMore;
    panel.svg.classList.toggle("kds-sees", Boolean(on));
    if (!on) return;
    const { density, levels, path } = window.kdsContours;
    const seen = lookUpSeen(state, method, state.frame);
    const h = (settings.bandwidths[state.bandwidth] * (side - 1)) / (2 * data.half_width);
    const values = density(seen, h, side);
    levels(values, data.masses).forEach((level, i) => panel.estimate[i].setAttribute("d", path(values, level, side)));
    for (const [x, y, toX, toY] of seen) {
      element(panel.seen, "line", { x1: x, y1: y, x2: toX, y2: toY });
      element(panel.seen, "circle", { cx: x, cy: y });
    }
  }

  // The chart: variance against time, on a logarithmic axis from 0.001 to 1.
  const CHART = { width: 420, height: 190, left: 46, right: 10, top: 12, bottom: 34, low: 1e-3 };
  const across = (fraction) => CHART.left + (1 - fraction) * (CHART.width - CHART.left - CHART.right);
  const down = (variance) =>
    CHART.top + (Math.log10(Math.max(variance, CHART.low)) / Math.log10(CHART.low)) *
    (CHART.height - CHART.top - CHART.bottom);

  function makeChart() {
    const svg = part("chart");
    svg.setAttribute("viewBox", `0 0 ${CHART.width} ${CHART.height}`);
    const [left, right] = [across(1), across(0)];
    const off = element(svg, "rect", { class: "kds-off", y: CHART.top, height: down(CHART.low) - CHART.top });
    const offText = element(svg, "text", { class: "kds-off-text", y: CHART.top + 13, "text-anchor": "end", x: right - 4 });
    offText.textContent = "no steering";
    for (const value of [1, 0.1, 0.01, 0.001]) {
      element(svg, "line", { class: "kds-grid", x1: left, x2: right, y1: down(value), y2: down(value) });
      element(svg, "text", { x: left - 6, y: down(value) + 4, "text-anchor": "end" }).textContent = String(value);
    }
    for (const value of [1, 0.8, 0.6, 0.4, 0.2, 0]) {
      element(svg, "text", { x: across(value), y: CHART.height - 18, "text-anchor": "middle" }).textContent =
        String(value);
    }
    element(svg, "text", { x: (left + right) / 2, y: CHART.height - 3, "text-anchor": "middle" }).textContent = "t/T";
    const marker = element(svg, "line", { class: "kds-now", y1: CHART.top, y2: down(CHART.low) });
    const lines = {};
    const dots = {};
    for (const name of ["ddim", "kds"]) {
      lines[name] = element(svg, "polyline", { class: `kds-line kds-line-${name}` });
      dots[name] = element(svg, "circle", { class: `kds-dot-${name}`, r: 4.5 });
    }
    return { svg, off, offText, marker, lines, dots };
  }
  const chart = makeChart();

  function drawChart(methods) {
    const steered = state.strength || state.implementation ? data.steered[state.cutoff] : fractions.map(() => false);
    const first = steered.indexOf(false); // from this picture on nothing is steered
    const start = across(fractions[first]);
    chart.off.setAttribute("x", start);
    chart.off.setAttribute("width", across(0) - start);
    chart.offText.style.display = across(0) - start > 70 ? "" : "none";
    chart.marker.setAttribute("x1", across(fractions[state.frame]));
    chart.marker.setAttribute("x2", across(fractions[state.frame]));
    for (const [name, method] of Object.entries(methods)) {
      const heights = fractions.map((_, frame) => down(lookUp(state, method, frame).variance));
      const points = fractions.map((fraction, frame) => `${across(fraction)} ${heights[frame]}`);
      chart.lines[name].setAttribute("points", points.join(" "));
      chart.dots[name].setAttribute("cx", across(fractions[state.frame]));
      chart.dots[name].setAttribute("cy", heights[state.frame]);
    }
  }

  const format = {
    variance: (numbers) => numbers.variance.toFixed(3),
    shares: (numbers) => numbers.shares.join(" / "),
    effective: (numbers) => numbers.effective.toFixed(1),
  };
  let spoken = "";

  function draw() {
    for (const [name, slider] of Object.entries(sliders)) {
      slider.value = state[name];
      slider.setAttribute("aria-valuetext", text(name, state[name]));
      part(`${name}-value`).textContent = text(name, state[name]);
    }
    cutoffs.forEach((input) => { input.checked = Number(input.value) === state.cutoff; });
    switches.forEach((input) => { input.checked = Number(input.value) === state.implementation; });
    sliders.strength.disabled = Boolean(state.implementation);
    if (state.implementation) {
      part("strength-value").textContent = String(window.kdsExplorableMore.strength);
    }
    root.classList.toggle("kds-wrong", Boolean(state.implementation));
    const methods = { ddim: PLAIN, kds: steeredMethod(state) };
    const numbers = {
      ddim: drawPanel(panels.ddim, "DDIM", methods.ddim),
      kds: drawPanel(panels.kds, "DDIM + KDS", methods.kds),
    };
    drawChart(methods);
    for (const [method, values] of Object.entries(numbers)) {
      for (const [name, write] of Object.entries(format)) part(`${method}-${name}`).textContent = write(values);
    }
    const on = (state.strength > 0 || state.implementation > 0) && data.steered[state.cutoff][state.frame];
    part("moment").textContent = `t/T = ${timeText(state.frame)}`;
    const status = state.frame === FRAMES - 1 ? "the result" : on ? "steering" : "not steering";
    part("status").textContent = status;
    const { ddim, kds } = numbers;
    spoken =
      `t/T ${timeText(state.frame)}, ${status}. Variance within a mode: DDIM ${format.variance(ddim)}, ` +
      `DDIM + KDS ${format.variance(kds)}. Shares of the modes in percent: DDIM ${format.shares(ddim)}, ` +
      `DDIM + KDS ${format.shares(kds)}. Effective particles: DDIM ${format.effective(ddim)}, ` +
      `DDIM + KDS ${format.effective(kds)}.`;
    chart.svg.setAttribute(
      "aria-label",
      `Variance within a mode against t/T, logarithmic, from noise to data; now ${format.variance(ddim)} with DDIM ` +
      `and ${format.variance(kds)} with DDIM + KDS`,
    );
  }

  // A screen reader hears the numbers when the reader has stopped moving, not at every picture.
  let announcing = 0;
  function announceSoon() {
    clearTimeout(announcing);
    if (!playing) announcing = setTimeout(() => { part("live").textContent = spoken; }, 500);
  }

  // --- Time -------------------------------------------------------------------------------------------------
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const button = part("play");
  let playing = 0;

  function pause() {
    clearInterval(playing);
    playing = 0;
    button.textContent = "Play";
    announceSoon();
  }

  function play() {
    if (state.frame === FRAMES - 1) set({ frame: 0 });
    // Whoever wants less motion gets five stills, a second and a half each.
    const [jump, milliseconds] = calm.matches ? [Math.ceil((FRAMES - 1) / 5), 1500] : [1, 170];
    button.textContent = "Pause";
    playing = setInterval(() => {
      set({ frame: Math.min(state.frame + jump, FRAMES - 1) });
      if (state.frame === FRAMES - 1) pause();
    }, milliseconds);
  }
  button.addEventListener("click", () => (playing ? pause() : play()));

  // --- Things to try: buttons of the text set the sliders to the values they name ------------------------------
  for (const choice of document.querySelectorAll("button[data-kds]")) {
    choice.disabled = false;
    choice.addEventListener("click", () => {
      const wanted = JSON.parse(choice.dataset.kds);
      pause();
      set({
        particles: settings.n_particles.indexOf(wanted.particles),
        bandwidth: settings.bandwidths.indexOf(wanted.bandwidth),
        strength: settings.strengths.indexOf(wanted.strength),
        cutoff: settings.cutoffs.indexOf(wanted.cutoff),
        implementation: 0,
        frame: FRAMES - 1,
      });
      root.scrollIntoView({ block: "start", behavior: calm.matches ? "auto" : "smooth" });
      button.focus({ preventScroll: true });
    });
  }

  root.classList.add("kds-ready");
  readAddress();
  draw();
})();
