// The state of the page in the fragment of its address: "#view&centre=0.5&width=0.42".
const PanelAddress = (() => {
  "use strict";

  const MARK = "view";

  function read(fragment) {
    const text = fragment.replace(/^#/, "");
    if (text !== MARK && !text.startsWith(`${MARK}&`)) return null;
    return new URLSearchParams(text.slice(MARK.length + 1));
  }

  function write(parts) {
    const text = parts.toString();
    return text ? `#${MARK}&${text}` : `#${MARK}`;
  }

  // a positive number within limits, or null
  function positive(parts, key, low, high) {
    const text = parts.get(key);
    const value = text === null || text.trim() === "" ? NaN : Number(text);
    if (!Number.isFinite(value) || value <= 0) return null;
    return Math.min(Math.max(value, low), high);
  }

  const short = (value) => String(Number(value.toPrecision(5)));

  let timer = 0;
  let waiting = {};

  // set some keys of the fragment, not at every step of a drag: browsers limit how often
  function keep(changes) {
    waiting = { ...waiting, ...changes };
    clearTimeout(timer);
    timer = setTimeout(() => {
      const parts = read(location.hash) ?? new URLSearchParams();
      for (const [key, value] of Object.entries(waiting)) {
        if (value === null) parts.delete(key);
        else parts.set(key, value);
      }
      waiting = {};
      history.replaceState(history.state, "", write(parts));
    }, 200);
  }

  return { keep, positive, read, short, write };
})();
