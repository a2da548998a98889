
"use strict";
(() => {
  const body = document.querySelector("#table tbody");
  const rows = [...body.rows];
  const text = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const filter = document.getElementById("filter");
  const chips = [...document.querySelectorAll(".chip")];
  const shown = document.getElementById("shown");

  function apply() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const flags = chips.filter((chip) => chip.getAttribute("aria-pressed") === "true").map((chip) => chip.dataset.flag);
    let count = 0;
    for (const row of rows) {
      const mine = row.dataset.flags.split(",");
      const fits = words.every((word) => text.get(row).includes(word)) && flags.every((flag) => mine.includes(flag));
      row.hidden = !fits;
      count += fits;
    }
    shown.textContent = count === rows.length ? `${count} shown` : `${count} of ${rows.length} shown`;
  }

  function value(row, column, kind) {
    const cell = row.cells[column];
    return kind === "number" ? Number(cell.dataset.value) : cell.textContent.trim();
  }

  function sort(head) {
    const heads = [...head.parentNode.cells];
    const column = heads.indexOf(head);
    const kind = head.dataset.kind;
    const first = kind === "number" ? "descending" : "ascending";
    const last = kind === "number" ? "ascending" : "descending";
    const way = head.getAttribute("aria-sort") === first ? last : first;
    heads.forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", way);
    const order = new Intl.Collator("en", { numeric: true });
    const sign = way === "ascending" ? 1 : -1;
    rows.sort((a, b) => {
      const one = value(a, column, kind), other = value(b, column, kind);
      return sign * (kind === "number" ? one - other : order.compare(one, other));
    });
    body.append(...rows);
  }

  filter.addEventListener("input", apply);
  chips.forEach((chip) => chip.addEventListener("click", () => {
    chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
    apply();
  }));
  document.querySelectorAll("#table thead th").forEach((head) => head.querySelector("button").addEventListener("click", () => sort(head)));
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
  apply();
})();
