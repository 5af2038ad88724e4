// Small helpers for the page: elements and SVG from data, never from markup.
const PanelDrawing = (() => {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";

  function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  const svg = (name, attributes = {}, ...children) =>
    fill(document.createElementNS(SVG, name), attributes, children);

  const html = (name, attributes = {}, ...children) =>
    fill(document.createElement(name), attributes, children);

  function path(points) {
    let text = "";
    let pen = "M";
    for (const [x, y] of points) {
      if (Number.isNaN(y)) pen = "M";
      else {
        text += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
        pen = "L";
      }
    }
    return text;
  }

  // redraw when the room changes, not otherwise
  function onWidth(element, draw) {
    let last = 0;
    new ResizeObserver(() => {
      const width = Math.round(element.clientWidth);
      if (width === 0 || width === last) return;
      last = width;
      draw(width);
    }).observe(element);
  }

  // say something to a screen reader once the hand rests
  function speaker(element) {
    let timer = 0;
    return (text) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        element.textContent = text;
      }, 700);
    };
  }

  const data = (id) => {
    const element = document.getElementById(id);
    return element ? JSON.parse(element.textContent) : null;
  };

  return { data, html, onWidth, path, speaker, svg };
})();
