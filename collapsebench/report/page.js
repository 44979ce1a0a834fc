"use strict";
(() => {
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

  const press = (group, chosen) =>
    $$("button", group).forEach((b) => b.setAttribute("aria-pressed", String(b === chosen)));

  // Light and dark: the reader's choice over the system's.
  document.getElementById("theme")?.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  // Tables: what is shown, sorting, copying.
  $$("[data-views]").forEach((group) =>
    group.addEventListener("click", ({ target }) => {
      if (!target.dataset.view) return;
      press(group, target);
      document.querySelector(`#${group.dataset.views} table`).dataset.view = target.dataset.view;
    }),
  );

  const key = (row, column) => {
    const text = row.cells[column].dataset.sort;
    return text === "" || Number.isNaN(Number(text)) ? null : Number(text);
  };

  $$("table").forEach((table) => {
    const rows = $$("tbody tr:not(.group)", table);
    const homes = rows.map((row) => row.parentNode);

    // Ascending, descending, then as it was; while sorted, all groups are one.
    $$("th .sort", table).forEach((button) =>
      button.addEventListener("click", () => {
        const head = button.closest("th");
        const column = Number(button.dataset.column);
        const next = { ascending: "descending", descending: "" }[head.getAttribute("aria-sort")];
        const order = next ?? "ascending";
        $$("thead th", table).forEach((th) => th.removeAttribute("aria-sort"));
        table.classList.toggle("sorted", order !== "");
        if (order === "") {
          rows.forEach((row, i) => homes[i].append(row));
          return;
        }
        head.setAttribute("aria-sort", order);
        const compare = (a, b) => {
          const [x, y] = [key(a, column), key(b, column)];
          if (x === null || y === null) return (x === null) - (y === null);
          return order === "ascending" ? x - y : y - x;
        };
        homes[0].append(...[...rows].sort(compare));
      }),
    );

    $$(".fold", table).forEach((button) =>
      button.addEventListener("click", () => {
        const folded = button.getAttribute("aria-expanded") === "true";
        button.setAttribute("aria-expanded", String(!folded));
        const home = button.closest("tbody");
        rows.forEach((row, i) => {
          if (homes[i] === home) row.hidden = folded;
        });
      }),
    );
  });

  const copy = async (text) => {
    if (navigator.clipboard) {
      try {
        return await navigator.clipboard.writeText(text);
      } catch { /* not allowed here: the old way below */ }
    }
    const area = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };

  $$("[data-copy]").forEach((button) =>
    button.addEventListener("click", async () => {
      const name = button.textContent;
      const text = document.getElementById(button.dataset.copy).textContent;
      await copy(text.replaceAll("<\\/", "</").replaceAll("<\\!--", "<!--"));
      button.textContent = "copied";
      setTimeout(() => { button.textContent = name; }, 1200);
    }),
  );

  // Figures: forms, legend, values.
  $$("[data-forms]").forEach((group) =>
    group.addEventListener("click", ({ target }) => {
      if (!target.dataset.form) return;
      press(group, target);
      $$(".drawing", group.closest("figure")).forEach((drawing) => {
        drawing.hidden = drawing.dataset.form !== target.dataset.form;
      });
    }),
  );

  const tip = document.getElementById("tip");
  const SVG = "http://www.w3.org/2000/svg";

  const isolate = (svg, name) => {
    const same = svg.dataset.kept === name;
    svg.dataset.kept = same ? "" : name;
    svg.classList.toggle("isolated", !same);
    $$("[data-series], [data-legend]", svg).forEach((part) =>
      part.classList.toggle("kept", (part.dataset.series ?? part.dataset.legend) === name),
    );
    $$("[data-legend][role]", svg).forEach((entry) =>
      entry.setAttribute("aria-pressed", String(!same && entry.dataset.legend === name)),
    );
  };

  const slug = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "x";

  $$(".drawing").forEach((drawing) => {
    const svg = drawing.querySelector("svg");
    const points = JSON.parse(drawing.querySelector(".points").textContent).flatMap(
      ([series, values]) => values.map(([x, y, words]) => [x, y, series, series + words]),
    );
    const title = drawing.closest("figure").querySelector("h3").textContent;
    svg.setAttribute("role", "group");
    svg.setAttribute("aria-label", title);

    $$("[data-legend]", svg).filter((part) => part.querySelector("text")).forEach((entry) => {
      entry.setAttribute("role", "button");
      entry.setAttribute("tabindex", "0");
      entry.setAttribute("aria-pressed", "false");
      entry.setAttribute("aria-label", `show only ${entry.textContent.trim()}`);
    });
    svg.addEventListener("click", ({ target }) => {
      const entry = target.closest("[data-legend]");
      if (entry) isolate(svg, entry.dataset.legend);
    });
    svg.addEventListener("keydown", (event) => {
      const entry = event.target.closest("[data-legend]");
      if (entry && (event.key === "Enter" || event.key === " ")) {
        event.preventDefault();
        isolate(svg, entry.dataset.legend);
      }
    });
    if (!points.length) return;

    const ring = document.createElementNS(SVG, "circle");
    ring.setAttribute("class", "ring");
    ring.setAttribute("r", "4.5");
    let at = -1;

    const hide = () => {
      tip.hidden = true;
      ring.remove();
    };
    const show = (index) => {
      at = index;
      const [x, y, , words] = points[index];
      ring.setAttribute("cx", x);
      ring.setAttribute("cy", y);
      svg.append(ring);
      const place = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
      tip.textContent = words;
      tip.hidden = false;
      const box = tip.getBoundingClientRect();
      const left = Math.min(Math.max(4, place.x + 10), innerWidth - box.width - 8);
      tip.style.left = `${left}px`;
      tip.style.top = `${place.y - box.height - 10 > 0 ? place.y - box.height - 10 : place.y + 14}px`;
    };
    const shown = (point) => !svg.dataset.kept || slug(point[2]) === svg.dataset.kept;

    svg.addEventListener("pointermove", (event) => {
      const inverse = svg.getScreenCTM().inverse();
      const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(inverse);
      let [best, distance] = [-1, 14 * 14];
      points.forEach((point, i) => {
        const d = (point[0] - x) ** 2 + (point[1] - y) ** 2;
        if (d < distance && shown(point)) [best, distance] = [i, d];
      });
      if (best < 0) hide();
      else show(best);
    });
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("blur", hide);
    svg.setAttribute("tabindex", "0");
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step || event.target !== svg) return;
      event.preventDefault();
      let next = at;
      do { next = (next + step + points.length) % points.length; } while (!shown(points[next]));
      show(next);
    });
  });
})();
