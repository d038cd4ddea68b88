//! What stored documents mean, and why some are refused.
//!
//! A document is JSON, or a row of strategy `a` on BTC as the reference writes it, with some of its fields changed:
//! `pendingAt=@2` (minute 2), `note="why"`, `-cost` (without it). A meaning is some of what the row says, in words, or
//! `flat`, or how a refusal begins. What is understood is written and read again each time, and must be the same.

use proptest::prelude::*;
use serde_json::{Value, json};
use sigbox_engine::Outcome;
use sigbox_events::Event;

use super::*;
use crate::{
    reconcile::signal,
    testing::{EXCHANGE, at, held, minute_of, pair, settings, state},
};

/// A time in a scene: `@2` minute 2, `@2.5` half a minute later.
fn time(text: &str) -> Option<i64> {
    let (minute, half) =
        text.strip_prefix('@')?.split_once('.').map_or((&text[1..], 0), |(minute, _)| (minute, 30_000));
    Some(at(minute.parse().expect("a minute")) + half)
}

fn changed(mut row: Value, changes: &str) -> String {
    for word in changes.split_whitespace() {
        if let Some(field) = word.strip_prefix('-') {
            row.as_object_mut().unwrap().remove(field).unwrap_or_else(|| panic!("there is no {field}"));
        } else {
            let (field, value) = word.split_once('=').unwrap_or_else(|| panic!("{word:?} changes nothing"));
            let value = time(value).map(Value::from);
            row[field] = value.unwrap_or_else(|| serde_json::from_str(&word[field.len() + 1..]).expect("a JSON value"));
        }
    }
    row.to_string()
}

/// The row of a position, as the reference writes it.
fn position(changes: &str) -> String {
    let row = json!({
        "id": "x", "position": "long", "note": "", "priceOpen": 100, "priceTakeProfit": 110, "priceStopLoss": 90,
        "minuteEstimatedTime": 60, "symbol": "BTC", "exchangeName": EXCHANGE, "strategyName": "a", "frameName": "",
        "scheduledAt": at(1), "pendingAt": at(1), "_isScheduled": false,
        "cost": 70, "multiplier": 2, "isolated": false,
    });
    changed(row, changes)
}

/// The row of an order.
fn order(changes: &str) -> String {
    changed(serde_json::from_str(&position("_isScheduled=true")).unwrap(), changes)
}

fn said(signal: &Signal) -> String {
    let Signal { id, side, price_open, price_take_profit, price_stop_loss, minute_estimated_time, .. } = signal;
    let Signal { cost, multiplier, isolated, note, scheduled_at_ms, .. } = signal;
    let margin = if *isolated { "isolated" } else { "cross" };
    format!(
        "{side} id={id} open={price_open} tp={price_take_profit} sl={price_stop_loss} life={minute_estimated_time} \
         cost={cost} x={multiplier} {margin} note={note} accepted={}",
        minute_of(*scheduled_at_ms)
    )
}

fn refusal(fault: RowFault) -> String {
    match fault {
        RowFault::Corrupt(reason) => format!("refused: {reason}"),
        RowFault::Foreign { exchange, strategy, symbol } => format!("of {strategy} on {symbol}, exchange {exchange}"),
    }
}

/// Asserts that `found` has every word of `meaning`, or begins with it.
#[track_caller]
fn matches(found: &str, meaning: &str, document: &str) {
    let has = |word: &str| found.split_whitespace().any(|found| found == word);
    let fits = found.starts_with(meaning) || meaning.split_whitespace().all(has);
    assert!(fits, "{document}\nmeans    {found}\nexpected {meaning}");
}

/// What a document means where positions are kept.
#[track_caller]
fn check(document: &str, meaning: &str) {
    let (pair, settings) = (pair("a"), settings());
    let read = |document: &[u8]| parse_position(document, &pair, &settings);
    let found = match read(document.as_bytes()) {
        Ok(None) => "flat".to_owned(),
        Ok(Some(position)) => {
            let written = position_document(&pair, &position);
            assert_eq!(read(&written), Ok(Some(position.clone())), "{document} is not the same when it was written");
            let [opened, judged] = [position.pending_at_ms, position.judged_from_ms].map(minute_of);
            format!("{} opened={opened} judged={judged}", said(&position.signal))
        }
        Err(fault) => refusal(fault),
    };
    matches(&found, meaning, document);
}

/// What a document means where orders are kept.
#[track_caller]
fn check_order(document: &str, meaning: &str) {
    let (pair, settings) = (pair("a"), settings());
    let read = |document: &[u8]| parse_order(document, &pair, &settings);
    let found = match read(document.as_bytes()) {
        Ok(None) => "flat".to_owned(),
        Ok(Some(order)) => {
            let written = order_document(&pair, &order);
            assert_eq!(read(&written), Ok(Some(order.clone())), "{document} is not the same when it was written");
            said(&order.signal)
        }
        Err(fault) => refusal(fault),
    };
    matches(&found, meaning, document);
}

/// A row and the place it belongs in.
type Kind = (fn(&str, &str), fn(&str) -> String);

const BOTH: [Kind; 2] = [(check, position), (check_order, order)];

#[test]
fn null_is_flat_and_what_is_no_row_is_refused() {
    for (check, _) in BOTH {
        check("null", "flat");
        check(" null\n", "flat");
        check("", "refused: EOF while parsing");
        check("{}", "refused: missing field `id`");
        check("[]", "refused: invalid length 0");
        check("\"null\"", "refused: invalid type: string");
        check("nul", "refused: EOF while parsing");
        check("none", "refused: expected ident");
        check("{\"id\":\"x\"", "refused: EOF while parsing");
        check("null null", "refused: trailing characters");
        check("\u{feff}null", "refused: expected value");
    }
}

#[test]
fn a_row_says_what_was_ordered_and_on_which_terms() {
    let all = "long id=x open=100 tp=110 sl=90 life=60 cost=70 x=2 cross note= accepted=1";
    check(&position(""), &format!("{all} opened=1 judged=1"));
    check_order(&order(""), all);
    check(&position("position=\"short\" priceTakeProfit=90 priceStopLoss=110"), "short tp=90 sl=110");
    check(&position("note=\"why,not?\""), "note=why,not?");
    // Whole numbers may be written as such or not.
    check(&position("priceOpen=100.0 priceTakeProfit=1.1e2"), "open=100 tp=110");
    // An endless lifetime is stored as null.
    check(&position("minuteEstimatedTime=null"), "life=inf");
    check_order(&order("minuteEstimatedTime=null"), "life=inf");
}

#[test]
fn the_settings_say_what_a_row_leaves_out() {
    for (check, row) in BOTH {
        check(&row("-cost"), "cost=100 x=2 cross");
        check(&row("cost=null"), "cost=100");
        check(&row("cost=0"), "cost=100");
        check(&row("-multiplier"), "cost=70 x=1 cross");
        check(&row("-isolated"), "cost=70 x=2 isolated");
        check(&row("-cost -multiplier -isolated"), "cost=100 x=1 isolated");
        check(&row("-note -frameName"), "note=");
        // The reference's rows, and those of a later sigbox, have fields this one does not know.
        check(&row("_priceTrailing=95 comment={\"by\":[1,null]}"), "open=100 sl=90");
        // A row of a backtest's period is one of this strategy.
        check(&row("frameName=\"january\""), "open=100");
        // An empty id is none: it follows from who and when.
        check(&row("id=\"\""), &format!("id={}", pair("a").signal_id(at(1))));
    }
}

#[test]
fn a_field_that_is_missing_or_of_another_kind_is_refused() {
    for (check, row) in BOTH {
        for field in
            ["id", "position", "symbol", "exchangeName", "strategyName", "scheduledAt", "pendingAt", "_isScheduled"]
        {
            check(&row(&format!("-{field}")), &format!("refused: missing field `{field}`"));
        }
        // A number that is not there is endless, as `null` is: no price may be, a lifetime may.
        for price in ["priceOpen", "priceTakeProfit", "priceStopLoss"] {
            check(&row(&format!("-{price}")), &format!("refused: it breaks the rules {price}_not_finite"));
        }
        check(&row("-minuteEstimatedTime"), "life=inf");
        check(&row("priceOpen=\"100\""), "refused: invalid type: string");
        check(&row("position=\"LONG\""), "refused: unknown variant `LONG`");
        check(&row("note=null"), "refused: invalid type: null");
        check(&row("isolated=1"), "refused: invalid type: integer");
        check(&row("scheduledAt=1.5"), "refused: invalid type: floating point");
        check(&row("scheduledAt=null"), "refused: invalid type: null");
        check(&row("_isScheduled=\"true\""), "refused: invalid type: string");
    }
}

#[test]
fn a_row_that_no_position_or_order_can_be_is_refused_with_the_rules_it_breaks() {
    for (check, row) in BOTH {
        check(&row("priceOpen=null"), "refused: it breaks the rules priceOpen_not_finite");
        check(&row("priceStopLoss=0"), "refused: it breaks the rules priceStopLoss_not_positive");
        check(
            &row("priceTakeProfit=-1"),
            "refused: it breaks the rules priceTakeProfit_not_positive, long_tp_wrong_side",
        );
        check(&row("position=\"short\""), "refused: it breaks the rules short_tp_wrong_side, short_sl_wrong_side");
        check(&row("minuteEstimatedTime=0"), "refused: it breaks the rules lifetime_not_positive");
        check(&row("minuteEstimatedTime=1.5"), "refused: it breaks the rules lifetime_not_integer");
        check(&row("multiplier=0"), "refused: it breaks the rules multiplier_not_positive");
        check(&row("cost=-70"), "refused: it breaks the rules cost_not_positive");
    }
}

#[test]
fn a_row_of_another_strategy_symbol_or_exchange_is_refused_as_theirs() {
    for (check, row) in BOTH {
        check(&row("strategyName=\"b\""), "of b on BTC, exchange ex");
        check(&row("symbol=\"ETH\""), "of a on ETH, exchange ex");
        check(&row("exchangeName=\"other\""), "of a on BTC, exchange other");
        check(&row("exchangeName=\"\" strategyName=\"A\" symbol=\"btc\""), "of A on btc, exchange ");
        // Whose it is comes before what is wrong with it.
        check(&row("strategyName=\"b\" scheduledAt=0 priceOpen=0"), "of b on BTC, exchange ex");
    }
}

#[test]
fn a_row_in_the_place_of_the_other_kind_is_refused() {
    // A backend that takes two domains for one hands out one for the other.
    check(&order(""), "refused: it is an order that waits, where positions are kept");
    check_order(&position(""), "refused: it is a position, where orders that wait are kept");
    check(&position("pendingAt=0"), "refused: pendingAt is 0, but the position is open");
    // An order has not been opened yet.
    check_order(&order("pendingAt=0"), "accepted=1");
    check_order(&order("pendingAt=@5"), "accepted=1");
}

#[test]
fn a_row_that_says_impossible_times_is_refused() {
    for (check, row) in BOTH {
        check(&row("scheduledAt=0"), "refused: scheduledAt or pendingAt is not a time");
        check(&row("scheduledAt=-1"), "refused: scheduledAt or pendingAt is not a time");
        check(&row("pendingAt=-1"), "refused: scheduledAt or pendingAt is not a time");
    }
    check(&position("_judgedFrom=@0"), "refused: _judgedFrom is not a minute at or after pendingAt");
    check(&position("_judgedFrom=@2.5"), "refused: _judgedFrom is not a minute at or after pendingAt");
    check(&position("_judgedFrom=0"), "refused: _judgedFrom is not a minute at or after pendingAt");
}

#[test]
fn a_position_is_judged_on_no_candle_older_than_itself() {
    // sigbox writes from which candle on.
    check(&position("_judgedFrom=@1"), "accepted=1 opened=1 judged=1");
    check(&position("pendingAt=@3 _judgedFrom=@4"), "accepted=1 opened=3 judged=4");
    check(&position("pendingAt=@3 _judgedFrom=@3"), "accepted=1 opened=3 judged=3");
    // The reference does not: at the market it is the candle that opens then, of an order the one after its fill.
    check(&position("scheduledAt=@5 pendingAt=@5"), "opened=5 judged=5");
    check(&position("scheduledAt=@5 pendingAt=@6"), "opened=6 judged=7");
    check(&position("_judgedFrom=null"), "opened=1 judged=1");
    // Its times are not those of minutes.
    check(&position("scheduledAt=@5.5 pendingAt=@5.5"), "opened=5 judged=6");
    check(&position("scheduledAt=@5.5 pendingAt=@6.5"), "opened=6 judged=8");
    // It may have been accepted after it was opened, as far as clocks say.
    check(&position("scheduledAt=@6 pendingAt=@5"), "accepted=6 opened=5 judged=6");
}

#[test]
fn rows_are_those_of_the_reference_to_the_byte() {
    let pair = pair("a");
    let State::Open(open) = state(&pair, "open id=x tp=110.5 sl=90 life=inf @3") else { panic!("it is open") };
    assert_eq!(
        String::from_utf8(position_document(&pair, &open)).unwrap(),
        format!(
            "{{\"id\":\"x\",\"priceOpen\":100,\"position\":\"long\",\"note\":\"\",\"priceTakeProfit\":110.5,\
             \"priceStopLoss\":90,\"minuteEstimatedTime\":null,\"symbol\":\"BTC\",\"exchangeName\":\"ex\",\
             \"strategyName\":\"a\",\"frameName\":\"\",\"scheduledAt\":{at},\"pendingAt\":{at},\"_isScheduled\":false,\
             \"cost\":100,\"multiplier\":1,\"isolated\":true,\"_judgedFrom\":{at}}}",
            at = at(3)
        )
    );
    let State::Scheduled(waiting) = state(&pair, "waiting short id=y open=99 life=5 @3") else { panic!("it waits") };
    assert_eq!(
        String::from_utf8(order_document(&pair, &waiting)).unwrap(),
        format!(
            "{{\"id\":\"y\",\"priceOpen\":99,\"position\":\"short\",\"note\":\"\",\"priceTakeProfit\":50,\
             \"priceStopLoss\":200,\"minuteEstimatedTime\":5,\"symbol\":\"BTC\",\"exchangeName\":\"ex\",\
             \"strategyName\":\"a\",\"frameName\":\"\",\"scheduledAt\":{at},\"pendingAt\":{at},\"_isScheduled\":true,\
             \"cost\":100,\"multiplier\":1,\"isolated\":true}}",
            at = at(3)
        )
    );
    assert_eq!(FLAT, b"null");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_row_that_was_written_reads_back_to_the_bit(
        price in prop::num::f64::POSITIVE | prop::num::f64::NORMAL,
        (farther, nearer) in (1.0001..1000.0_f64, 0.0001..0.9999_f64),
        (is_long, is_isolated) in any::<(bool, bool)>(),
        life in prop_oneof![Just(f64::INFINITY), (1..10_000_u32).prop_map(f64::from)],
        (cost, multiplier) in (1e-9..1e12_f64, 1e-3..1e3_f64),
        (id, note) in (".{1,9}", ".*"),
        (accepted, waited) in (1..2_000_000_000_000_i64, 0..10_000_i64),
    ) {
        let (above, below) = (price * farther, price * nearer);
        prop_assume!(above.is_finite() && above > price && below > 0.0 && below < price);
        let (tp, sl) = if is_long { (above, below) } else { (below, above) };
        let proposal = Proposal {
            id: Some(id),
            symbol: None,
            side: if is_long { Side::Long } else { Side::Short },
            price_open: Some(price),
            price_take_profit: tp,
            price_stop_loss: sl,
            minute_estimated_time: Some(life),
            cost: Some(cost),
            multiplier: Some(multiplier),
            isolated: Some(is_isolated),
            note: Some(note),
        };
        let (pair, settings) = (pair("a"), settings());
        let signal = Arc::new(Signal::restore(proposal, &pair, accepted, &settings).unwrap());
        let waiting = Order { signal: Arc::clone(&signal) };
        prop_assert_eq!(parse_order(&order_document(&pair, &waiting), &pair, &settings), Ok(Some(waiting)));

        let opened = accepted - accepted.rem_euclid(MINUTE_MS) + waited * MINUTE_MS;
        let open = Position::open(signal, opened, opened + MINUTE_MS, &settings);
        prop_assume!(opened > 0);
        let read = parse_position(&position_document(&pair, &open), &pair, &settings).unwrap().unwrap();
        let stored = |position: &Position| (Arc::clone(&position.signal), position.pending_at_ms, position.judged_from_ms);
        prop_assert_eq!(stored(&read), stored(&open));
    }
}

/// The levels that the position `x` has passed, as far as a document says.
#[track_caller]
fn check_levels(document: &str, meaning: &str) {
    let State::Open(open) = state(&pair("a"), "open id=x") else { panic!("it is open") };
    let mut position = Position::clone(&open);
    let found = match restore_levels(document.as_bytes(), &mut position) {
        Ok(()) => {
            let mut again = Position::clone(&open);
            restore_levels(&levels_document(Some(&position)), &mut again).unwrap();
            assert_eq!(again, position, "{document} is not the same when it was written");
            held(&State::Open(Arc::new(position))).replace("open 100", "passed")
        }
        Err(fault) => {
            assert_eq!(position, *open, "{document} was refused, and the position is another one");
            refusal(fault)
        }
    };
    let fits = if meaning.starts_with("refused") { found.starts_with(meaning) } else { found == meaning };
    assert!(fits, "{document}\nmeans    {found}\nexpected {meaning}");
}

#[test]
fn levels_are_those_of_the_position_that_is_held() {
    check_levels("{}", "passed");
    check_levels("null", "passed");
    check_levels(r#"{"x":{"profitLevels":[10,20],"lossLevels":[10]}}"#, "passed +10 +20 -10");
    check_levels(r#"{"x":{"profitLevels":[100]},"y":{"profitLevels":[10]}}"#, "passed +100");
    // Those of another signal are left-overs.
    check_levels(r#"{"y":{"profitLevels":[10],"lossLevels":[20]}}"#, "passed");
    check_levels(r#"{"x":{}}"#, "passed");
    check_levels(r#"{"x":{"lossLevels":[50],"later":true}}"#, "passed -50");
    // In any order, twice, and numbers that are no levels.
    check_levels(r#"{"x":{"profitLevels":[30,10,30,0,35,110]}}"#, "passed +10 +30");
}

#[test]
fn levels_that_cannot_be_understood_are_refused_whole() {
    check_levels("", "refused: EOF while parsing");
    check_levels("[]", "refused: invalid type: sequence");
    check_levels("10", "refused: invalid type: integer");
    check_levels(r#"{"x":null}"#, "refused: invalid type: null");
    check_levels(r#"{"x":{"profitLevels":[10],"lossLevels":null}}"#, "refused: invalid type: null");
    check_levels(r#"{"x":{"profitLevels":[10,300]}}"#, "refused: invalid value: integer `300`");
    check_levels(r#"{"x":{"profitLevels":[-10]}}"#, "refused: invalid value: integer `-10`");
    check_levels(r#"{"x":{"profitLevels":[10.5]}}"#, "refused: invalid type: floating point");
    check_levels(r#"{"x":{"profitLevels":[10]},"y":7}"#, "refused: invalid type: integer");
}

#[test]
fn levels_are_written_by_signal_and_only_when_there_are_any() {
    let check = |held: &str, document: &str, has: bool| {
        let held = state(&pair("a"), held);
        let position = held.position().unwrap();
        assert_eq!(
            (String::from_utf8(levels_document(Some(position))).unwrap(), has_levels(position)),
            (document.to_owned(), has)
        );
    };
    check("open id=x", "{}", false);
    check("open id=x +10", r#"{"x":{"profitLevels":[10],"lossLevels":[]}}"#, true);
    check("open id=x -10", r#"{"x":{"profitLevels":[],"lossLevels":[10]}}"#, true);
    check("open id=x -20 +100 +30", r#"{"x":{"profitLevels":[30,100],"lossLevels":[20]}}"#, true);
    assert_eq!(levels_document(None), b"{}");
}

/// Whose slots a document has.
#[track_caller]
fn check_slots(document: &str, meaning: &str) {
    let found = match parse_slots(document.as_bytes()) {
        Ok(slots) => {
            assert_eq!(
                parse_slots(&slots_document(&slots)),
                Ok(slots.clone()),
                "{document} is not the same when written"
            );
            slots.iter().map(|(key, slot)| slot.owner(key).to_string()).collect::<Vec<_>>().join(", ")
        }
        Err(fault) => refusal(fault),
    };
    let fits = if meaning.starts_with("refused") { found.starts_with(meaning) } else { found == meaning };
    assert!(fits, "{document}\nmeans    {found}\nexpected {meaning}");
}

/// One slot, with some more fields.
fn slot(key: &str, more: &str) -> String {
    format!(r#"["{key}",{{"strategyName":"a_b","exchangeName":"ex","openTimestamp":7{more}}}]"#)
}

#[test]
fn slots_say_whose_they_are() {
    check_slots("null", "");
    check_slots("[]", "");
    check_slots(&format!("[{}]", slot("a_b_ex_BTC", r#","symbol":"BTC""#)), "a_b on BTC");
    check_slots(&format!("[{},{}]", slot("a_b_ex_ETH", ""), slot("a_b_ex_BTC", "")), "a_b on ETH, a_b on BTC");
    // The seed's name the symbol only in their key, which is of use when it begins with the other names.
    check_slots(&format!("[{}]", slot("a_b_ex_BTC_2", "")), "a_b on BTC_2");
    check_slots(&format!("[{}]", slot("a_b_EX_BTC", "")), "a_b on ");
    check_slots(&format!("[{}]", slot("whatever", r#","symbol":"BTC""#)), "a_b on BTC");
    check_slots(&format!("[{}]", slot("a_b_ex_BTC", r#","symbol":null,"later":{}"#)), "a_b on BTC");
}

#[test]
fn slots_that_cannot_be_understood_are_refused() {
    check_slots("", "refused: EOF while parsing");
    check_slots("{}", "refused: invalid type: map");
    check_slots("[1]", "refused: invalid type: integer");
    check_slots(r#"[["key"]]"#, "refused: invalid length 1");
    check_slots(r#"[["key",null]]"#, "refused: invalid type: null");
    check_slots(r#"[["key",{"strategyName":"a","exchangeName":"ex"}]]"#, "refused: missing field `openTimestamp`");
    check_slots(&format!("[{},7]", slot("a_b_ex_BTC", "")), "refused: invalid type: integer");
    check_slots(&format!("[{}]", slot("a_b_ex_BTC", r#","position":"up""#)), "refused: unknown variant `up`");
}

#[test]
fn the_slot_of_a_position_says_what_is_at_risk() {
    let pair = pair("a on ETH");
    let held = state(&pair, "open short tp=90 sl=110.5 life=5 @3");
    let entry = slot_entry(&pair, held.position().unwrap());
    let written = format!(
        "[\"a_ex_ETH\",{{\"strategyName\":\"a\",\"exchangeName\":\"ex\",\"openTimestamp\":{},\"symbol\":\"ETH\",\
         \"position\":\"short\",\"priceOpen\":100,\"priceStopLoss\":110.5,\"priceTakeProfit\":90,\
         \"minuteEstimatedTime\":5}}]",
        at(3)
    );
    let document = |slots: &[SlotEntry]| String::from_utf8(slots_document(slots)).unwrap();
    assert_eq!(document(&[entry.clone(), entry]), format!("[{written},{written}]"));
    assert_eq!(slots_document(&[]), b"[]");
}

/// The row that is rebuilt from the event of a beginning is the stored one, whatever was ordered.
#[test]
fn the_event_of_a_beginning_has_the_whole_row() {
    let settings = settings();
    let pair = pair("a on ETH");
    let mut checked = 0;
    let sides = ["", "short ", "tp=123.456789 sl=7.000000001 ", "short tp=0.1 sl=100.10000000000001 "];
    let prices = ["", "open=99.99999999999999 ", "open=100.1 "];
    let lives = ["", "life=5 ", "life=inf "];
    for (side, price, life) in sides.iter().flat_map(|s| prices.iter().flat_map(move |p| lives.map(|l| (s, p, l)))) {
        // A market entry; an order filled by its first candle, and by a later one; an order that waits.
        for (pending, judged) in [(3, Some(3)), (3, Some(4)), (7, Some(8)), (3, None)] {
            let state =
                state(&pair, &format!("{} {side}{price}{life}@3", if judged.is_some() { "open" } else { "waiting" }));
            let mut signal = signal(&state).unwrap().clone();
            (signal.note, signal.cost, signal.multiplier, signal.isolated) =
                ("h\u{e9}llo \u{2014}".into(), 33.3, 2.5, life.is_empty());
            let signal = Arc::new(signal);
            let (held, outcome, row) = match judged {
                Some(judged) => {
                    let mut position = Position::open(signal, at(pending), at(judged), &settings);
                    let row = position_document(&pair, &position);
                    let fresh = State::Open(Arc::new(position.clone()));
                    // What happened since is not in the row.
                    (position.peak.price, position.breakeven) = (1.5, true);
                    (fresh, Outcome::Opened { position: Arc::new(position) }, row)
                }
                None => {
                    let order = Order { signal };
                    let row = order_document(&pair, &order);
                    (State::Scheduled(order.clone()), Outcome::Scheduled { order, price: 1.25 }, row)
                }
            };
            let line = Event::of(&pair, &outcome).unwrap().to_json();
            let beginning: Value = serde_json::from_str(&line).unwrap();
            let was_ordered = judged.is_some_and(|judged| judged != pending);
            let rebuilt = parse_beginning(&beginning, was_ordered, &pair, &settings).unwrap();
            assert_eq!(rebuilt, held, "{line}");
            let again = match &rebuilt {
                State::Open(position) => position_document(&pair, position),
                State::Scheduled(order) => order_document(&pair, order),
                State::Idle => Vec::new(),
            };
            assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(row).unwrap(), "{line}");
            checked += 1;
        }
    }
    assert_eq!(checked, 4 * 3 * 3 * 4);
}

#[test]
fn an_event_that_is_no_beginning_makes_no_row() {
    for event in ["{}", r#"{"signal":7}"#, r#"{"signal":{"id":"x"}}"#] {
        let event = serde_json::from_str(event).unwrap();
        assert!(parse_beginning(&event, false, &pair("a"), &settings()).is_err(), "{event}");
    }
}
