"use strict";
// The page of a sweep: the list of its runs, and how the number they are ranked by is distributed.

const data = JSON.parse(document.getElementById("data").textContent);
if (data.rows.length) {
  listRows(
    document.getElementById("run-list"),
    data.rows.map((values) => Object.fromEntries(data.keys.map((key, index) => [key, values[index]]))),
  );
}
if (data.distribution.length) {
  distributionChart("distribution-chart", { bins: data.distribution, unit: data.unit });
}
