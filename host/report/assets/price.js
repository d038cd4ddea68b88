"use strict";
// The price of a symbol, with the entries, exits and levels of trades.

// Draws a line from the entry to the exit of each trade, and where there is room what it could have become: the way to
// its take-profit and to its stop-loss. The chosen one stands out, and has its levels in words.
class Levels {
  #chart; #series; #update; #colour; #trades = []; #selected = null;

  // Below the bars, and above them.
  #views = [
    this.#view("bottom", (target) => this.#draw(target, this.#trades, this.#drawTrade)),
    this.#view("top", (target) => this.#draw(target, [this.#selected], this.#drawNames)),
  ];

  #view(order, draw) {
    return { zOrder: () => order, renderer: () => ({ draw }) };
  }

  attached({ chart, series, requestUpdate }) {
    [this.#chart, this.#series, this.#update] = [chart, series, requestUpdate];
  }

  paint(colour) {
    this.#colour = colour;
    this.#update();
  }

  show(trades, selected) {
    [this.#trades, this.#selected] = [trades, trades.includes(selected) ? selected : null];
    this.#update();
  }

  paneViews() {
    return this.#views;
  }

  // The levels of the chosen trade are always on the chart.
  autoscaleInfo() {
    const row = this.#selected;
    if (!row) return null;
    const levels = [row.open, row.close, row.takeProfit, row.stopLoss];
    return { priceRange: { minValue: Math.min(...levels), maxValue: Math.max(...levels) } };
  }

  #draw(target, rows, drawRow) {
    const scale = this.#chart.timeScale();
    const half = scale.options().barSpacing / 2;
    target.useMediaCoordinateSpace(({ context, mediaSize }) => {
      for (const row of rows.filter(Boolean)) {
        const [from, to] = [row.from, row.to].map((bar) => scale.logicalToCoordinate(bar));
        const [open, close, profit, loss] = [row.open, row.close, row.takeProfit, row.stopLoss].map((price) =>
          this.#series.priceToCoordinate(price));
        const at = { from, to, left: from - half, right: to + half, open, close, profit, loss };
        context.save();
        drawRow.call(this, context, row, at, mediaSize);
        context.restore();
      }
    });
  }

  #drawTrade(context, row, at) {
    const isSelected = row === this.#selected;
    context.globalAlpha = this.#selected && !isSelected ? 0.35 : 1;
    line(context, row.result > 0 ? this.#colour.up : this.#colour.down, at.from, at.open, at.to, at.close);
    if (at.right - at.left < 4 && !isSelected) return;
    for (const [level, tint] of [[at.profit, this.#colour["up-tint"]], [at.loss, this.#colour["down-tint"]]]) {
      context.fillStyle = tint;
      context.fillRect(at.left, Math.min(at.open, level), at.right - at.left, Math.abs(level - at.open));
    }
  }

  #drawNames(context, row, at, { width }) {
    context.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    context.textBaseline = "middle";
    for (const [level, colour, name] of [
      [at.profit, this.#colour.up, `take-profit ${written("price", row.takeProfit, row)}`],
      [at.open, this.#colour.accent, `entry ${written("price", row.open, row)}`],
      [at.loss, this.#colour.down, `stop-loss ${written("price", row.stopLoss, row)}`],
    ]) {
      line(context, colour, at.left, level, at.right, level);
      const nameWidth = context.measureText(name).width + 8;
      const x = at.right + nameWidth < width ? at.right : Math.max(0, at.left - nameWidth);
      context.fillStyle = this.#colour.paper;
      context.fillRect(x, level - 8, nameWidth, 16);
      context.fillStyle = colour;
      context.fillText(name, x + 4, level);
    }
  }
}

function line(context, colour, fromX, fromY, toX, toY) {
  context.strokeStyle = colour;
  context.beginPath();
  context.moveTo(fromX, fromY);
  context.lineTo(toX, toY);
  context.stroke();
}

// Trades that are closer together than this, in pixels, hide each other's markers, and the price.
const MARKER_ROOM = 9;

// The price of a symbol of `symbols`, and what `rows`, the trades, did there.
function priceChart({ symbols }, rows) {
  const select = document.getElementById("price-of");
  const hint = document.getElementById("price-hint");
  const chart = newChart("price-chart", { rightPriceScale: { scaleMargins: { top: 0.08, bottom: 0.08 } } });
  const { CandlestickSeries, createSeriesMarkers } = LightweightCharts;
  const candles = chart.addSeries(CandlestickSeries, { borderVisible: false, priceLineVisible: false });
  const markers = createSeriesMarkers(candles, []);
  const levels = new Levels();
  candles.attachPrimitive(levels);
  let [symbol, trades, colour, selected] = [null, [], colours(), null];

  painted((now) => {
    colour = now;
    const [upColor, downColor] = [colour.up, colour.down];
    candles.applyOptions({ upColor, downColor, wickUpColor: upColor, wickDownColor: downColor });
    levels.paint(colour);
    mark();
  });
  const write = legend("price-chart", chart, ({ seriesData }) => {
    const bar = seriesData.get(candles);
    if (!bar) return null;
    const [open, high, low, close] = [bar.open, bar.high, bar.low, bar.close].map(priceText);
    return `${minute(bar.time)}   open ${open}   high ${high}   low ${low}   close ${close}`;
  }, () => (symbol ? `${symbol.name}, ${symbol.bars.interval} bars` : ""));
  chart.timeScale().subscribeVisibleLogicalRangeChange(mark);
  document.getElementById("price-whole").addEventListener("click", () => chart.timeScale().fitContent());
  select?.addEventListener("change", () => draw(Number(select.value)));
  draw(Number(select?.value ?? symbols.findIndex(({ bars }) => bars)));

  function priceText(price) {
    return fixed(price, symbol.decimals);
  }

  // Draws a symbol, by its place in the list.
  function draw(index) {
    symbol = symbols[index];
    const { time, open, high, low, close } = symbol.bars;
    trades = rows.filter((row) => row.symbol === symbol.name && row.from !== null);
    const bar = (at, index) =>
      ({ time: at, open: open[index], high: high[index], low: low[index], close: close[index] });
    candles.applyOptions({ priceFormat: { type: "custom", minMove: 10 ** -symbol.decimals, formatter: priceText } });
    candles.setData(time.map(bar));
    chart.timeScale().fitContent();
    write();
    mark();
  }

  // Entries, exits and levels of what is in view.
  function mark() {
    const range = chart.timeScale().getVisibleLogicalRange();
    if (!range || !symbol) return;
    const inView = trades.filter((row) => row.to >= range.from && row.from <= range.to);
    const isRoom = inView.length * MARKER_ROOM <= chart.timeScale().width();
    const few = isRoom ? inView : inView.filter((row) => row === selected);
    const size = few.length > 60 ? 0.7 : 1;
    const marks = few.flatMap((row) => [entryMark(row, size), exitMark(row, size)]);
    markers.setMarkers(marks.sort((left, right) => left.time - right.time));
    levels.show(inView, selected);
    const hidden = `${fixed(inView.length, 0)} trades in view: zoom in or choose one below to see entries and exits`;
    hint.textContent = isRoom ? "" : hidden;
  }

  function entryMark(row, size) {
    const [position, shape] = row.side === "long" ? ["belowBar", "arrowUp"] : ["aboveBar", "arrowDown"];
    return { time: symbol.bars.time[row.from], position, shape, color: colour.accent, size };
  }

  function exitMark(row, size) {
    const [shape, color] = row.result > 0 ? ["circle", colour.up] : ["square", colour.down];
    const text = row === selected ? written("gain", row.result) : "";
    const at = { time: symbol.bars.time[row.to], position: "atPriceMiddle", price: row.close };
    return { ...at, shape, color, text, size: size * 0.6 };
  }

  return {
    // Whether the trade can be seen here.
    has: (row) => row.from !== null,
    show(row) {
      const index = symbols.findIndex(({ name }) => name === row.symbol);
      selected = row;
      if (symbol !== symbols[index]) {
        if (select) select.value = index;
        draw(index);
      }
      const around = Math.max(15, row.to - row.from);
      chart.timeScale().setVisibleLogicalRange({ from: row.from - around, to: row.to + around });
      mark();
    },
  };
}
