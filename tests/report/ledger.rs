//! What is read back from an event file is what the run itself counted, to the last bit.

use std::{fmt::Write as _, ops::ControlFlow};

use sigbox::{
    events::EventWriter,
    market::{
        Market,
        candles::{Recipe, Series, generate},
    },
    trading::{Backtest, Native, Profile, SeatSetup, Setup},
};
use sigbox_engine::{
    Interval, Proposal, Settings, Side,
    risk::{NamedRule, Rule},
    stats::{Summary, Tally},
    trader::Answer,
};
use sigbox_report::{Ledger, TradeRow};

use crate::support::{Counted, recipe};

/// Answers by the dice: nothing, trades at the market and with limits, nonsense, failures.
fn answer(dice: &mut fastrand::Rng, price: f64) -> Answer {
    match dice.u8(0..100) {
        0..60 => Answer::Nothing,
        60..63 => Answer::Failed("no \"idea\"\n".to_owned()),
        kind => {
            let side = if dice.bool() { Side::Long } else { Side::Short };
            let away = |percent: f64| match side {
                Side::Long => price * (1.0 + percent / 100.0),
                Side::Short => price * (1.0 - percent / 100.0),
            };
            let ids = [None, Some("a"), Some("b"), Some("")];
            let notes = [None, Some("=1+1"), Some("a \"quoted\",\r\nsecond line | é中\u{1b}")];
            Answer::Trade(Proposal {
                id: ids[dice.usize(0..ids.len())].map(str::to_owned),
                symbol: (kind == 63).then(|| "ELSEWHERE".to_owned()),
                side,
                price_open: dice.bool().then(|| away(-dice.f64() * 0.6)),
                price_take_profit: away(if kind < 68 { -1.0 } else { 0.5 + dice.f64() }),
                price_stop_loss: away(-1.2 - dice.f64()),
                minute_estimated_time: Some(f64::from(dice.u8(1..90))),
                cost: dice.bool().then(|| 100.0 * dice.f64() + 1.0),
                multiplier: dice.bool().then(|| 1.0 + 99.0 * dice.f64()),
                isolated: None,
                note: notes[dice.usize(0..notes.len())].map(str::to_owned),
            })
        }
    }
}

/// Two strategies on two symbols, sharing a risk profile, for half a day.
fn run(seed: u64) -> (Counted, String) {
    let candles = |seed| {
        let volatility_percent = if seed % 4 == 0 { 1.0 } else { 0.15 };
        let recipe = Recipe { minutes: 12 * 60, volatility_percent, ..recipe(seed, 1) };
        Series::new(generate(&recipe).unwrap()).unwrap()
    };
    let symbols = ["BTCUSDT", "ETH_USDT"];
    let market = Market::new((seed..).zip(symbols).map(|(seed, symbol)| (symbol.to_owned(), candles(seed))));
    let mut dice = fastrand::Rng::with_seed(seed);
    let rule =
        |rule, id: Option<&str>, note: &str| NamedRule { rule, id: id.map(str::to_owned), note: note.to_owned() };
    // Orders that would be filled in this time were accepted before it.
    let siesta_ms = recipe(seed, 1).start_ms + 5 * 3_600_000;
    let rules = vec![
        rule(Rule::MaxActive(2), None, "two, at most"),
        rule(Rule::MinRewardRisk(0.35), Some("poor"), ""),
        rule(Rule::RejectWindow(siesta_ms, siesta_ms + 3_600_000), Some("siesta"), ""),
    ];
    let setup = Setup::new("made-up", market, Settings::default());
    let mut setup = setup.profile(Profile::new("shared".to_owned(), rules));
    for strategy in ["one", "the:other"] {
        for symbol in symbols {
            let mut dice = dice.fork();
            let trades = Native(move |_, price| answer(&mut dice, price));
            let seat = SeatSetup::new(setup.assign(strategy, symbol), Interval::MINUTE, trades);
            setup = setup.seat(SeatSetup { risk: vec!["shared".to_owned()], ..seat });
        }
    }
    let mut written = Vec::new();
    let mut sink = (Counted::default(), EventWriter::new(&mut written));
    Backtest::new(setup).unwrap().run(&mut sink, |_| ControlFlow::Continue(())).unwrap();
    let (counted, events) = sink;
    events.finish().unwrap();
    (counted, String::from_utf8(written).unwrap())
}

fn read(events: &str) -> Ledger {
    Ledger::read(events.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

/// With the sign of every zero, which comparing numbers would not see.
fn to_the_bit(tally: &Tally, trades: &[TradeRow]) -> String {
    let mut text = format!("{tally:#?}");
    for trade in trades {
        write!(text, "\n{trade:?}").unwrap();
    }
    text
}

#[test]
fn the_totals_read_back_are_those_the_run_counted() {
    let mut seen = [0_u64; 9];
    for seed in 0..40 {
        let (counted, events) = run(seed);
        let ledger = read(&events);
        assert_eq!(ledger.tally, counted.tally, "seed {seed}");
        assert!(
            to_the_bit(&ledger.tally, &ledger.trades) == to_the_bit(&counted.tally, &counted.trades),
            "seed {seed}: equal, but not to the bit"
        );
        assert!(!ledger.torn);
        let Summary { orders, rejected, invalid, failed, closed_by, breakevens, .. } = &counted.tally.total;
        let found = [
            orders.activated,
            orders.cancelled_by[0],
            orders.cancelled_by[1],
            orders.cancelled_by[2],
            rejected.get("poor").copied().unwrap_or(0),
            rejected.get("two, at most").copied().unwrap_or(0),
            invalid * failed,
            // In a run of these tests nobody closes by hand.
            closed_by[..4].iter().copied().min().unwrap(),
            *breakevens,
        ];
        seen.iter_mut().zip(found).for_each(|(seen, found)| *seen += found);
    }
    assert!(seen.iter().all(|seen| *seen > 0), "something never happened: {seen:?}");
}

#[test]
fn a_file_twice_is_the_file_once_and_a_cut_one_is_its_whole_lines() {
    let (_, events) = run(7);
    let once = read(&events);
    let twice = read(&events.repeat(2));
    assert_eq!(to_the_bit(&once.tally, &once.trades), to_the_bit(&twice.tally, &twice.trades));

    let mut dice = fastrand::Rng::with_seed(7);
    for _ in 0..50 {
        let cut = dice.usize(..events.len());
        let torn = Ledger::read(&events.as_bytes()[..cut]).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        let whole = events.as_bytes()[..cut].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let whole = if cut < events.len() && events.as_bytes()[cut] == b'\n' { cut } else { whole };
        let expected = read(&events[..whole]);
        assert_eq!(
            to_the_bit(&torn.tally, &torn.trades),
            to_the_bit(&expected.tally, &expected.trades),
            "cut at {cut}"
        );
    }
}
