// Specification curve: every analysis as one line, those that a reader would accept picked out.
(() => {
  "use strict";

  const { percent, ratio, ticks } = PanelNumbers;
  const { data, html, onWidth, speaker, svg } = PanelDrawing;
  const table = data("specifications-data");
  const section = document.getElementById("specifications-panel");
  if (!table || !section) return;

  const at = (name) => section.querySelector(`[data-at="${name}"]`);
  const picture = at("picture");
  const say = speaker(at("status"));
  const HEIGHT = 260;
  const LEFT = 42;
  const choices = Object.entries(table.choices);
  const hidden = new Map(choices.map(([name]) => [name, new Set()]));
  let shown = table.rows;
  let room = 0;

  const plain = (name) => name.replaceAll("_", " ");
  const accepted = (row) => choices.every(([name]) => !hidden.get(name).has(row[name]));
  const words = (row) => `rate ratio ${ratio(row.median)} (${ratio(row.lower)} to `
    + `${ratio(row.upper)}), P(RR\u00a0<\u00a01) ${percent(row.prob_below_1)}`;

  function tell() {
    const [count, all] = [shown.length, table.rows.length];
    if (count === 0) return `None of the ${all} analyses is left: allow more options.`;
    const ends = (key) => [
      Math.min(...shown.map((row) => row[key])), Math.max(...shown.map((row) => row[key])),
    ];
    const [low, high] = ends("median").map(ratio);
    const [least, most] = ends("prob_below_1").map(percent);
    return `${count} of ${all} analyses: rate ratio from ${low} to ${high}, P(RR\u00a0<\u00a01) from ${least} `
      + `to ${most}.`;
  }

  function draw() {
    const logs = table.rows.flatMap((row) => [row.lower, row.upper].map(Math.log));
    const low = Math.max(Math.min(...logs), -5);
    const high = Math.min(Math.max(...logs), 5);
    const down = (value) => {
      const x = Math.min(Math.max(Math.log(value), low), high);
      return 8 + ((HEIGHT - 34) * (high - x)) / (high - low);
    };
    const step = (room - LEFT - 8) / Math.max(shown.length, 1);
    const parts = [];
    for (const tick of ticks(low, high, 6)) {
      const y = down(tick);
      parts.push(svg("line", { class: tick === 1 ? "none" : "grid", x1: LEFT, x2: room, y1: y, y2: y }));
      parts.push(svg("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, String(tick)));
    }
    shown.forEach((row, i) => {
      const x = LEFT + 4 + step * (i + 0.5);
      parts.push(svg("line", {
        class: "span", x1: x, x2: x, y1: down(row.lower), y2: down(row.upper),
      }));
      parts.push(svg("circle", {
        class: "middle", cx: x, cy: down(row.median), r: Math.min(4, Math.max(1.5, step / 2)),
      }));
    });
    parts.push(svg("text", { x: (LEFT + room) / 2, y: HEIGHT - 6, "text-anchor": "middle" },
      "analyses, lowest rate ratio first"));
    picture.setAttribute("viewBox", `0 0 ${room} ${HEIGHT}`);
    picture.replaceChildren(...parts);
  }

  function show() {
    shown = table.rows.filter(accepted);
    const text = tell();
    at("summary").textContent = text;
    at("one").textContent = "";
    picture.setAttribute("aria-label", `Rate ratio and 95 % interval of each analysis. ${text}`);
    if (room) draw();
    say(text);
  }

  function point(place) {
    const i = Math.floor(((place - LEFT - 4) / (room - LEFT - 8)) * shown.length);
    const row = shown[Math.min(Math.max(i, 0), shown.length - 1)];
    if (!row) return;
    const options = choices.map(([name]) => `${plain(name)}: ${row[name]}`).join(", ");
    at("one").textContent = `${words(row)} – ${options}`;
  }

  function boxes() {
    choices.forEach(([name, options], number) => {
      const list = options.map((option, i) => {
        const id = `specification-${number}-${i}`;
        const box = html("input", { type: "checkbox", id });
        box.checked = true;
        box.dataset.choice = name;
        box.dataset.option = option;
        box.addEventListener("change", () => {
          if (box.checked) hidden.get(name).delete(option);
          else hidden.get(name).add(option);
          show();
          const left = [...hidden.get(name)].map((one) => options.indexOf(one));
          PanelAddress.keep({ [`without.${name}`]: left.length ? left.join(".") : null });
        });
        return html("label", { for: id }, box, ` ${option}`);
      });
      at("choices").append(html("fieldset", {}, html("legend", {}, plain(name)), ...list));
    });
  }

  function restore() {
    const parts = PanelAddress.read(location.hash);
    for (const [name, options] of choices) {
      const places = (parts?.get(`without.${name}`) ?? "").split(".").filter(Boolean).map(Number);
      hidden.set(name, new Set(places.map((i) => options[i]).filter((one) => one !== undefined)));
    }
    for (const box of section.querySelectorAll("[data-choice]")) {
      box.checked = !hidden.get(box.dataset.choice).has(box.dataset.option);
    }
    show();
  }

  boxes();
  section.hidden = false;
  picture.addEventListener("pointermove", (event) => {
    point(event.clientX - picture.getBoundingClientRect().left);
  });
  picture.addEventListener("pointerdown", (event) => {
    point(event.clientX - picture.getBoundingClientRect().left);
  });
  picture.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || shown.length === 0) return;
    event.preventDefault();
    const last = shown.length - 1;
    const next = Math.min(Math.max(Number(picture.dataset.place ?? -1) + by, 0), last);
    picture.dataset.place = next;
    point(LEFT + 4 + ((room - LEFT - 8) * (next + 0.5)) / shown.length);
  });
  onWidth(picture.parentElement, (wide) => {
    room = wide;
    show();
  });
  addEventListener("hashchange", restore);
  restore();
})();
