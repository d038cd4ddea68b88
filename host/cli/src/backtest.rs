//! `sigbox backtest`.

use std::{
    fs::{self, File},
    io::{self, BufWriter},
    ops::ControlFlow,
    time::Instant,
};

use anyhow::Context as _;
use futures_util::FutureExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use sigbox::{
    assemble,
    config::Config,
    market::Market,
    plugin::Mode,
    run::{Backtest, EventWriter},
};

use crate::{
    args, plugins,
    report::{Counting, Report},
};

pub(crate) fn run(command: &args::Backtest) -> anyhow::Result<()> {
    let config = Config::load(&command.config.path)?;
    config.check_backtest()?;
    let sandbox = plugins::sandbox(Mode::Deterministic, &config.limits, config.cache_dir.as_ref())?;
    let market = Market::new(assemble::candles(&config)?);
    let frame_name = Some(config.frame.name.as_str()).filter(|name| !name.is_empty());
    let mut resolve = plugins::resolver();
    let setup = assemble::setup(&config, &sandbox, market, frame_name, &mut resolve)
        .now_or_never()
        .expect("a deterministic sandbox never waits")?;
    let backtest = Backtest::new(setup, &config.frame)?;
    let period_ms = backtest.period_ms();

    let written = || format!("events {}", command.events.display());
    if let Some(folder) = command.events.parent() {
        fs::create_dir_all(folder).with_context(written)?;
    }
    let events = EventWriter::new(BufWriter::new(File::create(&command.events).with_context(written)?));
    let mut sink = (Counting::default(), events);

    let bar = progress_bar();
    let started = Instant::now();
    let outcome = backtest.run(&mut sink, |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        ControlFlow::Continue(())
    });
    let took = started.elapsed();
    bar.finish_and_clear();
    let (Counting(tally), events) = sink;
    events.finish().with_context(written)?;
    outcome.with_context(|| format!("the run stopped; the events until then are in {}", command.events.display()))?;

    let report = Report { tally, period_ms, took, events: command.events.clone() };
    if command.json {
        report.print_json(&mut io::stdout().lock())?;
    } else {
        report.print_table();
    }
    Ok(())
}

fn progress_bar() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{elapsed_precise} {wide_bar} {human_pos}/{human_len} minutes, {eta} left")
            .expect("the template is valid");
    ProgressBar::new(0).with_style(style)
}
