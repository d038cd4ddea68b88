//! Buys when the fast moving average of the closes crosses above the slow one, sells when it crosses below.
const std = @import("std");
const sigbox = @import("sigbox.zig");

const minute_ms = 60_000;

const SmaCross = struct {
    pub const descriptor: sigbox.Descriptor = .{ .name = "sma-cross", .version = "0.1.0", .interval = "1m" };

    fast: u32 = 20,
    slow: u32 = 60,
    take_profit_percent: f64 = 1.0,
    stop_loss_percent: f64 = 0.6,
    minutes: u32 = 240,

    pub fn start(self: SmaCross, allocator: std.mem.Allocator) ?[]const u8 {
        if (self.fast == 0 or self.fast >= self.slow)
            return sigbox.refusal(
                "fast must be at least 1 and below slow; found fast {d} slow {d}",
                .{ self.fast, self.slow },
            );
        kept = allocator.alloc(f64, 4 * (self.slow + 1)) catch @trap();
        return null;
    }

    pub fn getSignal(self: SmaCross, when_ms: u64, price: f64, _: f64, _: f64, _: f64, close: f64, _: f64) void {
        const closes = window(self.slow + 1, when_ms, close) orelse return;
        const before, const now = above(closes, self.fast, self.slow);
        if (before == now) return;
        const up: f64 = if (now) 1 else -1;
        sigbox.trade(&.{
            .position = if (now) .long else .short,
            .price_take_profit = price * (1 + up * self.take_profit_percent / 100),
            .price_stop_loss = price * (1 - up * self.stop_loss_percent / 100),
            .minute_estimated_time = sigbox.some(@as(f64, @floatFromInt(self.minutes))),
        });
    }
};

/// Room for closes; `len` of them are known, oldest first, and the newest is of `newest_ms`.
var kept: []f64 = &.{};
var len: usize = 0;
var newest_ms: u64 = 0;

/// The last closes; null while there are not so many. The one that is new came with the question.
fn window(count: usize, when_ms: u64, close: f64) ?[]const f64 {
    if (len > 0 and when_ms == newest_ms + minute_ms) {
        if (len == kept.len) {
            len = count - 1;
            @memcpy(kept[0..len], kept[kept.len - len ..]);
        }
        kept[len] = close;
        len += 1;
    } else {
        len = 0;
        const closes = sigbox.column("close", count) orelse return null;
        @memcpy(kept[0..count], closes);
        len = count;
    }
    newest_ms = when_ms;
    return kept[len - count .. len];
}

/// Whether the fast average is above the slow one, before the last close and with it.
fn above(closes: []const f64, fast: u32, slow: u32) struct { bool, bool } {
    const at = slow - fast;
    const first, const first_fast, const last = .{ closes[0], closes[at], closes[slow] };
    const shared = sum(closes[at + 1 .. slow]);
    const shared_slow = sum(closes[1..at]) + first_fast + shared;
    const f: f64 = @floatFromInt(fast);
    const s: f64 = @floatFromInt(slow);
    return .{ (first_fast + shared) / f > (first + shared_slow) / s, (shared + last) / f > (shared_slow + last) / s };
}

/// The sum in eight lanes, as the Rust sample adds: the same bits for the same candles.
fn sum(closes: []const f64) f64 {
    var lanes: [8]f64 = @splat(0);
    for (closes, 0..) |close, i| lanes[i % 8] += close;
    return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

comptime {
    sigbox.strategy(SmaCross);
}
