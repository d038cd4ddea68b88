//! Section 13.4: nonsense is refused, and what is merely unusual is traded.

use sigbox::trading::RunError;

use super::scene::{Scene, at, check, story};

/// Specification: S-SAN-01, S-SAN-02, S-SAN-03, S-SAN-04, S-SAN-05, S-SAN-06.
#[test]
fn numbers_beyond_the_limits_are_refused() {
    let cases = [
        ("long tp=42010 sl=41000", "long_tp_too_close"),
        ("long open=41000 tp=43000 sl=20000", "long_sl_too_far"),
        ("long tp=43000 sl=41000 life=50000", "lifetime_too_large"),
        (
            "long open=-41000 tp=-40000 sl=-43000",
            "priceOpen_not_positive priceTakeProfit_not_positive priceStopLoss_not_positive long_tp_too_close \
             long_sl_too_close",
        ),
        ("long open=NaN tp=43000 sl=41000", "priceOpen_not_finite"),
        ("long tp=NaN sl=41000", "priceTakeProfit_not_finite"),
        ("short tp=41000 sl=NaN", "priceStopLoss_not_finite"),
        ("long open=inf tp=43000 sl=41000", "priceOpen_not_finite long_tp_wrong_side"),
        ("long tp=inf sl=41000", "priceTakeProfit_not_finite"),
        ("short tp=-inf sl=43000", "priceTakeProfit_not_finite"),
    ];
    for (signal, rules) in cases {
        let scene = Scene::new("42000 | to 39000 in 10 | to 45000 in 20").trades(signal).settings(|settings| {
            settings.min_takeprofit_distance_percent = 0.3;
            settings.max_stoploss_distance_percent = 20.0;
            settings.max_signal_lifetime_minutes = 43_200.0;
        });
        assert_eq!(scene.story(), [format!("0 refused {rules}")], "{signal}");
    }
}

/// Specification: S-SAN-07.
#[test]
fn candles_out_of_this_world_are_not_traded_on() {
    let scene = Scene::new("42000 | flat 30 | gap 0.1 | flat 19 | gap 42000 | flat 20")
        .trades("2 long tp=43000 sl=41000 life=3 | 28 long tp=43000 sl=41000 | 40 long tp=0.2 sl=0.09");
    let (told, ended) = scene.run_until(None);
    let error = ended.unwrap_err();
    assert!(matches!(&error, RunError::AnomalousCandle { candle, .. } if candle.open_ms == at(30)), "{error}");
    // What is held when the first of them is reached is not stopped by it.
    let expected = ["2 opened 42000", "5 time_expired 42000 -0.40 %", "28 opened 42000"];
    assert_eq!(story(&told, false), expected);
}

/// Specification: S-SAN-08, S-SAN-09.
#[test]
fn a_sound_signal_is_opened_and_earns_its_target() {
    check(
        "42000 | to 44000 in 10 | flat 5",
        "long tp=43000 sl=41000",
        &["0 opened 42000", "7 take_profit 43000 +1.97 %"],
    );
    check(
        "42000 | to 40000 in 10 | flat 5",
        "short tp=41000 sl=43000",
        &["0 opened 42000", "7 take_profit 41000 +1.99 %"],
    );
}

/// Specification: S-OTH-04.
#[test]
fn a_flash_crash_closes_at_the_stop() {
    let stopped = ["0 opened 42000", "3 stop_loss 41000 -2.77 %"];
    check("42000 | flat 3 | to 30000 in 1 | to 42000 in 1 | flat 5", "long tp=43000 sl=41000", &stopped);
}

/// Specification: S-OTH-05.
#[test]
fn a_gap_through_the_limit_fills_the_order_at_its_price() {
    check(
        "45000 | flat 2 | gap 42000 | flat 10",
        "long open=43000 tp=46000 sl=41000",
        &["0 scheduled 43000", "2 opened 43000", "12 time_expired 42000 -2.72 %"],
    );
}

/// Specification: S-EDG-02.
#[test]
fn without_volume_the_average_is_that_of_the_closes() {
    // The typical price of these candles is a thousand more.
    let chart = "42000 | high 45000 low 42000 | high 45000 low 42000 | to 44000 in 5 | flat 5";
    let script = "2 long tp=43000 sl=41000";
    Scene::new(chart).without_volume().trades(script).check(&["2 opened 42000", "6 take_profit 43000 +1.97 %"]);
}

/// Specification: S-EDG-03.
#[test]
fn a_target_may_be_more_than_twice_the_price() {
    check(
        "42000 | to 95000 in 10 | flat 5",
        "long tp=90000 sl=40000",
        &["0 opened 42000", "11 take_profit 90000 +113.54 %"],
    );
}

/// Specification: S-EDG-04.
#[test]
fn wins_and_losses_follow_each_other() {
    check(
        "42000 | to 44000 in 10 | flat 10 | to 42000 in 10 | flat 10 | to 40000 in 10 | flat 10 | to 42000 in 10 | flat 5",
        "long tp=43000 sl=41000 | 20 long tp=45000 sl=43000 | 40 short tp=41000 sl=43000 | 60 short tp=39000 sl=41000",
        &[
            "0 opened 42000",
            "7 take_profit 43000 +1.97 %",
            "20 opened 44000",
            "24 stop_loss 43000 -2.67 %",
            "40 opened 42000",
            "47 take_profit 41000 +1.99 %",
            "60 opened 40000",
            "64 stop_loss 41000 -2.91 %",
        ],
    );
}

/// Specification: L-AUD-01.
#[test]
fn a_signal_without_an_id_gets_one_that_says_who_and_when() {
    for script in ["3 long tp=43000 sl=41000", "3 long id= tp=43000 sl=41000", "3 long open=41000 tp=43000 sl=40000"] {
        let events = Scene::new("42000 | flat 10").trades(script).events();
        let first = events.iter().next().unwrap();
        assert_eq!(first["signal"]["id"], format!("binance:s:BTCUSDT:{}", at(3)), "{script}");
    }
}
