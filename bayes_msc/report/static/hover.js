// Values of a figure: point at a mark, or step through the marks with the arrow keys.
(() => {
  "use strict";

  const { html, svg } = PanelDrawing;
  const REACH = 40;

  function read(picture) {
    try {
      return JSON.parse(picture.dataset.readings);
    } catch {
      return [];
    }
  }

  function follow(picture) {
    const marks = read(picture);
    const card = picture.closest("[role=region]");
    if (marks.length === 0 || !card) return;
    const [, , wide, high] = picture.getAttribute("viewBox").split(" ").map(Number);
    const line = html("p", { class: "reading", "aria-live": "polite" },
      "Point at a mark, or use the arrow keys, to read its value.");
    card.after(line);
    const ring = svg("circle", { class: "ring", r: 5 });
    let at = -1;

    function show(i) {
      if (i === at) return;
      at = i;
      if (i < 0) {
        ring.remove();
        return;
      }
      const [x, y, text] = marks[i];
      ring.setAttribute("cx", x * wide);
      ring.setAttribute("cy", y * high);
      picture.append(ring);
      line.textContent = text;
    }

    function point(event) {
      const box = picture.getBoundingClientRect();
      const [left, top] = [event.clientX - box.left, event.clientY - box.top];
      let [best, distance] = [-1, REACH];
      marks.forEach(([x, y], i) => {
        const away = Math.hypot(x * box.width - left, y * box.height - top);
        if (away < distance) [best, distance] = [i, away];
      });
      if (best >= 0) show(best);
    }

    picture.addEventListener("pointermove", point);
    picture.addEventListener("pointerdown", point);
    card.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      // where the figure is wider than its card, the arrows are needed to move it
      if (!by || event.target !== card || card.scrollWidth > card.clientWidth + 1) return;
      event.preventDefault();
      show((at + by + marks.length) % marks.length);
    });
  }

  document.querySelectorAll("figure svg[data-readings]").forEach(follow);
})();
