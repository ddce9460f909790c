"use strict";
(() => {
  const tip = document.getElementById("tip");
  const hide = () => { tip.hidden = true; };
  const show = (point) => {
    tip.textContent = point.getAttribute("aria-label");
    tip.hidden = false;
    const at = point.getBoundingClientRect();
    const box = tip.getBoundingClientRect();
    const x = Math.min(Math.max(4, at.left + at.width / 2 - box.width / 2), innerWidth - box.width - 4);
    const above = at.top - box.height - 6;
    tip.style.left = x + "px";
    tip.style.top = (above > 4 ? above : at.bottom + 6) + "px";
  };
  const move = (points, from, to) => {
    if (!points[to]) return;
    points[from].setAttribute("tabindex", "-1");
    points[to].setAttribute("tabindex", "0");
    points[to].focus();
  };
  for (const group of document.querySelectorAll(".points")) {
    const points = Array.from(group.querySelectorAll("circle"));
    points.forEach((point, i) => {
      point.addEventListener("pointerenter", () => show(point));
      point.addEventListener("pointerleave", hide);
      point.addEventListener("focus", () => show(point));
      point.addEventListener("blur", hide);
      point.addEventListener("keydown", (event) => {
        const to = {
          ArrowRight: i + 1, ArrowDown: i + 1, ArrowLeft: i - 1, ArrowUp: i - 1,
          Home: 0, End: points.length - 1,
        }[event.key];
        if (to !== undefined) {
          event.preventDefault();
          move(points, i, to);
        } else if (event.key === "Escape") {
          hide();
        }
      });
    });
  }
  addEventListener("scroll", hide, { passive: true, capture: true });
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
})();
