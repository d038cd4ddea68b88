//! Tests of sigbox.zig: zig test test.zig
const std = @import("std");
const sigbox = @import("sigbox.zig");
const expect = std.testing.expect;
const expectEqualStrings = std.testing.expectEqualStrings;

const All = struct {
    var last: @FieldType(All, "settings") = .{};

    settings: struct {
        percent: f64 = 1.5,
        fast: u8 = 20,
        is_loud: bool = false,
        a_word: []const u8 = "x",

        pub const docs = .{ .percent = "how \"far\"" };
    } = .{},

    pub fn start(all: *All) !void {
        last = all.settings;
        if (all.settings.fast == 13) return sigbox.fail("fast must not be {d}", .{all.settings.fast});
    }

    pub fn signal(_: *All, _: *sigbox.Tick) !?sigbox.Signal {
        return null;
    }
};

test "settings are fields by their names" {
    _ = try sigbox.testing.run(All, .{ .settings =
        \\ { "percent": 2, "fast" : 7.0, "is-loud": true, "a-word": "a \"b\" \u00e9\n" }
    });
    try expect(All.last.percent == 2 and All.last.fast == 7 and All.last.is_loud);
    try expectEqualStrings("a \"b\" é\n", All.last.a_word);
    _ = try sigbox.testing.run(All, .{});
    try expect(All.last.percent == 1.5 and All.last.fast == 20);
}

test "what is not a setting is refused by name" {
    for ([_][2][]const u8{
        .{ "{\"fsat\": 20}", "there is no setting fsat; there are: percent, fast, is-loud, a-word" },
        .{ "{\"fast\": \"x\"}", "fast must be a whole number from 0 to 255; found \"x\"" },
        .{ "{\"fast\": 60.5}", "fast must be a whole number from 0 to 255; found 60.5" },
        .{ "{\"fast\": 256}", "fast must be a whole number from 0 to 255; found 256" },
        .{ "{\"fast\": [1]}", "fast must be a whole number from 0 to 255; found [1]" },
        .{ "{\"percent\": null}", "percent must be a number; found null" },
        .{ "{\"is-loud\": 1}", "is-loud must be a boolean, true or false; found 1" },
        .{ "{\"a-word\": 1}", "a-word must be a text; found 1" },
        .{ "[1]", "settings are not a JSON object: [1]" },
        .{ "{\"fast\": 13}", "fast must not be 13" },
    }) |case| {
        try std.testing.expectError(error.Failed, sigbox.testing.run(All, .{ .settings = case[0] }));
        try expectEqualStrings(case[1], sigbox.testing.failure);
    }
}

var count: usize = 1;

const LooksBack = struct {
    pub fn signal(_: *LooksBack, tick: *sigbox.Tick) !?sigbox.Signal {
        const closes = try tick.candles.closes(count);
        const candles = try tick.candles.last(count);
        if (try tick.candles.closes(count + 40)) |longer| try expect(longer[40] == closes.?[0]);
        _ = try tick.candles.last(count + 40);
        try expect((closes == null) == (tick.price < @as(f64, @floatFromInt(count))));
        for (closes orelse return null, candles.?, 0..) |close, candle, i| {
            const wanted = tick.price - @as(f64, @floatFromInt(count - 1 - i));
            try expect(close == wanted and candle.close == wanted);
        }
        return null;
    }
};

test "windows are the same however often they are asked" {
    var prices: [2000]f64 = undefined;
    for (&prices, 1..) |*price, i| price.* = @floatFromInt(i);
    const candles = sigbox.testing.closes(&prices);
    for ([_]u64{ 1, 2, 5, 60, 500 }) |every| for ([_]usize{ 1, 7, 61, 300 }) |of| {
        count = of;
        const answers = try sigbox.testing.run(LooksBack, .{ .candles = candles, .every = every });
        try expect(answers.len >= 2000 / every);
    };
}

const Uses = struct {
    settings: struct { fails: u8 = 0 } = .{},

    pub fn signal(uses: *Uses, tick: *sigbox.Tick) !?sigbox.Signal {
        if (tick.price != 130) return null;
        const hours = (try tick.marketCandles("TEST", "1h", 2)).?;
        try expect(hours[1].open == 61 and hours[1].high == 120 and hours[1].volume == 60);
        try expect(try tick.marketCandles("ETH", "1h", 3) == null);
        const columns = (try tick.columns("ETH", "1m", &.{ "high", "volume" }, 2)).?;
        try expect(columns[0] == 119 and columns[1] == 120 and columns[2] == 1);
        try expect((try tick.candlesAfter("ETH", "30m", tick.newest.open_time_ms - 99 * 60_000, 3)).len == 2);
        try expect(try tick.averagePrice("ETH") == 118);
        try expect(tick.trades(1).len == 1);
        try expectEqualStrings("b", tick.trades(1)[0].id);
        try expect(tick.remembered("n") == null);
        try tick.remember("n", "12");
        try expectEqualStrings("12", tick.remembered("n").?);
        tick.forget("n");
        try expect(tick.remembered("n") == null);
        switch (uses.settings.fails) {
            1 => try tick.remember("n", &@as([17_000]u8, @splat(0))),
            2 => _ = try tick.marketCandles("XRP", "1h", 1),
            3 => return sigbox.giveUp("no {s}", .{"more"}),
            4 => return error.OfMyOwn,
            else => {},
        }
        return .{ .position = .short, .take_profit = 1, .stop_loss = 2, .isolated = false };
    }
};

test "everything of the host is there" {
    var prices: [130]f64 = undefined;
    for (&prices, 1..) |*price, i| price.* = @floatFromInt(i);
    const candles = sigbox.testing.closes(&prices);
    var market: sigbox.testing.Market = .{
        .candles = candles,
        .others = &.{.{ .symbol = "ETH", .candles = candles[0..120] }},
        .trades = &.{ .{ .id = "a" }, .{ .id = "b" } },
    };
    const answers = try sigbox.testing.run(Uses, market);
    try expect(answers.len == 130 and answers[128].signal == null);
    try expect(answers[129].signal.?.position == .short and answers[129].signal.?.isolated == false);
    for ([_][2][]const u8{
        .{ "{\"fails\": 1}", "too-large: this is more than is kept" },
        .{ "{\"fails\": 2}", "unknown-symbol: there are no candles of this symbol" },
        .{ "{\"fails\": 3}", "error: no more; it gives up" },
        .{ "{\"fails\": 4}", "error: OfMyOwn" },
    }) |case| {
        market.settings = case[0];
        try std.testing.expectError(error.Failed, sigbox.testing.run(Uses, market));
        try expectEqualStrings(case[1], sigbox.testing.failure);
    }
}

const Promises = struct {
    settings: struct { buys_below: f64 = 85 } = .{},

    pub fn signal(promises: *Promises, tick: *sigbox.Tick) !?sigbox.Signal {
        tick.quiet(std.math.maxInt(u64), 90, 110);
        return if (tick.price < promises.settings.buys_below) .{ .take_profit = 1, .stop_loss = 2 } else null;
    }
};

test "a broken promise is found" {
    var market: sigbox.testing.Market = .{ .candles = sigbox.testing.closes(&.{ 101, 95, 80 }) };
    const answers = try sigbox.testing.run(Promises, market);
    try expect(answers[0].quiet.?.above == 110 and answers[2].signal != null);
    market.settings = "{\"buys-below\": 100}";
    try std.testing.expectError(error.Failed, sigbox.testing.run(Promises, market));
    try expectEqualStrings("candle 1: it traded, although it had promised silence", sigbox.testing.failure);
}

test "numbers over a window" {
    const numbers = [_]f64{ 1, 3, 2 };
    try expect(sigbox.highest(&numbers) == 3 and sigbox.lowest(&numbers) == 1 and sigbox.mean(&numbers) == 2);
}
