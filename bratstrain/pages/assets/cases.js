"use strict";
// The table of all cases: headings sort, a box and a list filter, names open a case in the viewer.
(() => {
  for (const table of document.querySelectorAll("table.cases")) {
    const section = table.closest("section");
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    const words = section.querySelector("[data-filter]");
    const kind = section.querySelector("[data-kind]");
    const count = section.querySelector("[data-count]");

    // Cells without a number stand last in both directions.
    const compare = (column, turn) => (one, other) => {
      if (column === 0) {
        return turn * one.dataset.case.localeCompare(other.dataset.case, "en", { numeric: true });
      }
      const [a, b] = [one, other].map((row) => row.cells[column].dataset.value);
      if (a === "" || b === "") return (a === "") - (b === "");
      return turn * (Number(a) - Number(b));
    };

    const sort = (column) => {
      const head = heads[column];
      const turn = head.ariaSort === "ascending" ? -1 : 1;
      for (const each of heads) if (each.hasAttribute("aria-sort")) each.ariaSort = "none";
      head.ariaSort = turn > 0 ? "ascending" : "descending";
      body.append(...rows.sort(compare(column, turn)));
    };

    const filter = () => {
      const wanted = words.value.trim().toLowerCase();
      let n = 0;
      for (const row of rows) {
        const remarks = row.lastElementChild.textContent;
        const isKind =
          kind.value === "all" ||
          (kind.value === "shown" ? row.querySelector("[data-open]") : remarks.trim());
        const isFound = `${row.dataset.case} ${remarks}`.toLowerCase().includes(wanted);
        row.hidden = !(isKind && isFound);
        n += row.hidden ? 0 : 1;
      }
      count.textContent = `${n} of ${rows.length} cases`;
    };

    table.tHead.addEventListener("click", (event) => {
      const button = event.target.closest("[data-sort]");
      if (button) sort(Number(button.dataset.sort));
    });
    words.addEventListener("input", filter);
    kind.addEventListener("change", filter);
    document.addEventListener("case-shown", (event) => {
      for (const row of rows) row.classList.toggle("current", row.dataset.case === event.detail);
    });
  }

  const viewer = document.querySelector(".viewer:has(select[name$=case])");
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-open]");
    if (!opener || !viewer) return;
    viewer.dispatchEvent(new CustomEvent("show-case", { detail: Number(opener.dataset.open) }));
    viewer.scrollIntoView({ block: "start" });
    viewer.querySelector("input[type=range]").focus({ preventScroll: true });
  });
})();
