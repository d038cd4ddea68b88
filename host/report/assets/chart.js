"use strict";
// What every chart here shares: the page's colours, its width, the keyboard.

const charts = [];
const painters = [];

// The colours in force, by their names in the style sheet.
function colours() {
  const style = getComputedStyle(document.documentElement);
  return new Proxy({}, { get: (_, name) => style.getPropertyValue(`--${name}`).trim() });
}

// Paints now, and again whenever the colours change.
function painted(paint) {
  painters.push(paint);
  paint(colours());
}

function paintAll() {
  painters.forEach((paint) => paint(colours()));
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paintAll);

// Charts are drawn a frame late, which is too late for paper: it gets pictures of them, in the colours of the day.
addEventListener("beforeprint", () => {
  document.documentElement.classList.add("paper");
  paintAll();
  for (const { chart, element } of charts) {
    const picture = chart.takeScreenshot();
    picture.className = "picture";
    element.after(picture);
  }
});
addEventListener("afterprint", () => {
  document.querySelectorAll(".picture").forEach((picture) => picture.remove());
  document.documentElement.classList.remove("paper");
  paintAll();
});

// A chart in the element of this id. `create` is one of the library's makers of charts.
function newChart(id, options, create = LightweightCharts.createChart) {
  const element = document.getElementById(id);
  const chart = create(element, {
    autoSize: true,
    // The page has it in words: the logo would bring a style that the page's policy forbids.
    layout: { attributionLogo: false, fontSize: 11, fontFamily: getComputedStyle(document.body).fontFamily },
    rightPriceScale: { borderVisible: false },
    // The whole period fits even on a phone.
    timeScale: { borderVisible: false, timeVisible: true, minBarSpacing: 0.01, fixLeftEdge: true, fixRightEdge: true,
      lockVisibleTimeRangeOnResize: true },
    handleScroll: { mouseWheel: false, vertTouchDrag: false },
    handleScale: { mouseWheel: false },
  });
  chart.applyOptions(options);
  charts.push({ chart, element });
  painted((colour) => {
    const line = { color: colour.line };
    chart.applyOptions({
      layout: {
        background: { type: "solid", color: colour.paper },
        textColor: colour.quiet,
        panes: { separatorColor: colour.line, separatorHoverColor: colour.line },
      },
      grid: { vertLines: line, horzLines: line },
      crosshair: {
        vertLine: { color: colour.quiet, labelBackgroundColor: colour.label },
        horzLine: { color: colour.quiet, labelBackgroundColor: colour.label },
      },
    });
  });
  wheelOnlyWhenFocused(element, chart);
  element.addEventListener("keydown", (event) => moveByKey(event, chart));
  return chart;
}

// The wheel scrolls the page, until somebody has taken hold of a chart.
function wheelOnlyWhenFocused(element, chart) {
  const wheel = (mouseWheel) => chart.applyOptions({ handleScroll: { mouseWheel }, handleScale: { mouseWheel } });
  element.addEventListener("pointerdown", () => element.focus({ preventScroll: true }));
  element.addEventListener("focus", () => wheel(true));
  element.addEventListener("blur", () => wheel(false));
}

function moveByKey(event, chart) {
  const scale = chart.timeScale();
  const range = scale.getVisibleLogicalRange();
  if (!range || event.ctrlKey || event.metaKey || event.altKey) return;
  const width = range.to - range.from;
  const [left, right] = {
    ArrowLeft: [-0.1, -0.1],
    ArrowRight: [0.1, 0.1],
    "+": [0.2, -0.2],
    "-": [-0.3, 0.3],
  }[event.key] ?? [];
  if (left !== undefined) {
    scale.setVisibleLogicalRange({ from: range.from + left * width, to: range.to + right * width });
  } else if (event.key === "0" || event.key === "Home") {
    scale.fitContent();
  } else {
    return;
  }
  event.preventDefault();
}

// Keeps the line of text above a chart at what is under the pointer, or at `rest` when nothing is.
function legend(id, chart, text, rest) {
  const element = document.getElementById(`${id}-legend`);
  const write = (param) => { element.textContent = (param?.time === undefined ? null : text(param)) ?? rest(); };
  chart.subscribeCrosshairMove(write);
  write();
  return write;
}

// How many numbers lie where: ranges as [from, count].
function distributionChart(id, { bins, unit }) {
  const values = bins.map(([from, , count]) => ({ time: from, value: count }));
  const digits = Math.max(0, ...bins.map(([from]) => (String(from).split(".")[1] ?? "").length));
  const localization = { precision: Math.min(digits, 6) };
  const chart = newChart(id, { localization }, LightweightCharts.createOptionsChart);
  const series = chart.addSeries(LightweightCharts.HistogramSeries, {
    priceFormat: { type: "custom", minMove: 1, formatter: (value) => fixed(value, 0) },
    lastValueVisible: false,
    priceLineVisible: false,
  });
  painted((colour) => {
    series.setData(values.map((bin) => ({ ...bin, color: bin.time < 0 ? colour.down : colour.up })));
  });
  const range = new Map(bins.map(([from, to, count]) => [from, { from, to, count }]));
  legend(id, chart, ({ time }) => {
    const { from, to, count } = range.get(time);
    return `${signed(from, digits)} to ${signed(to, digits)}${unit}: ${fixed(count, 0)}`;
  }, () => "");
  chart.timeScale().fitContent();
}
