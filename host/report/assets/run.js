"use strict";
// The page of one run: its charts, and the list of its trades.

// One object a trade, from the columns they are sent in. A column of one value is that value.
function tradeRows({ count, trades, pairs, symbols, notes, reasons }) {
  const columns = Object.entries(trades);
  return Array.from({ length: count }, (_, index) => {
    const cell = ([key, column]) => [key, Array.isArray(column) ? column[index] : column];
    const row = Object.fromEntries(columns.map(cell));
    const [strategy, symbol] = pairs[row.pair];
    return {
      ...row,
      number: index + 1,
      strategy,
      symbol: symbols[symbol].name,
      decimals: symbols[symbol].decimals,
      side: row.side === 0 ? "long" : "short",
      reason: reasons[row.reason],
      note: notes[row.note],
      closed: row.opened + row.held,
      outcome: row.result > 0 ? "win" : row.result < 0 ? "loss" : "even",
    };
  });
}

function equityChart({ start, step, of }) {
  const select = document.getElementById("equity-of");
  const measure = document.getElementById("equity-in");
  const { BaselineSeries, LineSeries, AreaSeries } = LightweightCharts;
  const chart = newChart("equity-chart", {});
  const quiet = { lastValueVisible: false, priceLineVisible: false, crosshairMarkerVisible: false };
  const equity = chart.addSeries(BaselineSeries, { lineWidth: 2, priceLineVisible: false, title: "" }, 0);
  const everything = chart.addSeries(LineSeries, { ...quiet, lineWidth: 1, lineStyle: 2 }, 0);
  const drawdown = chart.addSeries(AreaSeries, {
    ...quiet,
    lineWidth: 1,
    invertFilledArea: true,
    priceFormat: { type: "custom", minMove: 0.01, formatter: (value) => `${fixed(value, 2)} %` },
  }, 1);
  const points = (values) => values.map((value, index) => ({ time: start + index * step, value }));
  drawdown.priceScale().applyOptions({ scaleMargins: { top: 0.05, bottom: 0.1 } });
  chart.panes()[0].setStretchFactor(3);
  chart.panes()[1].setStretchFactor(1);

  painted((colour) => {
    equity.applyOptions({
      topLineColor: colour.up, topFillColor1: colour["up-tint"], topFillColor2: colour["up-tint"],
      bottomLineColor: colour.down, bottomFillColor1: colour["down-tint"], bottomFillColor2: colour["down-tint"],
      baseLineColor: colour.quiet,
    });
    everything.applyOptions({ color: colour.quiet });
    drawdown.applyOptions({ lineColor: colour.down, topColor: colour["down-tint"], bottomColor: colour["down-tint"] });
  });

  const inMoney = () => measure.value === "money";
  const curve = () => of[select?.value ?? 0];
  const valueOf = (value) => (inMoney() ? signed(value, 2) : fixed(value, 4));
  const at = (index) => {
    const { equity: values, money, drawdown: falls } = curve();
    return `${valueOf((inMoney() ? money : values)[index])}   drawdown ${fixed(falls[index], 2)} %`;
  };
  const write = legend("equity-chart", chart, ({ time }) => {
    const index = Math.round((time - start) / step);
    return `${minute(time)}   ${at(index)}`;
  }, () => `at the end   ${at(curve().equity.length - 1)}`);

  function refresh() {
    const { equity: values, money, drawdown: falls } = curve();
    equity.applyOptions({
      baseValue: { type: "price", price: inMoney() ? 0 : 1 },
      priceFormat: { type: "custom", minMove: 0.0001, formatter: valueOf },
    });
    everything.applyOptions({ priceFormat: { type: "custom", minMove: 0.0001, formatter: valueOf } });
    equity.setData(points(inMoney() ? money : values));
    everything.setData(curve() === of[0] ? [] : points(inMoney() ? of[0].money : of[0].equity));
    drawdown.setData(points(falls.map((fall) => -fall)));
    write();
  }
  select?.addEventListener("change", refresh);
  measure.addEventListener("change", refresh);
  refresh();
  chart.timeScale().fitContent();
}

// A chosen trade: in the price chart, in the list, and in words.
function show(row) {
  const panel = document.getElementById("trade");
  const entries = [
    ["Strategy", row.strategy],
    ["Symbol", row.symbol],
    ["Direction", written("side", row.side)],
    ["Ordered", minute(row.opened - row.waited)],
    ["Opened", minute(row.opened)],
    ["Closed", minute(row.closed)],
    ["Held", duration(row.held)],
    ["Why", row.reason],
    ["Entry", written("price", row.open, row)],
    ["Exit", written("price", row.close, row)],
    ["Take-profit", written("price", row.takeProfit, row)],
    ["Stop-loss", written("price", row.stopLoss, row)],
    ["Result", written("gain", row.result)],
    ["Result, quote", written("money", row.money)],
    ["Best on the way", written("gain", row.peak)],
    ["Worst on the way", written("gain", row.fall)],
    ["Staked", `${fixed(row.cost, 2)}${row.leverage === 1 ? "" : ` × ${row.leverage}`}`],
    ["Note", row.note],
    ["Id", row.id],
  ].filter(([, text]) => text);
  panel.querySelector("h3").textContent = `Trade ${row.number}`;
  panel.querySelector("dl").replaceChildren(...entries.map(([name, text]) => {
    const [entry, term, description] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
    [term.textContent, description.textContent] = [name, text];
    entry.append(term, description);
    return entry;
  }));
  panel.hidden = false;
  for (const [name, step] of [["previous", -1], ["next", 1]]) {
    const button = panel.querySelector(`.${name}`);
    const other = list.beside(row, step);
    button.disabled = !other;
    button.onclick = () => show(other);
  }
  list.mark(row);
  const drawn = prices?.has(row);
  if (drawn) prices.show(row);
  (drawn ? document.getElementById("price-chart") : panel).scrollIntoView({ block: "nearest" });
}

const data = JSON.parse(document.getElementById("data").textContent);
const rows = tradeRows(data);
const list = rows.length ? listRows(document.getElementById("trade-list"), rows, show) : null;
if (rows.length) {
  equityChart(data.curves);
  distributionChart("distribution-chart", { bins: data.distribution, unit: " %" });
}
const prices = document.getElementById("price-chart") ? priceChart(data, rows) : null;
