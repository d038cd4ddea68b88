//! What holds of every result, whatever the prices and the costs.

use proptest::{prelude::*, test_runner::FileFailurePersistence};
use sigbox_engine::{
    Settings, Side,
    pnl::{Terms, effective_price},
};

fn prices() -> impl Strategy<Value = f64> {
    // From what a meme coin costs to what a bitcoin does.
    (-6..6, 1.0..10.0).prop_map(|(magnitude, digits)| digits * 10_f64.powi(magnitude))
}

fn sides() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Long), Just(Side::Short)]
}

/// A position on these terms, and a price from a tenth to ten times its own.
fn results() -> impl Strategy<Value = (Terms, f64, f64)> {
    let costs = (0.0..1.0, 0.0..1.0);
    (sides(), prices(), 1.0..1e6, 0.1..125.0, costs, 0.1..10.0).prop_map(
        |(side, price_open, cost, multiplier, (slippage, fee), moved)| {
            let settings = Settings { percent_slippage: slippage, percent_fee: fee, ..Settings::default() };
            (Terms::new(side, price_open, cost, multiplier, &settings), price_open, price_open * moved)
        },
    )
}

/// Whether two numbers are equal but for rounding; `size` is that of the numbers they were made from.
fn near(left: f64, right: f64, size: f64) -> bool {
    (left - right).abs() <= 1e-9 * size
}

proptest! {
    // Cases that failed are kept beside this file, and tried first from then on.
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_amount_is_the_percentage_of_what_was_invested((terms, _, price) in results()) {
        let pnl = terms.at(price);
        prop_assert_eq!(pnl.percentage, terms.percentage(price));
        prop_assert_eq!(pnl.cost, pnl.percentage / 100.0 * pnl.entries);
        prop_assert_eq!((pnl.entries, pnl.price_open, pnl.price_close), (terms.cost, terms.entry, price));
    }

    #[test]
    fn the_effective_price_is_the_price_but_for_its_last_bits(price in prices(), cost in 1.0..1e6) {
        let effective = effective_price(cost, price);
        prop_assert!((effective - price).abs() <= 4.0 * f64::EPSILON * price, "{effective} for {price}");
    }

    #[test]
    fn the_result_is_what_the_books_say((terms, _, price) in results()) {
        let (slip, fee) = (terms.slippage_percent / 100.0, terms.fee_percent / 100.0);
        let towards_loss = match terms.side { Side::Long => slip, Side::Short => -slip };
        let units = terms.cost / (terms.entry * (1.0 + towards_loss));
        let worth = units * price * (1.0 - towards_loss);
        let gain = match terms.side { Side::Long => worth - terms.cost, Side::Short => terms.cost - worth };
        let kept = (gain - fee * terms.cost - fee * worth) * terms.multiplier;
        prop_assert!(near(terms.at(price).cost, kept, (terms.cost + worth) * terms.multiplier), "{terms:?}: {kept}");
    }

    #[test]
    fn a_better_price_gives_a_better_result((terms, _, price) in results(), step in 1e-6..1.0) {
        let better = match terms.side { Side::Long => price * (1.0 + step), Side::Short => price * (1.0 - step / 2.0) };
        prop_assert!(terms.percentage(better) > terms.percentage(price), "{terms:?}: {better} over {price}");
    }

    #[test]
    fn higher_costs_give_a_worse_result((terms, _, price) in results(), more in 1e-6..1.0) {
        let dearer = Terms { fee_percent: terms.fee_percent + more, ..terms };
        prop_assert!(dearer.percentage(price) < terms.percentage(price), "fee");
        let rougher = Terms { slippage_percent: terms.slippage_percent + more, ..terms };
        prop_assert!(rougher.percentage(price) < terms.percentage(price), "slippage");
    }

    #[test]
    fn without_costs_a_long_gains_what_a_short_loses((terms, _, price) in results()) {
        let free = |side| Terms { side, slippage_percent: 0.0, fee_percent: 0.0, ..terms };
        prop_assert_eq!(free(Side::Long).percentage(price), -free(Side::Short).percentage(price));
        prop_assert_eq!(free(terms.side).percentage(terms.entry), 0.0);
    }

    #[test]
    fn with_costs_both_sides_lose_where_they_began((terms, _, _) in results(), fee in 1e-6..1.0) {
        for side in [Side::Long, Side::Short] {
            let dear = Terms { side, fee_percent: fee, ..terms };
            prop_assert!(dear.percentage(terms.entry) < 0.0, "{side}");
        }
    }

    #[test]
    fn leverage_multiplies_the_result_and_its_costs((terms, _, price) in results()) {
        let plain = Terms { multiplier: 1.0, ..terms };
        prop_assert_eq!(terms.percentage(price), plain.percentage(price) * terms.multiplier);
    }

    #[test]
    fn a_result_does_not_depend_on_the_currency((terms, _, price) in results(), scale in -20..20) {
        // A power of two, so that nothing is rounded.
        let scale = 2_f64.powi(scale);
        let scaled = Terms { entry: terms.entry * scale, ..terms };
        prop_assert_eq!(scaled.percentage(price * scale), terms.percentage(price));
    }

    #[test]
    fn everything_is_lost_at_the_liquidation_price_and_not_before((terms, price_open, _) in results()) {
        let size = 100.0 * terms.multiplier.max(1.0);
        match terms.liquidation_price(price_open) {
            Some(price) => {
                prop_assert!(price > 0.0);
                prop_assert!(near(terms.percentage(price), -100.0, size), "{} at {price}", terms.percentage(price));
                // It lies beyond the entry where the costs alone lose everything.
                let better = match terms.side { Side::Long => price * 1.01, Side::Short => price * 0.99 };
                prop_assert!(terms.percentage(better) > -100.0, "{} at {better}", terms.percentage(better));
            }
            // Only a price below zero would do that.
            None => {
                prop_assert_eq!(terms.side, Side::Long);
                prop_assert!(terms.percentage(0.0) > -100.0 - 1e-9 * size, "{}", terms.percentage(0.0));
            }
        }
    }
}
