//! Strategies for sigbox in Zig. A strategy is a struct with a function `signal`:
//!
//!     const sigbox = @import("sigbox.zig");
//!     pub const panic = sigbox.panic;
//!
//!     const Dip = struct {
//!         pub const about: sigbox.About = .{ .name = "dip", .version = "0.1.0", .interval = "5m" };
//!
//!         settings: struct { percent: f64 = 1.0 } = .{},
//!
//!         pub fn signal(dip: *Dip, tick: *sigbox.Tick) !?sigbox.Signal {
//!             const highs = try tick.candles.highs(60) orelse return null;
//!             if (tick.price > sigbox.highest(highs) * (1 - dip.settings.percent / 100)) return null;
//!             return .{ .take_profit = tick.price * 1.02, .stop_loss = tick.price * 0.99, .minutes = 240 };
//!         }
//!     };
//!
//!     comptime {
//!         sigbox.strategy(Dip);
//!     }
//!
//! It is built for wasm32-freestanding. `zig test` runs it natively, on a market that a test makes up: see `testing`.
const std = @import("std");
const builtin = @import("builtin");

const is_wasm = builtin.target.cpu.arch.isWasm();
const minute_ms: u64 = 60_000;

/// What lives as long as the instance.
pub const gpa: std.mem.Allocator = if (is_wasm) std.heap.wasm_allocator else std.heap.page_allocator;

/// What the host hands over, and what a question needs, lives here until the end of the call.
var arena: std.heap.ArenaAllocator = .init(gpa);

/// What a strategy says of itself. `interval` is how often it wants to be asked unless the operator says otherwise: "1m"
/// "3m" "5m" "15m" "30m" "1h".
pub const About = struct { name: []const u8, version: []const u8, interval: []const u8 };

/// Who trades what. `frame` is the name of the period that is being replayed.
pub const Session = struct { symbol: []const u8, strategy: []const u8, exchange: []const u8, frame: ?[]const u8 };

pub const Position = enum(u8) { long, short };

/// "Trade this." What is null is the operator's default.
pub const Signal = struct {
    position: Position = .long,
    /// Closed at this price when the average price reaches it; quote currency.
    take_profit: f64,
    /// Closed at this price when a candle touches it; quote currency.
    stop_loss: f64,
    /// Enter only when a candle touches this price; null: enter now.
    limit: ?f64 = null,
    /// Whole minutes until the position is closed as expired.
    minutes: ?f64 = null,
    /// Amount to invest, quote currency.
    cost: ?f64 = null,
    multiplier: ?f64 = null,
    /// Whether the price at which everything invested is lost acts as a second stop.
    isolated: ?bool = null,
    /// The strategy's own name for it. The id opened last is not opened again.
    id: ?[]const u8 = null,
    /// A remark, kept verbatim in rows and events.
    note: ?[]const u8 = null,
};

/// One closed bar: milliseconds since the Unix epoch, prices in the quote currency, volume in the base currency.
pub const Candle = extern struct { open_time_ms: u64, open: f64, high: f64, low: f64, close: f64, volume: f64 };

/// A position of this strategy on its symbol that was opened and closed.
pub const Trade = struct {
    id: []const u8 = "",
    position: Position = .long,
    opened_ms: u64 = 0,
    closed_ms: u64 = 0,
    price_open: f64 = 0,
    price_close: f64 = 0,
    /// What was invested, quote currency.
    cost: f64 = 0,
    pnl_percentage: f64 = 0,
    pnl_cost: f64 = 0,
    /// Why it was closed, an open set: "take_profit" "stop_loss" "time_expired" "liquidation" "closed" today.
    reason: []const u8 = "",
};

/// A promise to have nothing to say: see `Tick.quiet`.
pub const Quiet = struct { until_ms: u64, below: f64, above: f64 };

pub const Level = enum(u8) { trace, debug, info, warn, err };

/// Why the host, or the strategy itself, has no answer. What it said is the message of the answer.
pub const Error = error{Failed};

/// Why there is no answer; empty: the name of the error says it.
var reason: struct { code: []const u8 = "error", message: []const u8 = "", gives_up: bool = false } = .{};

/// There is no answer this time, and why: `return sigbox.fail("no {s}", .{what})`. Also why `start` refuses.
pub fn fail(comptime format: []const u8, values: anytype) Error {
    return failWith("error", false, print(format, values));
}

/// As `fail`, and the strategy is not asked any more for the rest of the run.
pub fn giveUp(comptime format: []const u8, values: anytype) Error {
    return failWith("error", true, print(format, values));
}

fn failWith(code: []const u8, gives_up: bool, message: []const u8) Error {
    reason = .{ .code = code, .message = message, .gives_up = gives_up };
    return error.Failed;
}

/// A text that lives until the end of the question.
pub fn print(comptime format: []const u8, values: anytype) []const u8 {
    return std.fmt.allocPrint(arena.allocator(), format, values) catch outOfMemory();
}

fn outOfMemory() noreturn {
    @panic("there is not enough memory");
}

/// A line for the operator.
pub fn log(level: Level, comptime format: []const u8, values: anytype) void {
    var room: [1024]u8 = undefined;
    const line = std.fmt.bufPrint(&room, format, values) catch &room;
    host.log(level, line);
}

/// `pub const panic = sigbox.panic;` in the file of the strategy: what a panic says becomes a line of the log.
pub const panic = std.debug.FullPanic(struct {
    fn call(message: []const u8, _: ?usize) noreturn {
        @branchHint(.cold);
        var room: [1024]u8 = undefined;
        host.log(.err, std.fmt.bufPrint(&room, "panic: {s}", .{message}) catch message);
        @trap();
    }
}.call);

/// `pub const std_options: std.Options = .{ .logFn = sigbox.logFn };` in the file of the strategy: what std.log says becomes
/// a line of the log.
pub fn logFn(
    comptime level: std.log.Level,
    comptime scope: @EnumLiteral(),
    comptime format: []const u8,
    values: anytype,
) void {
    const part = if (scope == .default) "" else "(" ++ @tagName(scope) ++ ") ";
    log(switch (level) {
        .err => .err,
        .warn => .warn,
        .info => .info,
        .debug => .debug,
    }, part ++ format, values);
}

/// One question.
pub const Tick = struct {
    /// The minute boundary that is being decided, milliseconds since the Unix epoch.
    when_ms: u64 = 0,
    /// Average price of the last closed candles.
    price: f64 = 0,
    /// The one-minute candle that closed at `when_ms`.
    newest: Candle = undefined,
    /// The symbol's own one-minute candles up to `when_ms`.
    candles: Candles = .{},
    session: Session = undefined,
    promise: ?Quiet = null,

    /// Exactly `limit` closed candles of any symbol and interval, oldest first: "1m" "3m" "5m" "15m" "30m" "1h" "2h" "4h"
    /// "6h" "8h" "12h" "1d". Null: there are not so many. They live until the end of the question.
    pub fn marketCandles(_: *Tick, symbol: []const u8, interval: []const u8, limit: u32) Error!?[]const Candle {
        return host.candles(symbol, interval, limit);
    }

    /// Closed candles of any symbol and interval that opened later than `after_ms`, oldest first, at most `limit`.
    pub fn candlesAfter(
        _: *Tick,
        symbol: []const u8,
        interval: []const u8,
        after_ms: u64,
        limit: u32,
    ) Error![]const Candle {
        return host.candlesAfter(symbol, interval, after_ms, limit);
    }

    /// Numbers of the last `limit` closed candles of any symbol and interval: all of the first field, oldest first, then
    /// all of the second. Fields are "open-time-ms" "open" "high" "low" "close" "volume". Null: there are not so many.
    pub fn columns(
        _: *Tick,
        symbol: []const u8,
        interval: []const u8,
        fields: []const []const u8,
        limit: u32,
    ) Error!?[]const f64 {
        return host.columns(symbol, interval, fields, limit);
    }

    /// Volume-weighted average price of the last closed one-minute candles of any symbol. Null: there are not so many.
    pub fn averagePrice(_: *Tick, symbol: []const u8) Error!?f64 {
        return host.averagePrice(symbol);
    }

    /// Promises that there is nothing to say before `until_ms`, as long as the price, the low and the high of closed
    /// candles stay between `below` and `above`. It counts if `signal` then returns null. The strategy is not asked
    /// meanwhile. A number that is not finite is no bound. A promise that was wrong misses a trade; `sigbox backtest
    /// --check-promises` names such promises.
    pub fn quiet(tick: *Tick, until_ms: u64, below: f64, above: f64) void {
        tick.promise = .{ .until_ms = until_ms, .below = below, .above = above };
    }

    /// At most `n` of its own last trades, oldest first. The host keeps the last 32, also across a restart.
    pub fn trades(_: *Tick, n: u32) []const Trade {
        return host.trades(n);
    }

    /// What was kept under a name; null: nothing. It outlives the instance, a crash and a restart.
    pub fn remembered(_: *Tick, name: []const u8) ?[]const u8 {
        return host.get(name);
    }

    /// Keeps a value under a name, in place of what was there. All names and values together have 16 KiB.
    pub fn remember(_: *Tick, name: []const u8, value: []const u8) Error!void {
        return host.set(name, value);
    }

    /// Removes what is kept under a name.
    pub fn forget(_: *Tick, name: []const u8) void {
        host.remove(name);
    }
};

/// The symbol's own closed one-minute candles up to the question. Only what is new since the last question is fetched from
/// the host. What the functions return is valid until the question ends, also when more is asked for meanwhile.
pub const Candles = struct {
    symbol: []const u8 = "",
    when_ms: u64 = 0,
    /// The one that closed at `when_ms`.
    newest: Candle = undefined,
    /// Contiguous, oldest first. The oldest are dropped in bulk, so that the rest stays one slice.
    kept: std.ArrayList(Candle) = .empty,
    /// How often the oldest were dropped. A column that was made before begins with other candles.
    dropped: u64 = 0,
    columns: [5]struct { numbers: std.ArrayList(f64) = .empty, dropped: u64 = 0 } = @splat(.{}),
    /// The longest window that was asked for.
    longest: usize = 0,
    /// Whether a window was returned to the question being answered.
    has_lent: bool = false,
    /// Windows that were returned to the question, and are freed when it ends.
    lent: std.ArrayList(std.ArrayList(Candle)) = .empty,
    lent_numbers: std.ArrayList(std.ArrayList(f64)) = .empty,

    /// The last `count` closed candles, oldest first; null while the market is younger than that.
    pub fn last(candles: *Candles, count: usize) Error!?[]const Candle {
        if (!try candles.reach(count)) return null;
        return candles.kept.items[candles.kept.items.len - count ..];
    }

    /// The last `count` opening prices, as `last`.
    pub fn opens(candles: *Candles, count: usize) Error!?[]const f64 {
        return candles.column("open", 0, count);
    }
    pub fn highs(candles: *Candles, count: usize) Error!?[]const f64 {
        return candles.column("high", 1, count);
    }
    pub fn lows(candles: *Candles, count: usize) Error!?[]const f64 {
        return candles.column("low", 2, count);
    }
    pub fn closes(candles: *Candles, count: usize) Error!?[]const f64 {
        return candles.column("close", 3, count);
    }
    pub fn volumes(candles: *Candles, count: usize) Error!?[]const f64 {
        return candles.column("volume", 4, count);
    }

    fn column(candles: *Candles, comptime field: []const u8, comptime at: usize, count: usize) Error!?[]const f64 {
        if (!try candles.reach(count)) return null;
        const made = &candles.columns[at];
        if (made.dropped != candles.dropped) {
            made.numbers.clearRetainingCapacity();
            made.dropped = candles.dropped;
        }
        for (candles.kept.items[made.numbers.items.len..]) |candle|
            made.numbers.append(gpa, @field(candle, field)) catch outOfMemory();
        return made.numbers.items[made.numbers.items.len - count ..];
    }

    /// Makes the window reach up to the question, with at least `count` candles. False: there are not so many.
    fn reach(candles: *Candles, count: usize) Error!bool {
        if (count == 0) return fail("a window must have at least one candle", .{});
        candles.longest = @max(candles.longest, count);
        const reached = candles.catchUp(count) or try candles.refill(count);
        candles.has_lent = candles.has_lent or reached;
        return reached;
    }

    fn begin(candles: *Candles, when_ms: u64, newest: Candle) void {
        candles.when_ms = when_ms;
        candles.newest = newest;
        candles.has_lent = false;
        while (candles.lent.pop()) |window| {
            var list = window;
            list.deinit(gpa);
        }
        while (candles.lent_numbers.pop()) |window| {
            var list = window;
            list.deinit(gpa);
        }
    }

    /// Adds the candles that closed since the last question. False when the window has to be fetched anew: it is too
    /// short, or more is missing than it holds.
    fn catchUp(candles: *Candles, count: usize) bool {
        const kept = &candles.kept;
        if (kept.items.len == 0) return false;
        const newest_ms = kept.items[kept.items.len - 1].open_time_ms;
        const missing = (candles.when_ms -| (newest_ms + minute_ms)) / minute_ms;
        const longest = candles.longest;
        if (missing > longest) return false;
        if (missing > 0 and kept.items.len >= 4 * @max(longest, 64)) {
            std.mem.copyForwards(Candle, kept.items[0..longest], kept.items[kept.items.len - longest ..]);
            kept.shrinkRetainingCapacity(longest);
            candles.dropped += 1;
        }
        const before = kept.items.len;
        if (missing == 1) {
            kept.append(gpa, candles.newest) catch outOfMemory();
        } else if (missing > 1) {
            candles.extend(newest_ms, @intCast(missing));
        }
        return kept.items.len - before == missing and kept.items.len >= count;
    }

    /// Adds the minutes that follow the one opened at `after_ms`, at most `limit` of them.
    fn extend(candles: *Candles, after_ms: u64, limit: usize) void {
        var open_time_ms = after_ms;
        var rest = host.nextCandles(after_ms, @intCast(@min(limit, std.math.maxInt(u32))));
        while (rest.len >= 5) : (rest = rest[5..]) {
            open_time_ms += minute_ms;
            candles.kept.append(gpa, .{
                .open_time_ms = open_time_ms,
                .open = rest[0],
                .high = rest[1],
                .low = rest[2],
                .close = rest[3],
                .volume = rest[4],
            }) catch outOfMemory();
        }
    }

    /// Fetches the whole window.
    fn refill(candles: *Candles, count: usize) Error!bool {
        if (candles.has_lent) {
            candles.lent.append(gpa, candles.kept) catch outOfMemory();
            candles.kept = .empty;
            for (&candles.columns) |*made| {
                candles.lent_numbers.append(gpa, made.numbers) catch outOfMemory();
                made.* = .{};
            }
        }
        candles.kept.clearRetainingCapacity();
        candles.dropped += 1;
        const span = (@as(u64, count) + 1) * minute_ms;
        if (candles.when_ms >= span) candles.extend(candles.when_ms - span, count);
        if (candles.kept.items.len == count) return true;
        // As records they cost more, but then the host says why there are not so many.
        candles.kept.clearRetainingCapacity();
        const limit: u32 = @intCast(@min(count, std.math.maxInt(u32)));
        const got = try host.candles(candles.symbol, "1m", limit) orelse return false;
        candles.kept.appendSlice(gpa, got) catch outOfMemory();
        return true;
    }
};

/// The greatest of the numbers; minus infinity of none.
pub fn highest(numbers: []const f64) f64 {
    var found = -std.math.inf(f64);
    for (numbers) |number| found = @max(found, number);
    return found;
}

/// The least of the numbers; infinity of none.
pub fn lowest(numbers: []const f64) f64 {
    var found = std.math.inf(f64);
    for (numbers) |number| found = @min(found, number);
    return found;
}

/// The average, added from the first to the last.
pub fn mean(numbers: []const f64) f64 {
    var sum: f64 = 0;
    for (numbers) |number| sum += number;
    return sum / @as(f64, @floatFromInt(numbers.len));
}

/// Makes `S` the component's strategy. It has `pub const about: About` and `pub fn signal(*S, *Tick) !?Signal`. Every field
/// has a default. The fields of its field `settings` are what the operator can set: bool, integers, floats and texts, with
/// `-` for `_`; a declaration `docs` in it, `.{ .percent = "…" }`, explains them to tools. If it has `pub fn start(*S) !void`,
/// that looks at the settings before the run. Every other field is the strategy's own.
pub fn strategy(comptime S: type) void {
    if (!is_wasm) return;
    const exported = struct {
        var runner: Runner(S) = .{};
        var descriptor: abi.Descriptor = undefined;
        var started: abi.Started = undefined;

        fn describe() callconv(.c) *const abi.Descriptor {
            const about: About = S.about;
            descriptor = .{ .name = .of(about.name), .version = .of(about.version), .interval = .of(about.interval) };
            descriptor.settings_schema = .some(.of(comptime schema(Runner(S).Settings)));
            return &descriptor;
        }

        fn start() callconv(.c) *const abi.Started {
            started.is_error = false;
            runner.start() catch |err| {
                started = .{ .is_error = true, .failure = .{
                    .code = .of("settings"),
                    .message = .of(wordsOf(err)),
                    .retryable = false,
                } };
            };
            return &started;
        }

        fn getSignal(
            when_ms: u64,
            price: f64,
            open: f64,
            high: f64,
            low: f64,
            close: f64,
            volume: f64,
        ) callconv(.c) void {
            runner.ask(when_ms, price, .{
                .open_time_ms = when_ms -% minute_ms,
                .open = open,
                .high = high,
                .low = low,
                .close = close,
                .volume = volume,
            });
            if (arena.state.used_list != null) _ = arena.reset(.retain_capacity);
        }

        fn realloc(old: ?[*]u8, _: usize, alignment: usize, len: usize) callconv(.c) [*]u8 {
            if (old != null or alignment > 8) @trap(); // The host never grows what it handed over.
            // An empty list must lie inside the memory too, and the allocator has no address for no bytes.
            const bytes = arena.allocator().alignedAlloc(u8, .@"8", @max(len, 1)) catch @trap();
            return bytes.ptr;
        }
    };
    @export(&exported.describe, .{ .name = "sigbox:strategy/strategy@0.1.0#describe" });
    @export(&exported.start, .{ .name = "sigbox:strategy/strategy@0.1.0#start" });
    @export(&exported.getSignal, .{ .name = "sigbox:strategy/strategy@0.1.0#get-signal" });
    @export(&exported.realloc, .{ .name = "cabi_realloc" });
}

fn wordsOf(err: anyerror) []const u8 {
    return if (err == error.Failed and reason.message.len > 0) reason.message else @errorName(err);
}

/// A strategy that is being asked.
fn Runner(comptime S: type) type {
    return struct {
        const Settings = if (@hasField(S, "settings")) @FieldType(S, "settings") else struct {};

        author: S = .{},
        tick: Tick = .{},

        fn start(runner: *@This()) !void {
            const lent = host.session();
            const session: Session = .{
                .symbol = keep(lent.symbol),
                .strategy = keep(lent.strategy),
                .exchange = keep(lent.exchange),
                .frame = if (lent.frame) |frame| keep(frame) else null,
            };
            runner.tick = .{ .session = session, .candles = .{ .symbol = session.symbol } };
            if (@hasField(S, "settings")) {
                try settle(Settings, &runner.author.settings, host.settings());
            } else {
                var none: Settings = .{};
                try settle(Settings, &none, host.settings());
            }
            if (@hasDecl(S, "start")) try runner.author.start();
        }

        fn ask(runner: *@This(), when_ms: u64, price: f64, newest: Candle) void {
            const tick = &runner.tick;
            tick.when_ms = when_ms;
            tick.price = price;
            tick.newest = newest;
            tick.promise = null;
            tick.candles.begin(when_ms, newest);
            reason = .{};
            const said = runner.author.signal(tick) catch |err|
                return host.fail(reason.code, wordsOf(err), !reason.gives_up);
            if (@as(?Signal, said)) |found| {
                host.trade(found);
            } else if (tick.promise) |promise| {
                host.quiet(promise);
            }
        }
    };
}

fn keep(text: []const u8) []const u8 {
    return gpa.dupe(u8, text) catch outOfMemory();
}

fn kindOf(comptime T: type) enum { boolean, integer, number, string } {
    return switch (@typeInfo(T)) {
        .bool => .boolean,
        .int => .integer,
        .float => .number,
        else => if (T == []const u8) .string else @compileError("a setting is a bool, an integer, a float or a " ++
            "[]const u8; a field of another type stands beside `settings`, not in it: " ++ @typeName(T)),
    };
}

/// take-profit for take_profit.
fn nameOf(comptime field: []const u8) []const u8 {
    comptime {
        var name: [field.len]u8 = field[0..field.len].*;
        for (&name) |*letter| if (letter.* == '_') {
            letter.* = '-';
        };
        const final = name;
        return &final;
    }
}

/// The JSON Schema of settings.
fn schema(comptime Settings: type) []const u8 {
    comptime {
        @setEvalBranchQuota(100_000);
        var text: []const u8 = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{";
        const defaults: Settings = .{};
        for (@typeInfo(Settings).@"struct".field_names, 0..) |field, i| {
            const kind = kindOf(@FieldType(Settings, field));
            const value = @field(defaults, field);
            text = text ++ (if (i > 0) "," else "") ++ "\"" ++ nameOf(field) ++ "\":{\"type\":\"" ++ @tagName(kind) ++ "\"";
            text = text ++ ",\"default\":" ++ switch (kind) {
                .boolean => if (value) "true" else "false",
                .integer => std.fmt.comptimePrint("{d}", .{value}),
                .number => std.fmt.comptimePrint("{d}", .{value}),
                .string => quoted(value),
            };
            if (@hasDecl(Settings, "docs") and @hasField(@TypeOf(Settings.docs), field))
                text = text ++ ",\"description\":" ++ quoted(@field(Settings.docs, field));
            text = text ++ "}";
        }
        return text ++ "}}";
    }
}

fn quoted(comptime text: []const u8) []const u8 {
    comptime {
        var quotes: []const u8 = "\"";
        for (text) |letter| quotes = quotes ++ switch (letter) {
            '"' => "\\\"",
            '\\' => "\\\\",
            0...0x1f => std.fmt.comptimePrint("\\u{x:0>4}", .{letter}),
            else => &[_]u8{letter},
        };
        return quotes ++ "\"";
    }
}

/// Writes the operator's settings, a JSON object, into those of the strategy.
fn settle(comptime Settings: type, settings: *Settings, text: []const u8) Error!void {
    const parsed = std.json.parseFromSliceLeaky(std.json.Value, arena.allocator(), text, .{}) catch
        return fail("settings are not a JSON object: {s}", .{text});
    if (parsed != .object) return fail("settings are not a JSON object: {s}", .{text});
    var given = parsed.object.iterator();
    next: while (given.next()) |entry| {
        const value = entry.value_ptr.*;
        inline for (@typeInfo(Settings).@"struct".field_names) |field| {
            const name = comptime nameOf(field);
            if (std.mem.eql(u8, name, entry.key_ptr.*)) {
                const T = @FieldType(Settings, field);
                @field(settings, field) = assigned(T, value) orelse return fail("{s} must be a {s}; found {f}", .{
                    name,
                    comptime switch (kindOf(T)) {
                        .boolean => "boolean, true or false",
                        .integer => std.fmt.comptimePrint("whole number from {d} to {d}", .{
                            std.math.minInt(T),
                            std.math.maxInt(T),
                        }),
                        .number => "number",
                        .string => "text",
                    },
                    std.json.fmt(value, .{}),
                });
                continue :next;
            }
        }
        comptime var known: []const u8 = "";
        inline for (@typeInfo(Settings).@"struct".field_names) |field|
            known = known ++ (if (known.len > 0) ", " else "") ++ comptime nameOf(field);
        return fail("there is no setting {s}; there are: {s}", .{
            entry.key_ptr.*,
            if (known.len > 0) known else "none",
        });
    }
}

fn assigned(comptime T: type, value: std.json.Value) ?T {
    switch (comptime kindOf(T)) {
        .boolean => return if (value == .bool) value.bool else null,
        .string => return if (value == .string) keep(value.string) else null,
        .number => return switch (value) {
            .integer => |number| @floatFromInt(number),
            .float => |number| if (std.math.isFinite(number)) @floatCast(number) else null,
            else => null,
        },
        .integer => return switch (value) {
            .integer => |number| std.math.cast(T, number),
            .float => |number| if (number == @trunc(number) and @abs(number) <= 1 << 53)
                std.math.cast(T, @as(i64, @intFromFloat(number)))
            else
                null,
            else => null,
        },
    }
}

/// The canonical ABI of the world `strategy`.
const abi = struct {
    const Text = List(u8);

    fn List(comptime T: type) type {
        return extern struct {
            ptr: [*]const T = undefined,
            len: usize = 0,

            fn of(items: []const T) @This() {
                return .{ .ptr = items.ptr, .len = items.len };
            }
            fn slice(list: @This()) []const T {
                return if (list.len == 0) &.{} else list.ptr[0..list.len];
            }
        };
    }

    fn Option(comptime T: type) type {
        return extern struct {
            is_some: bool = false,
            value: T = undefined,

            fn some(value: T) @This() {
                return .{ .is_some = true, .value = value };
            }
            fn of(value: ?T) @This() {
                return if (value) |given| some(given) else .{};
            }
            fn get(option: @This()) ?T {
                return if (option.is_some) option.value else null;
            }
        };
    }

    fn text(of: ?[]const u8) Option(Text) {
        return if (of) |given| .some(.of(given)) else .{};
    }

    const Refusal = extern struct { code: Text, message: Text };

    fn Result(comptime T: type) type {
        return extern struct {
            is_error: bool,
            value: extern union { ok: T, refusal: Refusal },

            /// What the host said; null: it has not so many candles.
            fn get(result: @This()) Error!?T {
                if (!result.is_error) return result.value.ok;
                const code = result.value.refusal.code.slice();
                if (std.mem.eql(u8, code, "not-enough-history")) return null;
                return failWith(code, false, result.value.refusal.message.slice());
            }
        };
    }

    const RawSignal = extern struct {
        id: Option(Text),
        symbol: Option(Text) = .{},
        position: Position,
        limit: Option(f64),
        take_profit: f64,
        stop_loss: f64,
        minutes: Option(f64),
        cost: Option(f64),
        multiplier: Option(f64),
        isolated: Option(bool),
        note: Option(Text),
        extra: Option(Text) = .{},
    };
    const RawTrade = extern struct {
        id: Text,
        position: Position,
        opened_ms: u64,
        closed_ms: u64,
        price_open: f64,
        price_close: f64,
        cost: f64,
        pnl_percentage: f64,
        pnl_cost: f64,
        reason: Text,
        extra: Option(Text),
    };
    const Descriptor = extern struct {
        name: Text,
        version: Text,
        interval: Text,
        settings_schema: Option(Text) = .{},
        features: Text = .{},
        extra: Option(Text) = .{},
    };
    const Failure = extern struct { code: Text, message: Text, retryable: bool, extra: Option(Text) = .{} };
    const Started = extern struct { is_error: bool, failure: Failure };

    comptime {
        if (is_wasm) {
            const assert = std.debug.assert;
            assert(@sizeOf(RawSignal) == 144 and @sizeOf(RawTrade) == 96 and @sizeOf(Candle) == 48);
            assert(@sizeOf(Result(List(f64))) == 20 and @sizeOf(Result(f64)) == 24);
            assert(@sizeOf(Descriptor) == 56 and @sizeOf(Started) == 36);
        }
    }

    const session = struct {
        extern "sigbox:host/session@0.1.0" fn symbol(ret: *Text) void;
        extern "sigbox:host/session@0.1.0" fn strategy(ret: *Text) void;
        extern "sigbox:host/session@0.1.0" fn exchange(ret: *Text) void;
        extern "sigbox:host/session@0.1.0" fn frame(ret: *Option(Text)) void;
        extern "sigbox:host/session@0.1.0" fn settings(ret: *Text) void;
    };
    const logging = struct {
        extern "sigbox:host/logging@0.1.0" fn log(u32, [*]const u8, usize, [*]const u8, usize) void;
    };
    const market = struct {
        extern "sigbox:host/market@0.1.0" fn candles(
            [*]const u8,
            usize,
            [*]const u8,
            usize,
            u32,
            *Result(List(Candle)),
        ) void;
        extern "sigbox:host/market@0.1.0" fn @"candles-after"(
            [*]const u8,
            usize,
            [*]const u8,
            usize,
            u64,
            u32,
            *Result(List(Candle)),
        ) void;
        extern "sigbox:host/market@0.1.0" fn columns(
            [*]const u8,
            usize,
            [*]const u8,
            usize,
            [*]const Text,
            usize,
            u32,
            *Result(List(f64)),
        ) void;
        extern "sigbox:host/market@0.1.0" fn @"next-candles"(u64, u32, *List(f64)) void;
        extern "sigbox:host/market@0.1.0" fn @"average-price"([*]const u8, usize, *Result(f64)) void;
    };
    const trades = struct {
        extern "sigbox:host/trades@0.1.0" fn last(u32, *List(RawTrade)) void;
    };
    const memory = struct {
        extern "sigbox:host/memory@0.1.0" fn get([*]const u8, usize, *Option(Text)) void;
        extern "sigbox:host/memory@0.1.0" fn set([*]const u8, usize, [*]const u8, usize, *Result(void8)) void;
        extern "sigbox:host/memory@0.1.0" fn remove([*]const u8, usize) void;
        const void8 = extern struct {};
    };
    const answer = struct {
        extern "sigbox:strategy/answer@0.1.0" fn trade(*const RawSignal) void;
        extern "sigbox:strategy/answer@0.1.0" fn fail([*]const u8, usize, [*]const u8, usize, bool) void;
        extern "sigbox:strategy/answer@0.1.0" fn quiet(u64, f64, f64) void;
    };
};

const host = if (is_wasm) component else testing.made_up;

/// The host of a component.
const component = struct {
    fn text(lend: *const fn (*abi.Text) callconv(.c) void) []const u8 {
        var lent: abi.Text = .{};
        lend(&lent);
        return lent.slice();
    }
    fn session() Session {
        var frame: abi.Option(abi.Text) = .{};
        abi.session.frame(&frame);
        return .{
            .symbol = text(abi.session.symbol),
            .strategy = text(abi.session.strategy),
            .exchange = text(abi.session.exchange),
            .frame = if (frame.get()) |given| given.slice() else null,
        };
    }
    fn settings() []const u8 {
        return text(abi.session.settings);
    }
    fn log(level: Level, line: []const u8) void {
        abi.logging.log(@backingInt(level), "", 0, line.ptr, line.len);
    }
    fn candles(symbol: []const u8, interval: []const u8, limit: u32) Error!?[]const Candle {
        var got: abi.Result(abi.List(Candle)) = undefined;
        abi.market.candles(symbol.ptr, symbol.len, interval.ptr, interval.len, limit, &got);
        return if (try got.get()) |list| list.slice() else null;
    }
    fn candlesAfter(symbol: []const u8, interval: []const u8, after_ms: u64, limit: u32) Error![]const Candle {
        var got: abi.Result(abi.List(Candle)) = undefined;
        abi.market.@"candles-after"(symbol.ptr, symbol.len, interval.ptr, interval.len, after_ms, limit, &got);
        return if (try got.get()) |list| list.slice() else &.{};
    }
    fn columns(symbol: []const u8, interval: []const u8, fields: []const []const u8, limit: u32) Error!?[]const f64 {
        const names = arena.allocator().alloc(abi.Text, fields.len) catch outOfMemory();
        for (names, fields) |*name, field| name.* = .of(field);
        var got: abi.Result(abi.List(f64)) = undefined;
        abi.market.columns(symbol.ptr, symbol.len, interval.ptr, interval.len, names.ptr, names.len, limit, &got);
        return if (try got.get()) |list| list.slice() else null;
    }
    fn nextCandles(after_ms: u64, limit: u32) []const f64 {
        var got: abi.List(f64) = .{};
        abi.market.@"next-candles"(after_ms, limit, &got);
        return got.slice();
    }
    fn averagePrice(symbol: []const u8) Error!?f64 {
        var got: abi.Result(f64) = undefined;
        abi.market.@"average-price"(symbol.ptr, symbol.len, &got);
        return got.get();
    }
    fn trades(n: u32) []const Trade {
        var got: abi.List(abi.RawTrade) = .{};
        abi.trades.last(n, &got);
        const list = arena.allocator().alloc(Trade, got.len) catch outOfMemory();
        for (list, got.slice()) |*trade_of, raw| trade_of.* = .{
            .id = raw.id.slice(),
            .position = raw.position,
            .opened_ms = raw.opened_ms,
            .closed_ms = raw.closed_ms,
            .price_open = raw.price_open,
            .price_close = raw.price_close,
            .cost = raw.cost,
            .pnl_percentage = raw.pnl_percentage,
            .pnl_cost = raw.pnl_cost,
            .reason = raw.reason.slice(),
        };
        return list;
    }
    fn get(name: []const u8) ?[]const u8 {
        var got: abi.Option(abi.Text) = .{};
        abi.memory.get(name.ptr, name.len, &got);
        return if (got.get()) |value| value.slice() else null;
    }
    fn set(name: []const u8, value: []const u8) Error!void {
        var got: abi.Result(abi.memory.void8) = undefined;
        abi.memory.set(name.ptr, name.len, value.ptr, value.len, &got);
        _ = try got.get();
    }
    fn remove(name: []const u8) void {
        abi.memory.remove(name.ptr, name.len);
    }
    fn trade(s: Signal) void {
        abi.answer.trade(&.{
            .id = abi.text(s.id),
            .position = s.position,
            .limit = .of(s.limit),
            .take_profit = s.take_profit,
            .stop_loss = s.stop_loss,
            .minutes = .of(s.minutes),
            .cost = .of(s.cost),
            .multiplier = .of(s.multiplier),
            .isolated = .of(s.isolated),
            .note = abi.text(s.note),
        });
    }
    fn fail(code: []const u8, message: []const u8, retryable: bool) void {
        abi.answer.fail(code.ptr, code.len, message.ptr, message.len, retryable);
    }
    fn quiet(promise: Quiet) void {
        abi.answer.quiet(promise.until_ms, promise.below, promise.above);
    }
};

/// Runs a strategy natively, on a market that a test makes up.
pub const testing = struct {
    /// What a strategy said to one question.
    pub const Answer = struct { when_ms: u64, signal: ?Signal = null, quiet: ?Quiet = null };

    /// What a strategy has from outside.
    pub const Market = struct {
        /// One-minute candles of the strategy's own symbol, without gaps. The price of a question is the newest close.
        candles: []const Candle = &.{},
        /// One-minute candles of other symbols.
        others: []const struct { symbol: []const u8, candles: []const Candle } = &.{},
        symbol: []const u8 = "TEST",
        /// The operator's settings, a JSON object.
        settings: []const u8 = "{}",
        /// The strategy's last trades.
        trades: []const Trade = &.{},
        /// A question is put every so many minutes.
        every: u64 = 1,
    };

    /// Why the last run failed.
    pub var failure: []const u8 = "";

    /// What strategies remember, from run to run.
    pub var memory: std.StringHashMapUnmanaged([]const u8) = .empty;

    var market: Market = .{};
    var now_ms: u64 = 0;
    var answer: *Answer = undefined;

    /// Starts a strategy and puts a question to it for each candle. An error: it refused its settings, a question failed, or
    /// it traded although it had promised silence; `failure` says which.
    pub fn run(comptime S: type, of: Market) Error![]const Answer {
        market = of;
        failure = "";
        reason = .{};
        var runner: Runner(S) = .{};
        runner.start() catch |err| {
            failure = keep(wordsOf(err));
            return error.Failed;
        };
        var answers: std.ArrayList(Answer) = .empty;
        var promise: ?Quiet = null;
        for (of.candles, 0..) |candle, i| {
            now_ms = candle.open_time_ms + minute_ms;
            if (promise) |made| if (now_ms >= made.until_ms or @min(candle.low, candle.close) < made.below or
                @max(candle.high, candle.close) > made.above)
            {
                promise = null;
            };
            if (now_ms / minute_ms % of.every != 0) continue;
            answer = answers.addOne(gpa) catch outOfMemory();
            answer.* = .{ .when_ms = now_ms };
            runner.ask(now_ms, candle.close, candle);
            if (failure.len == 0 and promise != null and answer.signal != null)
                failure = print("candle {d}: it traded, although it had promised silence", .{i});
            if (failure.len > 0) return error.Failed;
            if (promise == null) promise = answer.quiet;
        }
        return answers.items;
    }

    /// Candles of closing prices: a minute apart from the beginning of 2024, each with its close as open, high and low, and
    /// a volume of 1.
    pub fn closes(prices: []const f64) []const Candle {
        const candles = gpa.alloc(Candle, prices.len) catch outOfMemory();
        for (candles, prices, 0..) |*candle, price, i| candle.* = .{
            .open_time_ms = 1_704_067_200_000 + i * minute_ms,
            .open = price,
            .high = price,
            .low = price,
            .close = price,
            .volume = 1,
        };
        return candles;
    }

    const made_up = struct {
        fn session() Session {
            return .{ .symbol = market.symbol, .strategy = "test", .exchange = "test", .frame = null };
        }
        fn settings() []const u8 {
            return market.settings;
        }
        fn log(level: Level, line: []const u8) void {
            std.debug.print("{s} {s}\n", .{ @tagName(level), line });
        }
        fn closed(symbol: []const u8, interval: []const u8) Error![]const Candle {
            var minutes: ?[]const Candle = if (std.mem.eql(u8, symbol, market.symbol)) market.candles else null;
            for (market.others) |other| if (std.mem.eql(u8, symbol, other.symbol)) {
                minutes = other.candles;
            };
            var known = minutes orelse return failWith("unknown-symbol", false, "there are no candles of this symbol");
            const Interval = struct { []const u8, u64 };
            const span = for ([_]Interval{
                .{ "1m", 1 },   .{ "3m", 3 },   .{ "5m", 5 },   .{ "15m", 15 }, .{ "30m", 30 },  .{ "1h", 60 },
                .{ "2h", 120 }, .{ "4h", 240 }, .{ "6h", 360 }, .{ "8h", 480 }, .{ "12h", 720 }, .{ "1d", 1440 },
            }) |of| {
                if (std.mem.eql(u8, interval, of[0])) break of[1];
            } else return failWith("unknown-interval", false, "there is no such interval");
            while (known.len > 0 and known[known.len - 1].open_time_ms + minute_ms > now_ms) known.len -= 1;
            var list: std.ArrayList(Candle) = .empty;
            var i: usize = 0;
            while (i + span <= known.len) : (i += 1) {
                if (known[i].open_time_ms % (span * minute_ms) != 0) continue;
                var candle = known[i];
                for (known[i + 1 .. i + span]) |minute| {
                    candle.high = @max(candle.high, minute.high);
                    candle.low = @min(candle.low, minute.low);
                    candle.close = minute.close;
                    candle.volume += minute.volume;
                }
                list.append(arena.allocator(), candle) catch outOfMemory();
            }
            return list.items;
        }
        fn candles(symbol: []const u8, interval: []const u8, limit: u32) Error!?[]const Candle {
            const known = try closed(symbol, interval);
            if (limit > 10_080) return failWith("too-many", false, "more candles than one call may ask for");
            return if (limit > known.len) null else known[known.len - limit ..];
        }
        fn candlesAfter(symbol: []const u8, interval: []const u8, after_ms: u64, limit: u32) Error![]const Candle {
            var known = try closed(symbol, interval);
            while (known.len > 0 and known[0].open_time_ms <= after_ms) known = known[1..];
            return known[0..@min(limit, known.len)];
        }
        fn columns(
            symbol: []const u8,
            interval: []const u8,
            fields: []const []const u8,
            limit: u32,
        ) Error!?[]const f64 {
            const known = try made_up.candles(symbol, interval, limit) orelse return null;
            var numbers: std.ArrayList(f64) = .empty;
            for (fields) |field| for (known) |candle| {
                const number = inline for (.{ "open", "high", "low", "close", "volume" }) |name| {
                    if (std.mem.eql(u8, field, name)) break @field(candle, name);
                } else if (std.mem.eql(u8, field, "open-time-ms"))
                    @as(f64, @floatFromInt(candle.open_time_ms))
                else
                    return failWith("unknown-field", false, "a candle has no such field");
                numbers.append(arena.allocator(), number) catch outOfMemory();
            };
            return numbers.items;
        }
        fn nextCandles(after_ms: u64, limit: u32) []const f64 {
            const known = candlesAfter(market.symbol, "1m", after_ms, @min(limit, 10_080)) catch return &.{};
            if (known.len == 0 or known[0].open_time_ms != after_ms + minute_ms) return &.{};
            const numbers = arena.allocator().alloc([5]f64, known.len) catch outOfMemory();
            for (numbers, known) |*five, c| five.* = .{ c.open, c.high, c.low, c.close, c.volume };
            return @as([*]const f64, @ptrCast(numbers.ptr))[0 .. 5 * numbers.len];
        }
        /// The average of the last five closes, each as heavy as its volume.
        fn averagePrice(symbol: []const u8) Error!?f64 {
            const known = try made_up.candles(symbol, "1m", 5) orelse return null;
            var sum: f64 = 0;
            var volume: f64 = 0;
            for (known) |candle| {
                sum += candle.close * candle.volume;
                volume += candle.volume;
            }
            return if (volume > 0) sum / volume else known[4].close;
        }
        fn trades(n: u32) []const Trade {
            return market.trades[market.trades.len - @min(n, market.trades.len) ..];
        }
        fn get(name: []const u8) ?[]const u8 {
            return memory.get(name);
        }
        fn set(name: []const u8, value: []const u8) Error!void {
            var bytes = name.len + value.len + 64;
            var kept = memory.iterator();
            while (kept.next()) |entry| if (!std.mem.eql(u8, entry.key_ptr.*, name)) {
                bytes += entry.key_ptr.len + entry.value_ptr.len + 64;
            };
            if (bytes > 16 << 10) return failWith("too-large", false, "this is more than is kept");
            memory.put(gpa, keep(name), keep(value)) catch outOfMemory();
        }
        fn remove(name: []const u8) void {
            _ = memory.remove(name);
        }
        fn trade(s: Signal) void {
            answer.signal = s;
        }
        fn fail(code: []const u8, message: []const u8, retryable: bool) void {
            failure = keep(print("{s}: {s}{s}", .{ code, message, if (retryable) "" else "; it gives up" }));
        }
        fn quiet(promise: Quiet) void {
            answer.quiet = promise;
        }
    };
};
