// Bring your own prior: two sliders, a picture that can be dragged, and the numbers that follow.
(() => {
  "use strict";

  const { answer, likelihood, percent, ratio, ticks, Z95 } = PanelNumbers;
  const { data, onWidth, path, speaker, svg } = PanelDrawing;
  const panel = data("prior-data");
  const section = document.getElementById("prior-panel");
  if (!panel || !section) return;

  const at = (name) => section.querySelector(`[data-at="${name}"]`);
  const [picture, centre, width, cut] = ["picture", "centre", "width", "cut"].map(at);
  const say = speaker(at("status"));
  const sign = panel.benefit === "higher" ? ">" : "<";
  const [LOW, HIGH] = panel.range;
  const [NARROW, WIDE] = panel.widths;
  const POINTS = Array.from({ length: 241 }, (_, i) => LOW + ((HIGH - LOW) * i) / 240);
  const LIKELIHOOD = likelihood(panel, POINTS);
  const HEIGHT = 330;
  const PLOT = 215;
  const ROWS = { prior: PLOT + 44, after: PLOT + 72 };
  const state = { loc: 0, scale: 1, cut: panel.thresholds[1] };
  let room = 0;

  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const across = (x) => 14 + ((room - 28) * (x - LOW)) / (HIGH - LOW);
  const along = (pixel) => LOW + ((HIGH - LOW) * (pixel - 14)) / (room - 28);

  const named = (name) => panel.stances.find((stance) => stance.name === name);
  const held = (stance) =>
    Math.abs(stance.loc - state.loc) < 1e-4 && Math.abs(stance.scale - state.scale) < 1e-4;

  function number(cell, value, text) {
    cell.dataset.value = value === null ? "" : String(value);
    cell.textContent = text;
  }

  function chance(cell, found) {
    const error = found.mcse > 0 ? ` ± ${(100 * found.mcse).toFixed(1)}` : "";
    number(cell, found.probability, percent(found.probability) + error);
  }

  function column(name, side) {
    const missing = side === null;
    panel.thresholds.forEach((c, i) => {
      const cell = at(`${name}-chance-${i}`);
      if (missing) number(cell, null, "–");
      else chance(cell, side.at(c));
    });
    number(at(`${name}-median`), side?.median ?? null, missing ? "–" : ratio(side.median));
    const interval = at(`${name}-interval`);
    interval.dataset.lower = missing ? "" : side.lower;
    interval.dataset.upper = missing ? "" : side.upper;
    interval.textContent = missing ? "–" : `${ratio(side.lower)} to ${ratio(side.upper)}`;
  }

  function worth(found) {
    const cell = at("patients");
    if (found.patients === null) {
      number(cell, null, "The number of patients that this prior is worth cannot be told here.");
      return;
    }
    const size = found.patients;
    const shown = size >= 1000 ? "more than 1000" : size < 0.1 ? "less than 0.1"
      : size.toFixed(size < 10 ? 1 : 0);
    number(cell, size, `This prior is worth about ${shown} of this trial’s patients; the trial has `
      + `${panel.patients}.`);
  }

  function draws(found) {
    const line = at("effective");
    if (panel.kind === "normal") return;
    line.dataset.effective = found.effective;
    line.dataset.k = found.k;
    line.dataset.supported = found.supported;
    line.textContent = `Reweighted from ${panel.draws.length} stored draws, which count for `
      + `${Math.round(found.effective)} under this prior.`;
  }

  function refusal(found) {
    const box = at("warning");
    box.hidden = found.supported;
    if (found.supported) return;
    const few = found.effective < panel.least_effective;
    const reason = few
      ? `the ${panel.draws.length} stored draws count for no more than `
        + `${Math.max(1, Math.round(found.effective))} under it (at least ${panel.least_effective} `
        + "are needed)"
      : `too much would hang on the few outermost draws (Pareto k `
        + `${Number.isFinite(found.k) ? found.k.toFixed(2) : "not defined"}, limit `
        + `${found.limit.toFixed(2)})`;
    at("warning-text").textContent = "This prior is too far from the one that the model was fitted "
      + `with: ${reason}. No answer is shown, for it would be a guess. Fit the model again with `
      + "this prior to see it, or choose a prior nearer to the trial.";
  }

  function words(found) {
    const { before } = found;
    const stance = panel.stances.find(held);
    const text = `Rate ratio ${ratio(before.median)}, and 95\u00a0% sure that it lies between `
      + `${ratio(before.lower)} and ${ratio(before.upper)}`
      + (stance ? ` (${stance.name})` : "");
    at("prior-words").textContent = `${text}.`;
    at("reason").textContent = stance ? `Why one may hold it: ${stance.why}.` : "";
    const [c] = panel.thresholds;
    const spoken = found.supported
      ? `Afterwards: probability of a rate ratio ${sign === "<" ? "below" : "above"} ${c} `
        + `${percent(found.after.at(c).probability)}; rate ratio ${ratio(found.after.median)}, `
        + `${ratio(found.after.lower)} to ${ratio(found.after.upper)}.`
      : at("warning-text").textContent;
    say(`${text}. ${spoken}`);
    return `Prior: ${text}. ${spoken}`;
  }

  function reading(found) {
    const c = state.cut;
    const after = found.supported ? percent(found.after.at(c).probability) : "not known";
    const text = `P(RR\u00a0${sign}\u00a0${ratio(c)}): ${percent(found.before.at(c).probability)} before, `
      + `${after} after the trial`;
    at("reading").textContent = text;
    cut.setAttribute("aria-valuetext", text);
  }

  function show() {
    const found = answer(panel, state);
    column("before", found.before);
    column("after", found.after);
    worth(found);
    draws(found);
    refusal(found);
    reading(found);
    const spoken = words(found);
    centre.value = state.loc;
    width.value = Math.log(state.scale);
    cut.value = Math.log(state.cut);
    centre.setAttribute("aria-valuetext", `rate ratio ${ratio(found.before.median)}`);
    width.setAttribute("aria-valuetext", "95\u00a0% of the prior between "
      + `${ratio(found.before.lower)} and ${ratio(found.before.upper)}`);
    at("centre-shown").textContent = ratio(found.before.median);
    at("width-shown").textContent = `${ratio(found.before.lower)} to ${ratio(found.before.upper)}`;
    for (const button of section.querySelectorAll("[data-stance]")) {
      button.setAttribute("aria-pressed", held(named(button.dataset.stance)));
    }
    if (room) draw(found, spoken);
  }

  function curve(heights, top, kind) {
    const y = (height) => PLOT - ((PLOT - 12) * height) / top;
    const points = POINTS.map((x, i) => [across(x), y(heights[i])]);
    const line = svg("path", { class: `curve ${kind}`, d: path(points) });
    if (kind !== "after") return [line];
    const area = `${path([[across(LOW), PLOT], ...points, [across(HIGH), PLOT]])}Z`;
    return [svg("path", { class: "area after", d: area }), line];
  }

  function bar(kind, y, side) {
    const [low, high] = [side.lower, side.upper].map((v) => across(clamp(Math.log(v), LOW, HIGH)));
    const middle = across(clamp(Math.log(side.median), LOW, HIGH));
    return [
      svg("line", { class: `curve ${kind}`, x1: low, x2: high, y1: y, y2: y }),
      svg("circle", { class: `dot ${kind}`, cx: middle, cy: y, r: 4.5 }),
    ];
  }

  function handle(part, x, y, shape) {
    const hit = svg("circle", { class: "hit", cx: x, cy: y, r: 16, "data-drag": part });
    return svg("g", { class: "handle" }, hit, shape);
  }

  function handles(found) {
    const y = ROWS.prior;
    const middle = across(clamp(state.loc, LOW, HIGH));
    const ends = [found.before.lower, found.before.upper].map(Math.log);
    const shapes = [handle("centre", middle, y, svg("path", {
      class: "grip", d: `M${middle - 8} ${y}l8 -8l8 8l-8 8Z`,
    }))];
    for (const end of ends) {
      const x = across(clamp(end, LOW, HIGH));
      shapes.push(handle("width", x, y, svg("rect", {
        class: "grip", x: x - 4, y: y - 9, width: 8, height: 18, rx: 2,
      })));
    }
    return shapes;
  }

  // a line over the whole height, but not through the numbers of the axis
  function upright(kind, x) {
    return [[kind === "cut" ? 22 : 6, PLOT], [PLOT + 26, HEIGHT - 24]].map(([y1, y2]) =>
      svg("line", { class: kind, x1: x, x2: x, y1, y2 }));
  }

  function axis() {
    const parts = [svg("line", { class: "axis", x1: 0, x2: room, y1: PLOT, y2: PLOT })];
    for (const tick of ticks(LOW, HIGH, room < 420 ? 5 : 8)) {
      const x = across(Math.log(tick));
      parts.push(svg("line", { class: "axis", x1: x, x2: x, y1: PLOT, y2: PLOT + 5 }));
      parts.push(svg("text", { x, y: PLOT + 19, "text-anchor": "middle" }, String(tick)));
    }
    return [...parts, ...upright("none", across(0))];
  }

  function shade() {
    const zero = across(0);
    const [x, wide] = panel.benefit === "higher" ? [zero, room - zero] : [0, zero];
    const better = svg("rect", { class: "better", x, y: 0, width: wide, height: PLOT });
    const anchor = panel.benefit === "higher" ? "start" : "end";
    const place = zero + (panel.benefit === "higher" ? 6 : -6);
    const text = { class: "side", x: place, y: 14, "text-anchor": anchor };
    return [better, svg("text", text, panel.benefit === "higher" ? "more →" : "← fewer")];
  }

  function draw(found, spoken) {
    const before = POINTS.map(found.before.density);
    const after = found.supported ? POINTS.map(found.after.density) : null;
    const known = LIKELIHOOD.filter((y) => !Number.isNaN(y));
    const top = 1.08 * Math.max(...known, ...before, ...(after ?? [0]));
    const mark = across(clamp(Math.log(state.cut), LOW, HIGH));
    picture.setAttribute("viewBox", `0 0 ${room} ${HEIGHT}`);
    picture.setAttribute("aria-label", `Curves of the rate ratio before and after the trial. ${spoken}`);
    picture.replaceChildren(
      ...shade(),
      ...axis(),
      ...upright("cut", mark),
      ...(after ? curve(after, top, "after") : []),
      ...curve(LIKELIHOOD, top, "trial"),
      ...curve(before, top, "prior"),
      ...bar("prior", ROWS.prior, found.before),
      ...(after ? bar("after", ROWS.after, found.after) : []),
      ...handles(found),
      svg("text", { x: room / 2, y: HEIGHT - 4, "text-anchor": "middle" }, "rate ratio"),
    );
  }

  function set(changes, keep = true) {
    Object.assign(state, changes);
    state.loc = clamp(state.loc, LOW, HIGH);
    state.scale = clamp(state.scale, NARROW, WIDE);
    show();
    if (!keep) return;
    const { short } = PanelAddress;
    PanelAddress.keep({
      centre: short(Math.exp(state.loc)), width: short(state.scale), at: short(state.cut),
    });
  }

  function restore() {
    const parts = PanelAddress.read(location.hash);
    const [loc, scale] = [panel.start.loc, panel.start.scale];
    const found = { loc, scale };
    if (parts) {
      const rate = PanelAddress.positive(parts, "centre", Math.exp(LOW), Math.exp(HIGH));
      const spread = PanelAddress.positive(parts, "width", NARROW, WIDE);
      const threshold = PanelAddress.positive(parts, "at", Math.exp(LOW), Math.exp(HIGH));
      if (rate !== null) found.loc = Math.log(rate);
      if (spread !== null) found.scale = spread;
      if (threshold !== null) found.cut = threshold;
    }
    set(found, false);
    return parts !== null && ["centre", "width", "at"].some((key) => parts.has(key));
  }

  // arrow keys in steps that can be seen; Home and End are the browser's own
  function keys(slider, step) {
    const steps = {
      ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10,
    };
    slider.addEventListener("keydown", (event) => {
      const by = steps[event.key];
      if (!by || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const next = clamp(Number(slider.value) + by * step, Number(slider.min), Number(slider.max));
      slider.value = next;
      slider.dispatchEvent(new Event("input"));
    });
  }

  function drags() {
    let part = null;
    const place = (event) => event.clientX - picture.getBoundingClientRect().left;
    picture.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      part = event.target.dataset?.drag ?? null;
      if (part) picture.setPointerCapture(event.pointerId);
      else set({ cut: Math.exp(clamp(along(place(event)), LOW, HIGH)) });
    });
    picture.addEventListener("pointermove", (event) => {
      const x = along(place(event));
      if (part === "centre") set({ loc: x });
      else if (part === "width") set({ scale: Math.max(Math.abs(x - state.loc) / Z95, NARROW) });
      else if (event.pointerType === "mouse") set({ cut: Math.exp(clamp(x, LOW, HIGH)) }, false);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      picture.addEventListener(end, () => {
        part = null;
      });
    }
  }

  // the address follows the hand late; the link is made when it is wanted
  function link() {
    const { short } = PanelAddress;
    const parts = PanelAddress.read(location.hash) ?? new URLSearchParams();
    parts.set("centre", short(Math.exp(state.loc)));
    parts.set("width", short(state.scale));
    parts.set("at", short(state.cut));
    at("link").href = PanelAddress.write(parts);
  }

  section.hidden = false;
  for (const event of ["pointerenter", "focus", "touchstart"]) {
    at("link").addEventListener(event, link, { passive: true });
  }
  document.querySelector('nav [href="#your-prior"]')?.parentElement.removeAttribute("hidden");
  centre.addEventListener("input", () => set({ loc: Number(centre.value) }));
  width.addEventListener("input", () => set({ scale: Math.exp(Number(width.value)) }));
  cut.addEventListener("input", () => set({ cut: Math.exp(Number(cut.value)) }));
  keys(centre, 0.02);
  keys(width, 0.03);
  keys(cut, 0.02);
  drags();
  for (const button of section.querySelectorAll("[data-stance]")) {
    const stance = named(button.dataset.stance);
    button.addEventListener("click", () => set({ loc: stance.loc, scale: stance.scale }));
  }
  onWidth(picture.parentElement, (wide) => {
    room = wide;
    show();
  });
  addEventListener("hashchange", restore);
  if (restore()) section.scrollIntoView();
})();
