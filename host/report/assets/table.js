"use strict";
// A list of thousands of rows: sorted by its headings, filtered by the form above it, a page of it at a time. Texts
// only ever become text nodes, whatever is in them.

// `root` holds a form, a table whose headings name a key and a kind, and the pager. `choose` is told of a row that
// somebody wants to see; without it rows cannot be chosen.
function listRows(root, rows, choose) {
  const form = root.querySelector("form");
  const headings = [...root.querySelectorAll("th[data-key]")];
  const body = root.querySelector("tbody");
  const [count, back, forward] = ["count", "back", "forward"].map((name) => root.querySelector(`.pager .${name}`));
  let [sortedBy, descending, page, chosen, listed] = [null, false, 0, null, rows];

  function textOf(row) {
    row.text ??= headings.map(({ dataset }) => written(dataset.kind, row[dataset.key], row)).join("\n").toLowerCase();
    return row.text;
  }

  function refresh() {
    const { search, rows: size, ...wanted } = Object.fromEntries(new FormData(form));
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    const chosenValues = Object.entries(wanted).filter(([, value]) => value !== "");
    listed = rows.filter(
      (row) =>
        chosenValues.every(([key, value]) => String(row[key]) === value) &&
        words.every((word) => textOf(row).includes(word)),
    );
    if (sortedBy) listed.sort(comparing(sortedBy, descending));
    draw(Number(size));
  }

  function draw(size) {
    const pages = Math.max(1, Math.ceil(listed.length / size));
    page = Math.min(page, pages - 1);
    const shown = listed.slice(page * size, (page + 1) * size);
    body.replaceChildren(...shown.map(rowElement));
    const range = shown.length ? `${fixed(page * size + 1, 0)}–${fixed(page * size + shown.length, 0)} of ` : "";
    const all = listed.length === rows.length ? "" : `, out of ${fixed(rows.length, 0)}`;
    count.textContent = `${range}${fixed(listed.length, 0)}${all}`;
    back.disabled = page === 0;
    forward.disabled = page === pages - 1;
  }

  function rowElement(row) {
    const element = document.createElement("tr");
    element.append(...headings.map(({ dataset: { key, kind } }, index) => {
      const cell = document.createElement("td");
      cell.className = kind;
      if ((kind === "gain" || kind === "money") && row[key]) cell.classList.add(row[key] > 0 ? "up" : "down");
      if (key === "side") cell.classList.add(row[key]);
      const text = written(kind, row[key], row);
      if (index === 0 && choose) {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = text;
        button.setAttribute("aria-label", `Show ${text}`);
        cell.append(button);
      } else {
        cell.textContent = text;
        if (kind === "text") cell.title = text;
      }
      return cell;
    }));
    element.classList.toggle("chosen", row === chosen);
    if (choose) element.addEventListener("click", () => choose(row));
    return element;
  }

  for (const heading of headings) {
    heading.querySelector("button").addEventListener("click", () => {
      const { key, kind } = heading.dataset;
      // Numbers begin with the largest, texts with A.
      descending = sortedBy === key ? !descending : kind !== "text" && kind !== "side";
      [sortedBy, page] = [key, 0];
      headings.forEach((other) => { other.ariaSort = "none"; });
      heading.ariaSort = descending ? "descending" : "ascending";
      refresh();
    });
  }
  form.addEventListener("input", () => { page = 0; refresh(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const [button, step] of [[back, -1], [forward, 1]]) {
    button.addEventListener("click", () => { page += step; refresh(); });
  }
  // Its controls do nothing without a script.
  root.hidden = false;
  refresh();

  return {
    // Marks a row, and turns to its page if it is listed.
    mark(row) {
      chosen = row;
      const [index, size] = [listed.indexOf(row), Number(new FormData(form).get("rows"))];
      if (index >= 0) page = Math.floor(index / size);
      draw(size);
    },
    // The row so many places after another one, as they are listed now.
    beside(row, step) {
      const index = listed.indexOf(row);
      return index < 0 ? listed[0] : listed[index + step];
    },
  };
}

// What is not there comes last, whichever way the rest is sorted.
function comparing(key, descending) {
  const sign = descending ? -1 : 1;
  return ({ [key]: left }, { [key]: right }) => {
    const missing = (left ?? null) === null ? 1 : 0;
    const otherMissing = (right ?? null) === null ? 1 : 0;
    if (missing || otherMissing) return missing - otherMissing;
    const isNumber = typeof left === "number" && typeof right === "number";
    return sign * (isNumber ? left - right : String(left).localeCompare(String(right), "en", { numeric: true }));
  };
}
