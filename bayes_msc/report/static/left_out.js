// Leave-one-out: the answer without each patient; one can be switched off and compared.
(() => {
  "use strict";

  const { percent, ratio, ticks } = PanelNumbers;
  const { data, onWidth, speaker, svg } = PanelDrawing;
  const table = data("left-out-data");
  const section = document.getElementById("left-out-panel");
  if (!table || !section) return;

  const at = (name) => section.querySelector(`[data-at="${name}"]`);
  const [picture, choice] = [at("picture"), at("choice")];
  const say = speaker(at("status"));
  const ROW = 24;
  const MOST = 40;
  const known = (row) => row !== null && row.median !== null;
  const rows = table.rows;
  const drawn = furthest();
  let off = null;
  let room = 0;

  // of many patients those without whom the answer moves most, in the order of the trial
  function furthest() {
    const all = rows.filter(known);
    if (all.length <= MOST || !known(table.whole)) return all;
    const far = (row) => Math.abs(Math.log(row.median / table.whole.median));
    const kept = new Set([...all].sort((a, b) => far(b) - far(a)).slice(0, MOST));
    at("cut").textContent = `Of ${all.length} patients, the ${MOST} without whom the rate ratio moves `
      + "most are drawn; the list has them all.";
    return all.filter((row) => kept.has(row));
  }

  const words = (row) => `rate ratio ${ratio(row.median)} (${ratio(row.lower)} to `
    + `${ratio(row.upper)}), P(RR\u00a0<\u00a01) ${percent(row.prob_below_1)}`;

  function tell() {
    const whole = known(table.whole) ? `With everybody: ${words(table.whole)}.` : "";
    const row = rows.find((one) => one.patient === off);
    let without = "Nobody is switched off.";
    if (row) {
      without = known(row)
        ? `Without ${row.patient}: ${words(row)}.`
        : `Without ${row.patient} nobody is left on one of the treatments: there is no answer.`;
    }
    at("without").textContent = without;
    at("whole").textContent = whole;
    return `${without} ${whole}`;
  }

  function draw() {
    const extra = rows.filter((row) => row.patient === off && known(row) && !drawn.includes(row));
    const shown = [...(known(table.whole) ? [table.whole] : []), ...drawn, ...extra];
    const height = shown.length * ROW + 44;
    const label = Math.min(150, room * 0.3);
    const logs = shown.flatMap((row) => [row.lower, row.upper].map(Math.log));
    const [low, high] = [Math.max(Math.min(...logs, -0.2), -7), Math.min(Math.max(...logs, 0.2), 7)];
    const across = (value) => {
      const x = Math.min(Math.max(Math.log(value), low), high);
      return label + 12 + ((room - label - 28) * (x - low)) / (high - low);
    };
    const bottom = height - 40;
    const parts = [];
    shown.forEach((row, i) => {
      const y = i * ROW + ROW / 2;
      const kind = row === table.whole ? "whole" : row.patient === off ? "off" : "one";
      const name = row === table.whole ? "everybody" : row.patient;
      const most = Math.max(4, Math.floor(label / 8));
      const short = name.length > most ? `${name.slice(0, most - 1)}…` : name;
      const group = svg("g", { class: `left-out ${kind}`, "data-patient": row === table.whole ? "" : name },
        svg("rect", { class: "row", x: 0, y: i * ROW, width: room, height: ROW }),
        svg("text", { x: label, y: y + 4, "text-anchor": "end" }, short),
        svg("line", { class: "span", x1: across(row.lower), x2: across(row.upper), y1: y, y2: y }),
        svg("circle", { class: "middle", cx: across(row.median), cy: y, r: kind === "one" ? 4 : 5.5 }),
        svg("title", {}, `${row === table.whole ? "With everybody" : `Without ${name}`}: ${words(row)}`),
      );
      parts.push(group);
    });
    const rule = { class: "none", x1: across(1), x2: across(1), y1: 0, y2: bottom };
    parts.push(svg("line", { ...rule, "pointer-events": "none" }));
    parts.push(svg("line", { class: "axis", x1: label, x2: room, y1: bottom, y2: bottom }));
    for (const tick of ticks(low, high, room < 420 ? 4 : 8)) {
      const x = across(tick);
      parts.push(svg("text", { x, y: bottom + 16, "text-anchor": "middle" }, String(tick)));
    }
    parts.push(svg("text", { x: (label + room) / 2, y: height - 6, "text-anchor": "middle" },
      "rate ratio without the patient"));
    picture.setAttribute("viewBox", `0 0 ${room} ${height}`);
    picture.setAttribute("height", height);
    picture.replaceChildren(...parts);
  }

  function show() {
    const text = tell();
    const medians = rows.filter(known).map((row) => row.median);
    picture.setAttribute("aria-label", `Rate ratio without each of ${rows.length} patients: from `
      + `${ratio(Math.min(...medians))} to ${ratio(Math.max(...medians))}. ${text}`);
    choice.value = off ?? "";
    if (room) draw();
    say(text);
  }

  function set(patient) {
    off = rows.some((row) => row.patient === patient) ? patient : null;
    show();
    PanelAddress.keep({ off });
  }

  function restore() {
    const parts = PanelAddress.read(location.hash);
    const wanted = parts?.get("off") ?? null;
    off = rows.some((row) => row.patient === wanted) ? wanted : null;
    show();
  }

  for (const row of rows) {
    const option = document.createElement("option");
    option.value = row.patient;
    option.textContent = row.patient;
    choice.append(option);
  }
  choice.addEventListener("change", () => set(choice.value));
  picture.addEventListener("click", (event) => {
    const patient = event.target.closest("[data-patient]")?.dataset.patient;
    if (patient !== undefined) set(patient === off ? null : patient);
  });
  section.hidden = false;
  onWidth(picture.parentElement, (wide) => {
    room = wide;
    show();
  });
  addEventListener("hashchange", restore);
  restore();
})();
