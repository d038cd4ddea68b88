//! The web pages of reports, in a browser: they draw, they are quiet, they fit a phone, and what can be clicked works.
//!
//! The browser is the Chromium found on PATH. Without one these tests say that they did not run.

mod browser;

use std::{collections::BTreeMap, ops::ControlFlow, sync::OnceLock};

use serde_json::{Value, json};
use sigbox::{
    market::{
        Market,
        candles::{Series, generate},
    },
    sandbox::{Deterministic, Limits, Sandbox, StrategyPlugin},
    trading::{Backtest, Setup},
};
use sigbox_engine::{
    Interval, Settings, Side,
    stats::{Metric, Sample, Tally},
};
use sigbox_events::{Component, Kind, RunRecord, Source};
use sigbox_report::{Bars, Report, Sweep, SweepRow, Timing, html, sweep_html};

use self::browser::{Browser, Screen};
use crate::support::{Counted, Workplace, not_run, plugin, recipe};

const PHONE: Screen = Screen { width: 375, height: 812, is_phone: true, scheme: "dark" };
const DESKTOP: Screen = Screen { width: 1440, height: 900, is_phone: false, scheme: "light" };

/// The report of a backtest of the sample strategy over eight days of two symbols.
fn report() -> Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(backtest).clone()
}

fn backtest() -> Report {
    let symbols = [("BTCUSDT", 11), ("ETHUSDT", 12)];
    let series = symbols.map(|(symbol, seed)| {
        let candles = generate(&recipe(seed, 8)).expect("the recipe is a good one");
        (symbol.to_owned(), Series::new(candles).expect("there is no gap"))
    });
    let interval: Interval = "15m".parse().expect("it is an interval");
    let bars = series.each_ref().map(|(symbol, series)| {
        let end_ms = series.end_ms().expect("there are candles");
        let bars = series.last_closed_of(interval, end_ms, 8 * 96).expect("it has them").to_vec();
        (symbol.clone(), Bars { interval, bars })
    });
    let market = Market::new(series);

    let settings = r#"{"fast":20,"slow":60}"#;
    let file = plugin("strategies/sma-cross");
    let sandbox = Sandbox::<Deterministic>::new(Limits::default(), None).expect("there is a sandbox");
    let component = StrategyPlugin::load(&sandbox, &file).expect("the plugin loads");
    let setup = Setup::new("made-up", market, Settings::default());
    let setup = symbols.into_iter().fold(setup, |setup, (symbol, _)| {
        let strategy = component.start(setup.assign("sma-cross", symbol), settings).expect("the plugin starts");
        setup.seat(strategy.seat())
    });
    let backtest = Backtest::new(setup).expect("the run is a good one");
    let period_ms = backtest.period_ms();
    let mut counted = Counted::default();
    backtest.run(&mut counted, |_| ControlFlow::Continue(())).expect("the run succeeds");
    let Counted { tally, trades } = counted;
    assert!(trades.len() > 60, "{} trades are too few to turn pages", trades.len());

    let mut milliseconds = Sample::default();
    (1..=100).for_each(|number| milliseconds.add(f64::from(number) / 100.0));
    Report {
        run: run(period_ms, settings),
        tally,
        trades,
        bars: BTreeMap::from(bars),
        timings: vec![Timing { of: "get-signal of sma-cross".to_owned(), milliseconds }],
    }
}

fn run(period_ms: (i64, i64), settings: &str) -> RunRecord {
    RunRecord {
        kind: Kind::Backtest,
        exchange: "made-up".to_owned(),
        frame: String::new(),
        period_ms: Some(period_ms),
        version: "0.1.0".to_owned(),
        configuration: "[exchange]\nname = \"made-up\"\n".to_owned(),
        components: vec![Component {
            strategy: "sma-cross".to_owned(),
            plugin: "plugins/strategies/sma-cross".to_owned(),
            sha256: "0".repeat(64),
            settings: settings.to_owned(),
        }],
        sources: vec![Source {
            symbol: "BTCUSDT".to_owned(),
            from: "seed 11".to_owned(),
            sha256: "0".repeat(64),
            candles: 8 * 1440,
            span_ms: period_ms,
        }],
        events: "dump/backtest/events.jsonl".to_owned(),
    }
}

/// A browser, and a place for its pages.
fn browser() -> Option<(Browser, Workplace)> {
    let browser = Browser::start();
    if browser.is_none() {
        not_run("the web page of a report", "chromium");
    }
    Some((browser?, Workplace::empty()))
}

/// How many pixels of a chart have one of the colours that data is drawn in.
fn pixels_of_data(browser: &mut Browser, chart: &str) -> u64 {
    let count = format!(
        r"(() => {{
            const pixel = (name) => colours()[name].match(/\w\w/g).map((digits) => parseInt(digits, 16));
            const wanted = ['up', 'down', 'accent'].map(pixel);
            let found = 0;
            for (const canvas of document.querySelectorAll('#{chart} canvas')) {{
                const {{ width, height }} = canvas;
                if (!width || !height) continue;
                const {{ data }} = canvas.getContext('2d').getImageData(0, 0, width, height);
                for (let at = 0; at < data.length; at += 4) {{
                    found += wanted.some(([r, g, b]) => data[at] === r && data[at + 1] === g && data[at + 2] === b);
                }}
            }}
            return found;
        }})()"
    );
    browser.run(&count).as_u64().expect("a count is a number")
}

/// Nothing but tables in their own boxes is wider than the screen.
fn assert_fits(browser: &mut Browser, screen: Screen) {
    let widths = browser.run("[document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth]");
    let widths: Vec<u64> = serde_json::from_value(widths).expect("widths are numbers");
    assert!(widths.iter().all(|width| *width <= u64::from(screen.width)), "{screen:?}: {widths:?}");
}

fn assert_quiet(browser: &mut Browser) {
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// What a list shows in a column.
fn column(browser: &mut Browser, list: &str, key: &str) -> Vec<String> {
    let texts = browser.run(&format!(
        "(() => {{
            const keys = [...document.querySelectorAll('#{list} th')].map((heading) => heading.dataset.key);
            const place = keys.indexOf('{key}');
            return [...document.querySelectorAll('#{list} tbody tr')].map((row) => row.cells[place].textContent);
        }})()"
    ));
    serde_json::from_value(texts).expect("cells are texts")
}

fn count_below(browser: &mut Browser, list: &str) -> String {
    let text = browser.run(&format!("document.querySelector('#{list} .pager .count').textContent"));
    text.as_str().expect("it is a text").to_owned()
}

fn click(browser: &mut Browser, selector: &str) {
    browser.run(&format!("document.querySelector({}).click()", json!(selector)));
    browser.drawn();
}

/// Sets a field of a form as a person would.
fn set(browser: &mut Browser, selector: &str, value: &str) {
    browser.run(&format!(
        "(() => {{
            const field = document.querySelector({});
            field.value = {};
            for (const event of ['input', 'change']) field.dispatchEvent(new Event(event, {{ bubbles: true }}));
        }})()",
        json!(selector),
        json!(value)
    ));
    browser.drawn();
}

/// The first and the last bar that a chart shows.
fn visible(browser: &mut Browser, chart: &str) -> (f64, f64) {
    let range = browser.run(&format!(
        "charts.find(({{ element }}) => element.id === '{chart}').chart.timeScale().getVisibleLogicalRange()"
    ));
    let end = |name: &str| range[name].as_f64().unwrap_or_else(|| panic!("{chart} shows {range}"));
    (end("from"), end("to"))
}

#[test]
fn a_page_of_a_run_draws_its_charts_quietly_and_fits_every_screen() {
    let Some((mut browser, workplace)) = browser() else { return };
    workplace.write("report.html", html(&report()));
    for screen in [PHONE, DESKTOP, Screen { scheme: "dark", ..DESKTOP }, Screen { scheme: "light", ..PHONE }] {
        browser.open(&workplace.path("report.html"), screen);
        for chart in ["equity-chart", "price-chart", "distribution-chart"] {
            let pixels = pixels_of_data(&mut browser, chart);
            assert!(pixels > 200, "{screen:?}: {chart} has {pixels} pixels of data");
        }
        assert_fits(&mut browser, screen);
        assert_quiet(&mut browser);
    }
}

#[test]
fn pages_without_trades_without_bars_and_of_sweeps_are_as_good() {
    let Some((mut browser, workplace)) = browser() else { return };
    let report = report();
    let nothing = Report { tally: Tally::default(), trades: Vec::new(), bars: BTreeMap::new(), ..report.clone() };
    let live = Report { bars: BTreeMap::new(), ..report.clone() };
    workplace.write("nothing.html", html(&nothing));
    workplace.write("live.html", html(&live));
    workplace.write("sweep.html", sweep_html(&sweep(&report)));
    for screen in [PHONE, DESKTOP] {
        for page in ["nothing", "live", "sweep"] {
            browser.open(&workplace.path(&format!("{page}.html")), screen);
            assert_fits(&mut browser, screen);
            assert_quiet(&mut browser);
        }
    }
    // Without a chart of prices a chosen trade is told beside the list.
    browser.open(&workplace.path("live.html"), DESKTOP);
    click(&mut browser, "#trade-list tbody tr");
    let told = browser.run("document.querySelector('#trades #trade h3').textContent");
    assert_eq!(told, "Trade 1");
    assert_quiet(&mut browser);

    browser.open(&workplace.path("sweep.html"), DESKTOP);
    assert!(pixels_of_data(&mut browser, "distribution-chart") > 200);
    assert_eq!(column(&mut browser, "run-list", "rank")[..3], ["1", "2", "3"]);
    set(&mut browser, "#run-list input", "trapped");
    assert_eq!(column(&mut browser, "run-list", "failed"), ["it trapped"]);
    assert_quiet(&mut browser);
}

/// A sweep whose runs are parts of those trades.
fn sweep(report: &Report) -> Sweep {
    let row = |fast: u32, slow: u32| {
        let mut tally = Tally::default();
        for row in report.trades.iter().skip(fast as usize).step_by(slow as usize) {
            tally.close(&row.strategy, &row.symbol, &row.trade);
        }
        SweepRow {
            strategy: "sma-cross".to_owned(),
            symbol: "BTCUSDT".to_owned(),
            frame: String::new(),
            settings: format!(r#"{{"fast":{fast},"slow":{slow}}}"#),
            outcome: Ok(tally.total.returns.statistics()),
        }
    };
    let mut rows: Vec<SweepRow> =
        (1..10).flat_map(|fast| (1..4).map(move |slow| (fast, slow))).map(|(fast, slow)| row(fast, slow)).collect();
    rows[0].outcome = Err("it trapped".to_owned());
    Sweep { run: report.run.clone(), metric: Metric::named("totalPnl").expect("there is such a metric"), rows }
}

#[test]
fn the_list_of_trades_sorts_filters_and_turns_pages() {
    let Some((mut browser, workplace)) = browser() else { return };
    let report = report();
    let (trades, all) = (&report.trades, report.trades.len());
    workplace.write("report.html", html(&report));
    browser.open(&workplace.path("report.html"), DESKTOP);
    let list = "trade-list";
    let number_of = |index: usize| (index + 1).to_string();
    assert_eq!(column(&mut browser, list, "number"), (0..25).map(number_of).collect::<Vec<_>>());
    assert_eq!(count_below(&mut browser, list), format!("1–25 of {all}"));
    click(&mut browser, "#trade-list .forward");
    assert_eq!(column(&mut browser, list, "number")[0], "26");

    // The page has four digits of a result; equal ones keep their order.
    let mut ranked: Vec<usize> = (0..all).collect();
    let result = |index: &usize| (trades[*index].trade.result_percent * 1e4).round();
    ranked.sort_by(|left, right| result(right).total_cmp(&result(left)));
    click(&mut browser, "#trade-list th[data-key=result] button");
    let best: Vec<String> = ranked.iter().take(25).map(|index| number_of(*index)).collect();
    assert_eq!(column(&mut browser, list, "number"), best);
    assert_eq!(browser.run("document.querySelector('th[data-key=result]').ariaSort"), "descending");
    ranked.sort_by(|left, right| result(left).total_cmp(&result(right)).then(left.cmp(right)));
    click(&mut browser, "#trade-list th[data-key=result] button");
    let worst: Vec<String> = ranked.iter().take(25).map(|index| number_of(*index)).collect();
    assert_eq!(column(&mut browser, list, "number"), worst);

    let shorts = trades.iter().filter(|row| row.side == Side::Short).count();
    let both = trades.iter().filter(|row| row.side == Side::Short && row.symbol == "ETHUSDT").count();
    assert!(both > 0 && both < shorts && shorts < all, "{both} {shorts} {all}");
    set(&mut browser, "#trade-list select[name=side]", "short");
    assert!(count_below(&mut browser, list).ends_with(&format!("of {shorts}, out of {all}")));
    assert!(column(&mut browser, list, "side").iter().all(|side| side == "▼ short"));
    set(&mut browser, "#trade-list input[type=search]", "ethusdt");
    assert!(count_below(&mut browser, list).ends_with(&format!("of {both}, out of {all}")));
    set(&mut browser, "#trade-list input[type=search]", "no such thing");
    assert_eq!(count_below(&mut browser, list), format!("0, out of {all}"));
    assert_quiet(&mut browser);
}

#[test]
fn a_chosen_trade_is_shown_in_the_chart_of_its_symbol() {
    let Some((mut browser, workplace)) = browser() else { return };
    let report = report();
    workplace.write("report.html", html(&report));
    for screen in [DESKTOP, PHONE] {
        browser.open(&workplace.path("report.html"), screen);
        let whole = visible(&mut browser, "price-chart");
        let index = report.trades.iter().rposition(|row| row.symbol == "ETHUSDT").expect("there is one");
        let row = &report.trades[index];
        set(&mut browser, "#trade-list select[name=rows]", "500");
        click(&mut browser, &format!("#trade-list tbody tr:nth-child({}) button", index + 1));

        let bar = |at_ms: i64| report.bars["ETHUSDT"].bars.partition_point(|bar| bar.open_time_ms <= at_ms) - 1;
        #[expect(clippy::cast_precision_loss, reason = "there are few bars")]
        let [from, to] = [bar(row.trade.opened_ms), bar(row.trade.closed_ms)].map(|bar| bar as f64);
        let (left, right) = visible(&mut browser, "price-chart");
        assert!(left <= from && to <= right, "{screen:?}: from {from} to {to}, shown from {left} to {right}");
        assert!(right - left < (whole.1 - whole.0) / 4.0, "{screen:?}: it did not zoom: {left} {right}");
        let symbol = browser.run("document.querySelector('#price-of').selectedOptions[0].textContent");
        assert_eq!(symbol, "ETHUSDT");
        assert_eq!(browser.run("document.querySelector('#trade h3').textContent"), format!("Trade {}", index + 1));
        assert_eq!(browser.run("document.querySelector('#trade-list tr.chosen td').textContent"), number(index + 1));
        let edges = browser.run(
            "(({ top, bottom }) => [top, bottom, innerHeight])(
                document.querySelector('#price-chart').getBoundingClientRect())",
        );
        let in_view = edges[0].as_f64() >= Some(0.0) && edges[1].as_f64() <= edges[2].as_f64();
        assert!(in_view, "{screen:?}: the chart is not in view: {edges}");

        click(&mut browser, "#trade .previous");
        assert_eq!(browser.run("document.querySelector('#trade h3').textContent"), format!("Trade {index}"));
        click(&mut browser, "#price-whole");
        let again = visible(&mut browser, "price-chart");
        assert!((again.1 - again.0) > (whole.1 - whole.0) * 0.99, "{screen:?}: {again:?} is not {whole:?}");
        assert_quiet(&mut browser);
    }
}

fn number(number: usize) -> Value {
    json!(number.to_string())
}

#[test]
fn a_phone_that_is_turned_shows_the_same_period() {
    let Some((mut browser, workplace)) = browser() else { return };
    workplace.write("report.html", html(&report()));
    browser.open(&workplace.path("report.html"), Screen { width: PHONE.height, height: PHONE.width, ..PHONE });
    let charts = ["equity-chart", "price-chart", "distribution-chart"];
    let before = charts.map(|chart| visible(&mut browser, chart));
    browser.turn(PHONE);
    for (chart, before) in charts.into_iter().zip(before) {
        browser.until("it has the new width", &format!("document.querySelector('#{chart} canvas').clientWidth < 375"));
        browser.drawn();
        let after = visible(&mut browser, chart);
        let moved = f64::max((after.0 - before.0).abs(), (after.1 - before.1).abs());
        assert!(moved < 1.0, "{chart} showed {before:?}, and then {after:?}");
    }
    assert_quiet(&mut browser);
}

#[test]
fn the_keyboard_moves_charts_and_paper_gets_pictures_of_them() {
    let Some((mut browser, workplace)) = browser() else { return };
    workplace.write("report.html", html(&report()));
    browser.open(&workplace.path("report.html"), Screen { scheme: "dark", ..DESKTOP });
    let whole = visible(&mut browser, "price-chart");
    browser.run("document.querySelector('#price-chart').focus()");
    browser.press("+");
    let zoomed = visible(&mut browser, "price-chart");
    assert!(zoomed.0 > whole.0 && zoomed.1 < whole.1, "{zoomed:?} in {whole:?}");
    browser.press("ArrowLeft");
    let moved = visible(&mut browser, "price-chart");
    assert!(moved.0 < zoomed.0 && moved.1 < zoomed.1, "{moved:?} left of {zoomed:?}");

    browser.run("dispatchEvent(new Event('beforeprint'))");
    assert_eq!(browser.run("document.querySelectorAll('.picture').length"), 3);
    assert_eq!(browser.run("colours().paper"), "#ffffff");
    browser.run("dispatchEvent(new Event('afterprint'))");
    assert_eq!(browser.run("document.querySelectorAll('.picture').length"), 0);
    assert_ne!(browser.run("colours().paper"), "#ffffff");
    assert_quiet(&mut browser);
}

#[test]
fn what_strategies_say_does_nothing() {
    const HOSTILE: &str = "</script></td><img src=http://127.0.0.1:9/x onerror=harm()><script>harm()</script><!--";
    let Some((mut browser, workplace)) = browser() else { return };
    let mut report = report();
    for row in &mut report.trades {
        HOSTILE.clone_into(&mut row.note);
    }
    HOSTILE.clone_into(&mut report.run.components[0].settings);
    HOSTILE.clone_into(&mut report.run.configuration);
    report.tally.each(HOSTILE, HOSTILE, |summary| summary.reject(HOSTILE));
    workplace.write("report.html", html(&report));
    browser.open(&workplace.path("report.html"), DESKTOP);
    click(&mut browser, "#trade-list tbody tr");
    assert_eq!(column(&mut browser, "trade-list", "note")[0], HOSTILE);
    assert_eq!(browser.run("document.images.length"), 0);
    assert_quiet(&mut browser);
}

/// The tests above mean something: a browser that met an error, a warning of the policy or a request says so.
#[test]
fn the_browser_tells_of_errors_and_requests() {
    let Some((mut browser, workplace)) = browser() else { return };
    let policy = r#"<meta http-equiv="Content-Security-Policy" content="script-src 'none'">"#;
    for (page, expected) in [
        ("<p>quiet</p>".to_owned(), None),
        ("<script>undefined.name</script>".to_owned(), Some("TypeError")),
        ("<script>console.warn('so so')</script>".to_owned(), Some("so so")),
        (format!("{policy}<script>1</script>"), Some("Content Security Policy")),
        ("<img src='http://127.0.0.1:9/x'>".to_owned(), Some("http://127.0.0.1:9/x")),
    ] {
        workplace.write("page.html", format!("<!DOCTYPE html><title>t</title>{page}"));
        browser.open(&workplace.path("page.html"), DESKTOP);
        let complaints = browser.complaints();
        match expected {
            None => assert!(complaints.is_empty(), "{complaints:#?}"),
            Some(text) => assert!(complaints.iter().any(|it| it.contains(text)), "{page}: {complaints:#?}"),
        }
    }
}
