"use strict";
// The dot under the pointer, or the one that the arrow keys select, shows its case.
(() => {
  for (const figure of document.querySelectorAll("figure.chart:has(svg.dots)")) {
    const drawing = figure.querySelector("svg.dots");
    const output = figure.querySelector(".pointed");
    const dots = [...drawing.querySelectorAll(".dot")];
    let current = -1;

    const show = (i) => {
      current = i;
      for (const dot of dots) {
        dot.classList.toggle("same", i >= 0 && dot.dataset.case === dots[i].dataset.case);
      }
      if (i >= 0) output.textContent = dots[i].querySelector("title").textContent;
    };
    dots.forEach((dot, i) => dot.addEventListener("pointerenter", () => show(i)));
    dots.forEach((dot, i) => dot.addEventListener("click", () => show(i)));
    drawing.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
      const last = dots.length - 1;
      let next = current + (steps[event.key] ?? NaN);
      if (event.key === "Home") next = 0;
      if (event.key === "End") next = last;
      if (Number.isNaN(next) || last < 0) return;
      event.preventDefault();
      show(Math.min(Math.max(next, 0), last));
    });
  }
})();
