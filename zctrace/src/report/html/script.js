"use strict";
// Sorting and searching. Without this script the page shows the same numbers.
// The address keeps both, so that a link shows what its author saw: #search=nginx&sort=-6
const table = document.getElementById("paths");
if (table) {
  const groups = () => [...table.tBodies];
  const value = (row, column) => {
    const cell = row.cells[column];
    const number = cell.querySelector("[data-sort]") || cell;
    return "sort" in number.dataset ? Number(number.dataset.sort) : cell.textContent.toLowerCase();
  };
  const compare = (column, down) => (a, b) => {
    const [x, y] = [value(a, column), value(b, column)];
    const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
    return down ? -order : order;
  };
  const heads = [...table.tHead.rows[0].cells];
  let sorted = 0;
  const sort = (by) => {
    const [column, down] = [Math.abs(by) - 1, by < 0];
    if (!heads[column]) return;
    sorted = by;
    heads.forEach((head, at) => head.setAttribute("aria-sort", at === column ? (down ? "descending" : "ascending") : "none"));
    for (const group of groups()) {
      const rows = [...group.rows];
      rows.slice(1).sort(compare(column, down)).forEach((row) => group.append(row));
    }
    groups().sort((a, b) => compare(column, down)(a.rows[0], b.rows[0])).forEach((group) => table.append(group));
  };
  const box = document.createElement("input");
  const found = document.createElement("output");
  const search = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let rows = 0;
    for (const group of groups()) {
      let some = false;
      for (const row of [...group.rows].slice(1)) {
        const text = (group.dataset.command + " " + row.textContent).toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        some ||= !row.hidden;
        rows += row.hidden ? 0 : 1;
      }
      group.hidden = !some;
      group.classList.toggle("folded", !words.length && group.dataset.folded === "true");
    }
    found.textContent = words.length ? `${rows} data paths` : "";
  };
  const keep = () => {
    const parts = [];
    if (box.value) parts.push("search=" + encodeURIComponent(box.value));
    if (sorted) parts.push("sort=" + sorted);
    history.replaceState(null, "", parts.length ? "#" + parts.join("&") : location.pathname + location.search);
  };
  heads.forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    // Numbers begin with the largest.
    const first = head.classList.contains("number") ? -1 : 1;
    button.onclick = () => {
      const by = (at + 1) * first;
      sort(sorted === by ? -by : by);
      keep();
    };
    head.replaceChildren(button);
  });
  for (const group of groups()) {
    if (group.rows.length <= 9) continue;
    group.dataset.folded = "true";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "fold";
    button.textContent = `${group.rows.length - 1} data paths`;
    button.onclick = () => {
      group.dataset.folded = group.dataset.folded !== "true";
      group.classList.toggle("folded", group.dataset.folded === "true");
    };
    group.rows[0].cells[0].append(" ", button);
  }
  box.type = "search";
  box.placeholder = "search: process, operation, object";
  box.setAttribute("aria-label", "search data paths");
  box.oninput = () => { search(); keep(); };
  const bar = document.createElement("p");
  bar.className = "search";
  bar.append(box, " ", found);
  table.parentElement.before(bar);
  const asked = new URLSearchParams(location.hash.slice(1));
  box.value = asked.get("search") || "";
  if (Number(asked.get("sort"))) sort(Number(asked.get("sort")));
  search();
}
