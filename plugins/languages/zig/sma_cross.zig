//! Buys when the fast moving average of the closes crosses above the slow one, sells when it crosses below.
const std = @import("std");
const sigbox = @import("sigbox");

pub const panic = sigbox.panic;

const SmaCross = struct {
    pub const about: sigbox.About = .{ .name = "sma-cross", .version = "0.1.0", .interval = "1m" };

    settings: struct {
        fast: u32 = 20,
        slow: u32 = 60,
        take_profit_percent: f64 = 1.0,
        stop_loss_percent: f64 = 0.6,
        minutes: u32 = 240,

        pub const docs = .{
            .fast = "candles in the fast average",
            .slow = "candles in the slow average",
            .take_profit_percent = "distance of the take-profit from the price, percent",
            .stop_loss_percent = "distance of the stop-loss from the price, percent",
            .minutes = "lifetime of a position, minutes",
        };
    } = .{},

    pub fn start(cross: *SmaCross) !void {
        const fast, const slow = .{ cross.settings.fast, cross.settings.slow };
        if (fast < 1 or fast >= slow)
            return sigbox.fail("fast must be at least 1 and below slow; found fast {d} slow {d}", .{ fast, slow });
    }

    pub fn signal(cross: *SmaCross, tick: *sigbox.Tick) !?sigbox.Signal {
        const settings = &cross.settings;
        const closes = try tick.candles.closes(settings.slow + 1) orelse return null;
        const before, const now = above(closes, settings.fast, settings.slow);
        if (before == now) return null;
        const up: f64 = if (now) 1 else -1;
        return .{
            .position = if (now) .long else .short,
            .take_profit = tick.price * (1 + up * settings.take_profit_percent / 100),
            .stop_loss = tick.price * (1 - up * settings.stop_loss_percent / 100),
            .minutes = @floatFromInt(settings.minutes),
        };
    }
};

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

test "it trades where the averages cross" {
    const expect = std.testing.expect;
    const candles = sigbox.testing.closes(&.{ 90, 91, 92, 93, 94, 95, 80, 80, 80, 120, 120 });
    const market: sigbox.testing.Market = .{ .candles = candles, .settings = "{\"fast\": 2, \"slow\": 5}" };
    const answers = try sigbox.testing.run(SmaCross, market);
    for (answers, 0..) |answer, i| try expect((answer.signal != null) == (i == 6 or i == 9));
    try expect(answers[6].signal.?.position == .short and answers[9].signal.?.position == .long);
    try expect(answers[9].signal.?.minutes == 240);
}

test "a fast average that is not faster is refused" {
    try std.testing.expectError(error.Failed, sigbox.testing.run(SmaCross, .{ .settings = "{\"fast\": 60}" }));
    const wanted = "fast must be at least 1 and below slow; found fast 60 slow 60";
    try std.testing.expectEqualStrings(wanted, sigbox.testing.failure);
}
