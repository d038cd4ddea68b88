//! `[engine]`: every field of the engine's settings, with its defaults.

use sigbox_engine::Settings;

use super::reader::Section;

/// Reads each field under its own name in kebab-case.
macro_rules! read_fields {
    ($section:ident, $default:ident: $($key:literal => $field:ident),+ $(,)?) => {
        // No `..Settings::default()`: a new setting must get its key here before this compiles.
        Settings { $($field: $section.or($key, $default.$field),)+ }
    };
}

pub(super) fn read(root: &Section<'_>) -> Settings {
    let default = Settings::default();
    root.section("engine", "[engine]", |section| {
        let settings = read_fields!(section, default:
            "schedule-await-minutes" => schedule_await_minutes,
            "avg-price-candles-count" => avg_price_candles_count,
            "percent-slippage" => percent_slippage,
            "percent-fee" => percent_fee,
            "min-takeprofit-distance-percent" => min_takeprofit_distance_percent,
            "min-stoploss-distance-percent" => min_stoploss_distance_percent,
            "max-stoploss-distance-percent" => max_stoploss_distance_percent,
            "max-signal-lifetime-minutes" => max_signal_lifetime_minutes,
            "max-signal-generation-seconds" => max_signal_generation_seconds,
            "get-candles-retry-count" => get_candles_retry_count,
            "get-candles-retry-delay-ms" => get_candles_retry_delay_ms,
            "get-candles-price-anomaly-threshold-factor" => get_candles_price_anomaly_threshold_factor,
            "get-candles-min-candles-for-median" => get_candles_min_candles_for_median,
            "breakeven-threshold" => breakeven_threshold,
            "position-entry-cost" => position_entry_cost,
            "enable-long-signal" => enable_long_signal,
            "enable-short-signal" => enable_short_signal,
            "signal-leverage-multiplier" => signal_leverage_multiplier,
            "signal-isolated-margin" => signal_isolated_margin,
        );
        for problem in settings.problems() {
            // Only the names of fields have underscores in these texts, and a file writes them with hyphens.
            section.refuse(&problem.name.replace('_', "-"), &problem.rule.replace('_', "-"));
        }
        settings
    })
}
