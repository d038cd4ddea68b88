//! The life of a signal, as tables a trader can read.
//!
//! A scene is a proposal and the minutes after it, separated by `|`; the story says what happened in each of them.
//!
//! ```text
//! long tp=102 sl=99 life=60 | 101 99.5 100.5 | 100
//! proposal                  | high low average | all three the same
//! ```
//!
//! Words of a proposal: `long` or `short`; `open=` a limit (else at the market), `tp=`, `sl=`, `life=` minutes, `x=`
//! leverage, `cross` (no liquidation), `cost=`, `id=`, `symbol=`. Words of the world: `market=` the average when proposed
//! (else 100), `await=` minutes an order waits, `end=` the minute of the frame's last boundary, `lifetimes=` the longest
//! lifetime, `fee=` and `breakeven=` percent, `no-long`, `no-short`, and `refuse-proposal` or `refuse-fill`, when the risk
//! rules say no.
//! There are no fees and no slippage, and prices may be as near as one likes, unless a word says otherwise: `costs`
//! and `distances` bring the defaults back.

use std::sync::Arc;

use sigbox_engine::{
    Candle, MINUTE_MS, Outcome, Proposal, Settings, Side, State, Trader,
    outcome::{CancelReason, CloseReason, Direction},
    pnl::Pnl,
    risk::{Rejection, RiskGate, RiskRequest},
    signal::Pair,
    stats::Tally,
    trader::{Answer, Bar, Memory},
};

/// 2024-01-01T00:00:00Z, when every scene begins: from time 0 on, a time and how long something took would be the same.
const START_MS: i64 = 1_704_067_200_000;

/// One scene, read.
struct Scene {
    proposal: Proposal,
    settings: Settings,
    market: f64,
    frame_end_ms: Option<i64>,
    gate: Gate,
}

/// Refuses on demand.
#[derive(Default)]
struct Gate {
    refuses: bool,
}

impl RiskGate for Gate {
    fn check(&mut self, _: &RiskRequest<'_>) -> Result<(), Rejection> {
        if self.refuses { Err(Rejection { id: None, note: "no".into(), active_positions: 0 }) } else { Ok(()) }
    }
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is not a number"))
}

fn scene(words: &str) -> (Scene, bool) {
    let mut proposal = Proposal {
        id: None,
        symbol: None,
        side: Side::Long,
        price_open: None,
        price_take_profit: 200.0,
        price_stop_loss: 50.0,
        minute_estimated_time: Some(60.0),
        cost: None,
        multiplier: None,
        isolated: None,
        note: None,
    };
    let defaults = Settings::default();
    let mut settings = Settings {
        percent_fee: 0.0,
        percent_slippage: 0.0,
        min_takeprofit_distance_percent: 0.0,
        min_stoploss_distance_percent: 0.0,
        max_stoploss_distance_percent: 0.0,
        ..defaults.clone()
    };
    let (mut market, mut frame_end_ms, mut refuse_fill) = (100.0, None, false);
    let mut gate = Gate::default();
    for word in words.split_whitespace() {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "long" => proposal.side = Side::Long,
            "short" => proposal.side = Side::Short,
            "open" => proposal.price_open = Some(number(value)),
            "tp" => proposal.price_take_profit = number(value),
            "sl" => proposal.price_stop_loss = number(value),
            "life" => proposal.minute_estimated_time = Some(number(value)),
            "x" => proposal.multiplier = Some(number(value)),
            "cross" => proposal.isolated = Some(false),
            "cost" => proposal.cost = Some(number(value)),
            "id" => proposal.id = Some(value.into()),
            "symbol" => proposal.symbol = Some(value.into()),
            "market" => market = number(value),
            "await" => settings.schedule_await_minutes = value.parse().unwrap(),
            "end" => frame_end_ms = Some(START_MS + value.parse::<i64>().unwrap() * MINUTE_MS),
            "lifetimes" => settings.max_signal_lifetime_minutes = number(value),
            "fee" => settings.percent_fee = number(value),
            "breakeven" => settings.breakeven_threshold = number(value),
            "no-long" => settings.enable_long_signal = false,
            "no-short" => settings.enable_short_signal = false,
            "refuse-proposal" => gate.refuses = true,
            "refuse-fill" => refuse_fill = true,
            "costs" => {
                settings.percent_fee = defaults.percent_fee;
                settings.percent_slippage = defaults.percent_slippage;
            }
            "distances" => {
                settings.min_takeprofit_distance_percent = defaults.min_takeprofit_distance_percent;
                settings.min_stoploss_distance_percent = defaults.min_stoploss_distance_percent;
                settings.max_stoploss_distance_percent = defaults.max_stoploss_distance_percent;
            }
            _ => panic!("{word:?} is not a word of a scene"),
        }
    }
    (Scene { proposal, settings, market, frame_end_ms, gate }, refuse_fill)
}

fn pair() -> Pair {
    Pair { symbol: "BTCUSDT".into(), strategy: "s".into(), exchange: "x".into(), frame: String::new() }
}

fn trader(interval: &str, settings: Settings) -> Trader {
    Trader::new(pair(), interval.parse().unwrap(), Arc::new(settings), Memory::default())
}

/// What happens in a scene, and what is held then, minute by minute.
fn play(text: &str) -> Vec<(Vec<Outcome>, State)> {
    let mut segments = text.split('|');
    let (mut scene, refuse_fill) = scene(segments.next().unwrap());
    let mut trader = trader("1m", scene.settings);
    let mut outcomes = Vec::new();
    let next = trader.admit(START_MS, scene.market, Answer::Trade(scene.proposal), &mut scene.gate, &mut outcomes);
    trader.commit(next);
    scene.gate.refuses = refuse_fill;
    let mut minutes = vec![(outcomes, trader.state().clone())];
    for (minute, candle) in (0..).zip(segments) {
        let prices: Vec<f64> = candle.split_whitespace().map(number).collect();
        let (high, low, average) = match prices[..] {
            [price] => (price, price, price),
            [high, low, average] => (high, low, average),
            _ => panic!("{candle:?} is neither a price nor high, low and average"),
        };
        let open_time_ms = START_MS + minute * MINUTE_MS;
        let candle = Candle { open_time_ms, open: average, high, low, close: average, volume: 1.0 };
        let bar = Bar { candle: &candle, average, frame_end_ms: scene.frame_end_ms };
        let mut outcomes = Vec::new();
        let next = trader.step(bar, &mut scene.gate, &mut outcomes);
        trader.commit(next);
        minutes.push((outcomes, trader.state().clone()));
    }
    minutes
}

/// What happens in a scene, in words.
fn story(text: &str) -> String {
    play(text).iter().map(|(outcomes, _)| told(outcomes)).collect::<Vec<_>>().join(" | ")
}

fn told(outcomes: &[Outcome]) -> String {
    outcomes.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Idle { .. } => "idle".into(),
        Outcome::Waiting { .. } => "waiting".into(),
        Outcome::Active { .. } => "active".into(),
        Outcome::Scheduled { .. } => "scheduled".into(),
        Outcome::Opened { position } => format!("opened {}", position.signal.price_open),
        Outcome::HighestProfit { .. } => "peak".into(),
        Outcome::MaxDrawdown { .. } => "fall".into(),
        Outcome::Breakeven { .. } => "breakeven".into(),
        Outcome::Level { direction: Direction::Profit, level, .. } => format!("+{level}"),
        Outcome::Level { direction: Direction::Loss, level, .. } => format!("-{level}"),
        Outcome::Closed { reason, price, .. } => format!("{} {price}", reason.name()),
        Outcome::Cancelled { reason, price, .. } => format!("{} {price}", reason.name()),
        Outcome::Rejected { rejection, .. } => format!("refused {:?}", rejection.note),
        Outcome::Invalid { violations, .. } => violations.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        Outcome::SymbolMismatch { symbol, .. } => format!("not {symbol}"),
        Outcome::StrategyFailed { message, .. } => format!("failed {message:?}"),
    }
}

fn check(scene: &str, expected: &str) {
    let line_up = |text: &str| text.split('|').map(|minute| minute.trim().to_owned()).collect::<Vec<_>>();
    assert_eq!(line_up(&story(scene)), line_up(expected), "{scene}");
}

#[test]
fn a_market_entry_is_judged_from_the_candle_it_was_made_in() {
    check("long  tp=102 sl=99  | 101 98 100", "opened 100 | stop_loss 99");
    check("short tp=98  sl=101 | 102 99 100", "opened 100 | stop_loss 101");
    check("long  tp=102 sl=99  | 102", "opened 100 | take_profit 102");
    check("long  tp=102 sl=99  | 100 | 100", "opened 100 | active | active");
}

/// Specification: S-OTH-06, S-OTH-07.
#[test]
fn a_limit_the_market_has_reached_opens_at_once_at_its_own_price() {
    check("long  open=100 tp=102 sl=99 market=100", "opened 100");
    check("long  open=101 tp=102 sl=99 market=100", "opened 101");
    check("short open=99  tp=98 sl=101 market=100", "opened 99");
    check("short open=100 tp=98 sl=101 market=100", "opened 100");
    // A hair's breadth away it waits.
    check("long  open=99.999  tp=102 sl=99 market=100", "scheduled");
    check("short open=100.001 tp=98 sl=101 market=100", "scheduled");
}

#[test]
fn an_order_waits_for_its_price_and_is_judged_as_a_position_from_the_next_candle() {
    check(
        "long open=99 tp=102 sl=98   | 101 99.5 100 | 101 99 103      | 101 98 99",
        "scheduled                   | waiting      | opened 99       | stop_loss 98",
    );
    check(
        "short open=101 tp=98 sl=102 | 100.5 99 100 | 101 97 97       | 97",
        "scheduled                   | waiting      | opened 101      | take_profit 98",
    );
}

#[test]
fn an_order_whose_stop_is_touched_before_it_is_filled_is_rejected() {
    // Both are touched: the stop comes first.
    check("long  open=99  tp=103 sl=98  | 101 97 100 | 99", "scheduled | price_reject 100 | ");
    check("short open=101 tp=97  sl=102 | 103 99 100 | 99", "scheduled | price_reject 100 | ");
}

#[test]
fn an_order_waits_its_time_and_not_a_minute_longer() {
    check("long open=99 tp=103 sl=98 await=2 | 100 | 100 | 99", "scheduled | waiting | waiting | timeout 99");
    check("long open=99 tp=103 sl=98 await=2 | 100 | 99", "scheduled | waiting | opened 99");
    check(
        "long open=99 tp=103 sl=98 await=3 | 100     | 100     | 100     | 99",
        "scheduled                         | waiting | waiting | waiting | timeout 99",
    );
}

#[test]
fn the_stop_is_touched_by_a_candle_and_the_target_reached_by_the_average_the_stop_first() {
    // A wick to the target does nothing.
    check("long tp=102 sl=98 | 110 99 100.1", "opened 100 | peak, active");
    check("long tp=102 sl=98 | 110 99 102.5", "opened 100 | take_profit 102");
    check("long tp=102 sl=98 | 110 98 102.5", "opened 100 | stop_loss 98");
    check("short tp=98 sl=102 | 102 90 97", "opened 100 | stop_loss 102");
}

#[test]
fn a_lifetime_ends_with_the_minute_it_names_whatever_the_price_does() {
    check("long tp=102 sl=98 life=2 | 100 | 100 | 97", "opened 100 | active | active | time_expired 97");
    check("long tp=102 sl=98 life=2 | 100 | 103", "opened 100 | active | take_profit 102");
    // That of an order counts from when it was filled.
    check(
        "long open=99 tp=102 sl=98 life=1 | 100     | 99        | 99",
        "scheduled                        | waiting | opened 99 | time_expired 99",
    );
}

#[test]
fn what_is_held_when_the_frame_ends_ends_with_the_candle_after_it() {
    check("long tp=102 sl=98 end=1 | 100 | 100 | 97", "opened 100 | active | active | time_expired 97");
    check("long open=99 tp=102 sl=98 end=1 | 100 | 100 | 99", "scheduled | waiting | waiting | timeout 99");
}

#[test]
fn isolated_margin_is_liquidated_where_it_is_lost_if_that_comes_before_the_stop() {
    check("long x=10 tp=120 sl=80  | 100 90 99", "opened 100 | liquidation 90");
    check("long x=10 tp=120 sl=95  | 100 90 99", "opened 100 | stop_loss 95");
    check("long x=10 tp=120 sl=80 cross | 100 90 100", "opened 100 | active");
    check("short x=10 tp=80 sl=120 | 111 100 100", "opened 100 | liquidation 110");
    // At the same price it is the stop.
    check("long  x=10 tp=120 sl=90 | 100 90 99", "opened 100 | stop_loss 90");
    check("short x=10 tp=80 sl=110 | 110 99 99", "opened 100 | stop_loss 110");
}

#[test]
fn every_tenth_of_the_way_is_reported_once_and_so_is_breakeven() {
    check(
        "long tp=110 sl=90 | 102                           | 100    | 102    | 104",
        "opened 100        | peak, active, breakeven, +10, +20 | active | active | peak, active, +30, +40",
    );
    check("short tp=90 sl=110 | 102 | 103", "opened 100 | fall, active, -10, -20 | fall, active, -30");
    // The same low again is no new fall.
    check("long  tp=150 sl=50 | 96  | 96 ", "opened 100 | fall, active | active");
    check("short tp=50 sl=150 | 104 | 104", "opened 100 | fall, active | active");
    // With costs the first tenth comes before breakeven, and there is no peak before the costs are earned.
    check(
        "long tp=102 sl=97 costs | 100.3       | 100.65",
        "opened 100              | active, +10 | peak, active, breakeven, +20, +30",
    );
    check(
        "short tp=98 sl=103 costs | 99.7        | 99.35",
        "opened 100               | active, +10 | peak, active, breakeven, +20, +30",
    );
    // A fee of 50 percent at both ends is earned at three times the price, to the cent: no peak yet.
    check(
        "long tp=500 sl=50 cross fee=50 | 300                                      | 301",
        "opened 100                     | active, breakeven, +10, +20, +30, +40, +50 | peak, active",
    );
}

#[test]
fn at_the_entry_price_nothing_is_gained_or_lost() {
    check("long tp=110 sl=90 breakeven=0 | 100 | 100.1", "opened 100 | active | peak, active, breakeven");
    // The price that results are computed from can be a bit lower than the one asked for.
    check(
        "long market=29.938658333333336 tp=40 sl=20 | 29.938658333333333 | 29.93",
        "opened 29.938658333333336                  | active             | fall, active",
    );
    // Back at the one asked for, that bit is a gain.
    check(
        "long market=29.938658333333336 tp=40 sl=20 breakeven=0 | 29.93        | 29.938658333333336",
        "opened 29.938658333333336                              | fall, active | active, breakeven",
    );
}

#[test]
fn risk_rules_may_refuse_a_proposal_and_again_when_its_order_is_filled() {
    check("long tp=102 sl=99 refuse-proposal", "refused \"no\", idle");
    check(
        "long open=99 tp=102 sl=98 refuse-fill | 100     | 101 99 100              | 99",
        "scheduled                             | waiting | refused \"no\", user 100 |   ",
    );
}

/// Specification: L-HRD-07.
#[test]
fn a_signal_for_another_symbol_is_not_traded() {
    check("long tp=102 sl=99 symbol=BTCUSDT", "opened 100");
    check("long tp=102 sl=99 symbol=ETHUSDT", "not ETHUSDT, idle");
}

#[test]
fn every_broken_rule_is_reported_in_order() {
    check("long tp=102 sl=99 no-long", "long_disabled, idle");
    check("short tp=98 sl=101 no-long", "opened 100");
    check(
        "long open=NaN tp=-1 sl=inf",
        "priceOpen_not_finite priceStopLoss_not_finite priceTakeProfit_not_positive, idle",
    );
    check("long tp=99 sl=101", "long_tp_wrong_side long_sl_wrong_side, idle");
    check("long tp=100 sl=100", "long_tp_wrong_side long_sl_wrong_side, idle");
    check("long tp=100.4 sl=99.6 distances", "long_tp_too_close long_sl_too_close, idle");
    check("short tp=99 sl=121 distances", "short_sl_too_far, idle");
    // What lies exactly at a distance keeps it: half a percent for the nearest, twenty for the farthest.
    check("long  tp=100.5 sl=99.5 distances", "opened 100");
    check("short tp=99.5 sl=100.5 distances", "opened 100");
    check("long  tp=101 sl=80    distances", "opened 100");
    check("long  tp=101 sl=79.99 distances", "long_sl_too_far, idle");
    check("short tp=99 sl=120    distances", "opened 100");
    check("long x=0", "multiplier_not_positive, idle");
    check("long x=inf", "multiplier_not_finite, idle");
    check("long cost=-1", "cost_not_positive, idle");
    check("long cost=inf", "cost_not_positive, idle");
}

/// Specification: S-VAL-01, S-VAL-02, S-VAL-03, S-VAL-04, S-VAL-05, S-VAL-06, S-VAL-07, S-VAL-08.
#[test]
fn levels_are_on_their_sides_of_the_entry() {
    check("long  open=99  tp=102   sl=98", "scheduled");
    check("short open=101 tp=98    sl=102", "scheduled");
    check("long  open=99  tp=98.5  sl=98", "long_tp_wrong_side, idle");
    check("long  open=99  tp=102   sl=99.5", "long_sl_wrong_side, idle");
    check("short open=101 tp=101.5 sl=102", "short_tp_wrong_side, idle");
    check("short open=101 tp=98    sl=100.5", "short_sl_wrong_side, idle");
    check("long  open=-99 tp=102   sl=98", "priceOpen_not_positive long_sl_wrong_side, idle");
    check("long  open=99  tp=102   sl=98 life=-5", "lifetime_not_positive, idle");
}

/// Specification: S-OTH-08, S-OTH-09.
#[test]
fn a_sound_signal_is_not_opened_where_the_market_is_beyond_its_levels() {
    check("long  open=101 tp=103 sl=100 market=100", "long_open_beyond_sl, idle");
    check("long  open=101 tp=103 sl=100 market=99", "long_open_beyond_sl, idle");
    check("short open=99  tp=98  sl=100 market=101", "short_open_beyond_sl, idle");
    // Only a signal that is sound in itself is held to the market.
    check("long  open=101 tp=103 sl=100 market=99 life=0", "lifetime_not_positive, idle");
}

/// Refuses one symbol, and keeps what it was asked.
#[derive(Default)]
struct Curious {
    asked: Vec<String>,
}

impl RiskGate for Curious {
    fn check(&mut self, request: &RiskRequest<'_>) -> Result<(), Rejection> {
        let RiskRequest { pair, now_ms, current_price, side, price_open, price_take_profit, price_stop_loss } = request;
        self.asked.push(format!(
            "{} {} {} {} {current_price} {side} {price_open} {price_take_profit} {price_stop_loss}",
            pair.exchange,
            pair.strategy,
            pair.symbol,
            now_ms / MINUTE_MS
        ));
        match pair.symbol.as_str() {
            "ETHUSDT" => Err(Rejection { id: None, note: "not this one".into(), active_positions: 0 }),
            _ => Ok(()),
        }
    }
}

#[test]
fn whoever_decides_about_risk_is_told_who_asks_when_and_at_which_prices() {
    let propose = |symbol: &str, words: &str, gate: &mut Curious| {
        let pair = Pair { symbol: symbol.into(), ..pair() };
        let mut trader = Trader::new(pair, "1m".parse().unwrap(), Arc::default(), Memory::default());
        let (mut outcomes, answer) = (Vec::new(), Answer::Trade(scene(words).0.proposal));
        let next = trader.admit(7 * MINUTE_MS, 100.0, answer, gate, &mut outcomes);
        trader.commit(next);
        let candle =
            Candle { open_time_ms: 8 * MINUTE_MS, open: 99.0, high: 99.0, low: 99.0, close: 99.0, volume: 1.0 };
        trader.step(Bar { candle: &candle, average: 99.5, frame_end_ms: None }, gate, &mut outcomes);
        told(&outcomes)
    };
    let mut gate = Curious::default();
    assert_eq!(propose("ETHUSDT", "short tp=98 sl=101", &mut gate), "refused \"not this one\", idle");
    assert_eq!(propose("BTCUSDT", "long open=99 tp=102 sl=98", &mut gate), "scheduled, opened 99");
    assert_eq!(
        gate.asked,
        [
            "x s ETHUSDT 7 100 short 100 98 101",
            // The order is asked about twice: at its own price when it is filled.
            "x s BTCUSDT 7 100 long 99 102 98",
            "x s BTCUSDT 8 99 long 99 102 98",
        ]
    );
}

#[test]
fn a_lifetime_is_a_positive_whole_number_of_minutes_within_the_limit_or_endless_where_allowed() {
    let cases = [
        ("life=0", "lifetime_not_positive, idle"),
        ("life=-1.5", "lifetime_not_positive lifetime_not_integer, idle"),
        ("life=1.5", "lifetime_not_integer, idle"),
        ("life=NaN", "lifetime_not_integer, idle"),
        ("life=inf", "lifetime_infinite lifetime_too_large, idle"),
        ("life=1441", "lifetime_too_large, idle"),
        ("life=1440", "opened 100"),
        ("life=inf lifetimes=inf", "opened 100"),
        ("life=1441 lifetimes=0", "opened 100"),
    ];
    for (lifetime, expected) in cases {
        check(&format!("long {lifetime}"), expected);
    }
}

/// The minutes of the first quarter of an hour, from `start`, in which a strategy of `interval` is asked when it always
/// answers `answer`.
fn asked(interval: &str, start: i64, answer: &Answer, refuses: bool) -> Vec<i64> {
    let mut trader = trader(interval, Settings::default());
    let mut gate = Gate { refuses };
    let mut minutes = Vec::new();
    for minute in start..15 {
        let now_ms = minute * MINUTE_MS;
        if trader.is_due(now_ms) {
            minutes.push(minute);
            let next = trader.admit(now_ms, 100.0, answer.clone(), &mut gate, &mut Vec::new());
            trader.commit(next);
        }
    }
    minutes
}

/// Specification: L-AUD-05.
#[test]
fn a_strategy_is_asked_once_a_slot_unless_the_risk_rules_refused_it() {
    let trade = |words: &str| Answer::Trade(scene(words).0.proposal);
    let sound = trade("long tp=102 sl=99");
    assert_eq!(asked("5m", 0, &Answer::Nothing, false), [0, 5, 10]);
    assert_eq!(asked("5m", 3, &Answer::Nothing, false), [3, 5, 10], "slots begin at the hour, not at the start");
    assert_eq!(asked("5m", 3, &Answer::Failed("trap".into()), false), [3, 5, 10]);
    assert_eq!(asked("5m", 3, &trade("long tp=99"), false), [3, 5, 10], "an invalid answer uses the slot up");
    assert_eq!(asked("5m", 3, &trade("long symbol=ETHUSDT"), false), [3, 5, 10]);
    assert_eq!(asked("5m", 9, &sound, true), [9, 10, 11, 12, 13, 14], "risk may be free again the next minute");
    assert_eq!(asked("5m", 3, &sound, false), [3], "while it holds a position it is not asked");
}

#[test]
fn the_next_question_is_due_at_the_end_of_the_slot_of_the_last_one() {
    let mut trader = trader("5m", Settings::default());
    assert_eq!(trader.due_ms(), i64::MIN, "never asked: at once");
    let next = trader.admit(8 * MINUTE_MS, 100.0, Answer::Nothing, &mut Gate::default(), &mut Vec::new());
    trader.commit(next);
    assert_eq!(trader.due_ms(), 10 * MINUTE_MS);
}

#[test]
fn what_is_held_is_an_order_or_a_position_or_nothing() {
    let minute = |number: i64| START_MS + number * MINUTE_MS;
    let order = play("long open=99 tp=102 sl=98 life=5 costs | 100 | 99 | 98");
    let [(_, proposed), (_, waited), (_, filled), (_, stopped)] = &order[..] else { panic!("{order:?}") };
    for state in [proposed, waited] {
        let order = state.order().expect("it waits");
        assert_eq!((order.signal.scheduled_at_ms, state.position()), (minute(0), None));
    }
    let position = filled.position().expect("it was filled");
    assert_eq!(filled.order(), None);
    // It is judged from the candle after the one that filled it, and lives from that one on.
    assert_eq!((position.pending_at_ms, position.judged_from_ms), (minute(1), minute(2)));
    assert_eq!((position.was_ordered(), position.expires_at_ms()), (true, Some(minute(6))));
    // The costs are its worst result from the beginning; its best is none until they are earned.
    assert_eq!((position.fall.pnl, position.peak.pnl), (position.terms.at(99.0), Pnl::default()));
    assert_eq!((stopped.order(), stopped.position()), (None, None));

    let market = play("long tp=102 sl=98 life=inf lifetimes=inf");
    let position = market[0].1.position().expect("it was opened");
    assert_eq!((position.pending_at_ms, position.judged_from_ms), (minute(0), minute(0)));
    assert_eq!((position.was_ordered(), position.expires_at_ms()), (false, None));
}

#[test]
fn a_minute_in_which_nothing_happens_is_told_as_one() {
    let words = |uneventful: bool| {
        let minutes = play("long open=99 tp=110 sl=90 | 100 | 99 | 99 | 95");
        let outcomes: Vec<Outcome> = minutes.into_iter().flat_map(|(outcomes, _)| outcomes).collect();
        outcomes.iter().filter(|outcome| outcome.is_uneventful() == uneventful).map(word).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(words(true), "waiting active active");
    assert_eq!(words(false), "scheduled opened 99 fall -10 -20 -30 -40");
}

#[test]
fn scenes_add_up_to_totals() {
    let scenes = [
        // Four orders: filled after two minutes and stopped, waited three in vain, rejected after two, refused after one.
        "long open=99 tp=102 sl=98         | 100 | 100 | 99 | 98",
        "long open=99 tp=102 sl=98 await=3 | 100 | 100 | 100 | 100",
        "long open=99 tp=102 sl=98         | 100 | 100 | 97",
        "long open=99 tp=102 sl=98 refuse-fill | 100 | 99",
        // Three positions: two levels and breakeven on the way to the target, one level until it expires, a liquidation.
        "long tp=110 sl=90        | 102 | 110",
        "long tp=110 sl=90 life=1 | 99  | 99",
        "long x=10 tp=120 sl=80   | 100 90 99",
        // Three proposals that come to nothing.
        "long tp=102 sl=98 refuse-proposal",
        "long tp=99",
        "long symbol=ETHUSDT",
    ];
    let mut tally = Tally::default();
    for (outcomes, _) in scenes.into_iter().flat_map(play) {
        for outcome in &outcomes {
            tally.add(&pair(), outcome);
        }
    }
    tally.add(&pair(), &Outcome::StrategyFailed { message: "trap".into(), at_ms: START_MS });

    let total = &tally.total;
    assert_eq!((total.orders.scheduled, total.orders.activated), (4, 1));
    assert_eq!(
        (total.orders.cancelled_by, CancelReason::ALL.map(CancelReason::name)),
        ([1; 3], ["timeout", "price_reject", "user"])
    );
    assert_eq!(
        (total.orders.average_activation_minutes(), total.orders.average_wait_minutes()),
        (Some(2.0), Some(2.0))
    );
    // The engine itself closes nothing by hand.
    let reasons = ["take_profit", "stop_loss", "time_expired", "liquidation", "closed"];
    assert_eq!((total.closed_by, CloseReason::ALL.map(CloseReason::name)), ([1, 1, 1, 1, 0], reasons));
    assert_eq!(total.returns.trades(), 4);
    assert_eq!(total.profit_levels, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(total.loss_levels, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!((total.breakevens, total.rejections(), total.rejected["no"]), (1, 2, 2));
    assert_eq!((total.invalid, total.failed), (2, 1));

    // All of it was one strategy on one symbol.
    let (of_pair, of_symbol) = (&tally.pairs["s"]["BTCUSDT"], &tally.symbols["BTCUSDT"]);
    assert_eq!((&of_pair.summary, &tally.strategies["s"], of_symbol), (total, total, of_pair));
    // What another strategy does on another symbol counts only towards everything.
    let other = Pair { symbol: "ETHUSDT".into(), strategy: "t".into(), ..pair() };
    let before = tally.clone();
    for outcome in &play("long tp=102 sl=98 | 97")[1].0 {
        tally.add(&other, outcome);
    }
    assert_eq!((tally.total.returns.trades(), &tally.strategies["s"]), (5, &before.strategies["s"]));
    assert_eq!((&tally.pairs["s"], &tally.symbols["BTCUSDT"]), (&before.pairs["s"], &before.symbols["BTCUSDT"]));
    assert_eq!(tally.pairs["t"]["ETHUSDT"], tally.symbols["ETHUSDT"]);
}

#[test]
fn the_id_opened_last_is_not_opened_again_until_another_one_was() {
    let mut trader = trader("1m", Settings::default());
    let mut opened = Vec::new();
    for (minute, id) in (0..).zip(["a", "a", "b", "b", "a"]) {
        let (mut scene, _) = scene(&format!("long tp=102 sl=99 life=1 id={id}"));
        let mut outcomes = Vec::new();
        let now_ms = minute * 2 * MINUTE_MS;
        let next = trader.admit(now_ms, 100.0, Answer::Trade(scene.proposal), &mut scene.gate, &mut outcomes);
        trader.commit(next);
        opened.push(told(&outcomes));
        let candle = Candle {
            open_time_ms: now_ms + MINUTE_MS,
            open: 100.0,
            high: 100.0,
            low: 100.0,
            close: 100.0,
            volume: 1.0,
        };
        let bar = Bar { candle: &candle, average: 100.0, frame_end_ms: None };
        let next = trader.step(bar, &mut scene.gate, &mut outcomes);
        trader.commit(next);
        assert_eq!(*trader.state(), State::Idle, "its lifetime is over");
    }
    assert_eq!(opened, ["opened 100", "idle", "opened 100", "idle", "opened 100"]);
}
