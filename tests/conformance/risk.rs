//! Section 13.7: risk profiles.

use serde_json::{Value, json};
use sigbox::{market::candles::write_csv, trading::Silence};
use sigbox_engine::{Side, risk::Rule};

use super::scene::{BTC, Scene, at};
use crate::support::{Configuration, Workplace, plugin};

const ETH: &str = "ETHUSDT";

const ONE: &[(Rule, &str)] = &[(Rule::MaxActive(1), "one at a time")];

const FLAT: &str = "42000 | flat 12";

/// Specification: S-RSK-01.
#[test]
fn a_profile_refuses_on_the_symbols_it_is_named_for() {
    let scene = Scene::new(FLAT).symbol(ETH, FLAT).profile("none", &[(Rule::MaxActive(0), "not this one")]);
    let script = "long tp=43000 sl=41000 life=3";
    scene.trader("btc", script, &["none"]).trader_on(ETH, "eth", script, &[]).check(&[
        "btc 0 risk: not this one, 0 held",
        "eth 0 opened 42000",
        "eth 3 time_expired 42000 -0.40 %",
    ]);
}

/// Specification: S-RSK-02, S-RSK-08.
#[test]
fn rules_look_at_price_time_side_reward_and_positions_and_say_nothing_when_they_allow() {
    let cases = [
        (Rule::MaxPrice(41_999.0), false),
        (Rule::MaxPrice(42_000.0), true),
        (Rule::RejectWindow(at(-5), at(0)), false),
        (Rule::RejectWindow(at(1), at(5)), true),
        (Rule::RejectSide(Side::Long), false),
        (Rule::RejectSide(Side::Short), true),
        (Rule::MinRewardRisk(2.1), false),
        (Rule::MinRewardRisk(2.0), true),
        (Rule::MaxActive(0), false),
        (Rule::MaxActive(1), true),
    ];
    for (rule, allows) in cases {
        let scene = Scene::new(FLAT).profile("p", &[(rule.clone(), "no")]);
        let expected: &[&str] =
            if allows { &["0 opened 42000", "3 time_expired 42000 -0.40 %"] } else { &["0 risk: no, 0 held"] };
        assert_eq!(scene.trader("s", "long tp=44000 sl=41000 life=3", &["p"]).story(), expected, "{rule:?}");
    }
}

/// Specification: S-RSK-03, S-RSK-12, L-RSK-01.
#[test]
fn strategies_that_share_a_profile_share_its_slots() {
    let scene = Scene::new(FLAT).profile("one", ONE).profile("other", ONE);
    let quick = "0 long tp=43000 sl=41000 life=2";
    let eager = "always short tp=41000 sl=43000 life=4";
    scene.trader("a", quick, &["one"]).trader("b", eager, &["one"]).trader("c", quick, &["other"]).check(&[
        "a 0 opened 42000",
        "b 0 risk: one at a time, 1 held",
        "c 0 opened 42000",
        "b 1 risk: one at a time, 1 held",
        "b 2 risk: one at a time, 1 held",
        "a 2 time_expired 42000 -0.40 %",
        "c 2 time_expired 42000 -0.40 %",
        "b 3 opened 42000",
        "b 7 time_expired 42000 -0.40 %",
        "b 8 opened 42000",
        "b 11 time_expired 42000 -0.40 %",
    ]);
}

/// Specification: S-RSK-04.
#[test]
fn a_limit_of_none_refuses_everything() {
    let scene = Scene::new("42000 | flat 5").profile("none", &[(Rule::MaxActive(0), "no")]);
    scene.trader("s", "always long open=41000 tp=43000 sl=40000", &["none"]).check(&[
        "0 risk: no, 0 held",
        "1 risk: no, 0 held",
        "2 risk: no, 0 held",
        "3 risk: no, 0 held",
    ]);
}

/// Specification: S-RSK-06.
#[test]
fn a_refusal_is_an_event_that_says_who_when_at_what_price_and_why() {
    let scene = Scene::new("42000 | flat 5").profile("one", ONE);
    let scene = scene.trader("a", "long tp=43000 sl=41000", &["one"]).trader("b", "2 long tp=43000 sl=41000", &["one"]);
    let events = scene.events();
    let expected = json!({
        "id": format!("binance:b:BTCUSDT:{}:risk_rejection", at(2)),
        "action": "risk_rejection",
        "timestamp": at(2),
        "symbol": "BTCUSDT",
        "strategyName": "b",
        "exchangeName": "binance",
        "frameName": "",
        "currentPrice": 42000,
        "rejectionNote": "one at a time",
        "activePositionCount": 1,
    });
    assert_eq!(events.of("risk_rejection"), [&expected]);
}

/// Specification: S-RSK-07.
#[test]
fn a_result_counts_refusals_in_all_and_by_strategy_and_symbol() {
    let workplace = Workplace::empty();
    let mut configuration = Configuration::new();
    for symbol in [BTC, ETH] {
        let file = workplace.path(&format!("{symbol}.csv"));
        write_csv(&file, Scene::new(FLAT).candles()).unwrap();
        configuration = configuration.file(symbol, &file);
    }
    let scripted = plugin("strategies/scripted");
    let long = "{ position = \"long\", priceTakeProfit = 43000, priceStopLoss = 41000 }";
    let from = |minute: i64| {
        let until = at(2);
        format!("risk = [\"r\"]\nsettings = {{ signals = [{{ at = {}, until = {until}, dto = {long} }}] }}", at(minute))
    };
    let configuration = configuration
        .strategy("early", &scripted, &[BTC, ETH], &from(0))
        .strategy("late", &scripted, &[ETH], &from(2))
        .section("[[risk]]\nname = \"r\"\nrules = [{ reject-position = \"long\" }]");
    workplace.configure(&configuration);
    let said = workplace.succeed(&["backtest", "--json"]).stdout;
    let result: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&result["total"]["riskRejections"], &result["total"]["trades"]), (&json!(7), &json!(0)));
    let pairs: Vec<_> = result["pairs"].as_array().unwrap().iter().collect();
    let refused =
        |pair: &&Value| (pair["strategyName"].clone(), pair["symbol"].clone(), pair["riskRejections"].clone());
    let expected = [("early", BTC, 3), ("early", ETH, 3), ("late", ETH, 1)];
    let expected = expected.map(|(strategy, symbol, count)| (json!(strategy), json!(symbol), json!(count)));
    assert_eq!(pairs.iter().map(refused).collect::<Vec<_>>(), expected);
    let table = workplace.succeed(&["backtest"]).stdout;
    assert!(table.contains("7 signals refused by risk rules"), "{table}");
}

/// Specification: S-RSK-09.
#[test]
fn every_profile_must_let_a_signal_pass_and_the_first_refusal_is_told() {
    let scene = Scene::new(FLAT).profile("first", &[(Rule::MaxActive(1), "first")]);
    let scene = scene.profile("second", &[(Rule::MaxActive(1), "second")]);
    let short = "0 long tp=43000 sl=41000 life=2";
    scene
        .trader("both", short, &["first", "second"])
        .trader("a", short, &["first"])
        .trader("b", short, &["second"])
        .trader("c", short, &["second", "first"])
        .trader("d", "3 long tp=43000 sl=41000 life=2", &["second"])
        .trader("e", "3 long tp=43000 sl=41000 life=2", &["first", "second"])
        .check(&[
            "both 0 opened 42000",
            "a 0 risk: first, 1 held",
            "b 0 risk: second, 1 held",
            "c 0 risk: second, 1 held",
            "both 2 time_expired 42000 -0.40 %",
            "d 3 opened 42000",
            "e 3 risk: second, 1 held",
            "d 5 time_expired 42000 -0.40 %",
        ]);
}

/// Specification: S-RSK-10.
#[test]
fn two_profiles_of_one_name_are_refused() {
    let scene = Scene::new(FLAT).profile("one", ONE).profile("other", ONE).profile("one", ONE).trades("");
    let error = scene.tell(None, &mut Silence).unwrap_err();
    assert_eq!(error.to_string(), "there are two risk profiles \"one\"; give one another name");
}

#[test]
fn one_strategy_twice_on_a_symbol_is_refused() {
    // Both would keep the same documents.
    let error = Scene::new(FLAT).trader("a", "", &[]).trader("a", "", &[]).tell(None, &mut Silence).unwrap_err();
    let message = "a on BTCUSDT is there twice; give one of the strategies another name";
    assert_eq!(error.to_string(), message);
}

/// Specification: L-RSK-02.
#[test]
fn what_ends_before_it_is_a_position_gives_its_slot_back() {
    let other = "always long tp=44000 sl=41000 life=2";
    let order = "long open=41000 tp=43000 sl=40000";
    let cases: [(&str, &str, &[&str]); 3] = [
        (
            "42000 | flat 6",
            order,
            &[
                "a 0 scheduled 41000",
                "b 0 risk: one at a time, 1 held",
                "b 1 risk: one at a time, 1 held",
                "b 2 risk: one at a time, 1 held",
                "a 2 timeout",
                "b 3 opened 42000",
                "b 5 time_expired 42000 -0.40 %",
            ],
        ),
        (
            "42000 | flat 1 | high 42000 low 39000 | flat 3",
            order,
            &[
                "a 0 scheduled 41000",
                "b 0 risk: one at a time, 1 held",
                "b 1 risk: one at a time, 1 held",
                "a 1 price_reject",
                "b 2 opened 41800",
                "b 4 time_expired 41800 -0.40 %",
            ],
        ),
        (
            "42000 | flat 4",
            "long tp=41000 sl=40000",
            &["a 0 refused long_tp_wrong_side long_tp_too_close", "b 0 opened 42000", "b 2 time_expired 42000 -0.40 %"],
        ),
    ];
    for (chart, first, expected) in cases {
        let scene = Scene::new(chart).profile("one", ONE).settings(|settings| settings.schedule_await_minutes = 2);
        assert_eq!(scene.trader("a", first, &["one"]).trader("b", other, &["one"]).story(), expected, "{first}");
    }
}

/// Specification: L-RSK-03.
#[test]
fn an_order_refused_when_it_is_filled_is_cancelled() {
    let scene = Scene::new("42000 | flat 3 | high 42000 low 41000 | flat 5");
    let scene = scene.profile("hours", &[(Rule::RejectWindow(at(3), at(3)), "closed")]);
    scene.trader("s", "long open=41000 tp=43000 sl=40000", &["hours"]).check(&[
        "0 scheduled 41000",
        "3 risk: closed, 0 held",
        "3 user",
    ]);
}

/// Specification: L-AUD-03.
#[test]
fn an_id_the_rules_refused_is_opened_once_when_they_allow_it() {
    let scene = Scene::new("42000 | flat 10").profile("hours", &[(Rule::RejectWindow(at(0), at(1)), "closed")]);
    scene.trader("s", "always long id=mine tp=43000 sl=41000 life=2", &["hours"]).check(&[
        "0 risk: closed, 0 held",
        "1 risk: closed, 0 held",
        "2 opened 42000",
        "4 time_expired 42000 -0.40 %",
    ]);
}
