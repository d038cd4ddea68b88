//! What a strategy in Zig needs: the canonical ABI of the world `strategy` as extern structs, and `strategy`, which
//! exports a struct.
const std = @import("std");

const gpa = std.heap.wasm_allocator;

/// What the host hands over lives here, until the end of the call in which it did.
var arena: std.heap.ArenaAllocator = .init(gpa);

export fn cabi_realloc(old: ?[*]u8, old_len: usize, alignment: usize, new_len: usize) ?[*]u8 {
    if (old != null or alignment > 8) @trap(); // The host never grows what it handed over.
    _ = old_len;
    // An empty list must lie inside the memory too, and the allocator has no address for no bytes.
    const bytes = arena.allocator().alignedAlloc(u8, .@"8", @max(new_len, 1)) catch @trap();
    return bytes.ptr;
}

pub const Text = extern struct {
    ptr: [*]const u8,
    len: usize,

    pub fn of(bytes: []const u8) Text {
        return .{ .ptr = bytes.ptr, .len = bytes.len };
    }
    pub fn slice(text: Text) []const u8 {
        return text.ptr[0..text.len];
    }
};

fn List(comptime T: type) type {
    return extern struct { ptr: [*]const T = undefined, len: usize = 0 };
}

fn Option(comptime T: type) type {
    return extern struct { is_some: bool = false, value: T = undefined };
}

/// The value of an optional field.
pub fn some(value: anytype) Option(@TypeOf(value)) {
    return .{ .is_some = true, .value = value };
}

pub const Position = enum(u8) { long, short };

pub const Signal = extern struct {
    id: Option(Text) = .{},
    symbol: Option(Text) = .{},
    position: Position,
    price_open: Option(f64) = .{},
    price_take_profit: f64,
    price_stop_loss: f64,
    minute_estimated_time: Option(f64) = .{},
    cost: Option(f64) = .{},
    multiplier: Option(f64) = .{},
    isolated: Option(bool) = .{},
    note: Option(Text) = .{},
    extra: Option(Text) = .{},
};

const answer = struct {
    extern "sigbox:strategy/answer@0.1.0" fn trade(signal: *const Signal) void;
    extern "sigbox:strategy/answer@0.1.0" fn fail(
        code: [*]const u8,
        code_len: usize,
        message: [*]const u8,
        message_len: usize,
        retryable: bool,
    ) void;
};
const host = struct {
    extern "sigbox:host/session@0.1.0" fn symbol(ret: *Text) void;
    extern "sigbox:host/config@0.1.0" fn all(ret: *List(Setting)) void;
    extern "sigbox:host/market@0.1.0" fn columns(
        symbol: [*]const u8,
        symbol_len: usize,
        interval: [*]const u8,
        interval_len: usize,
        fields: [*]const Text,
        fields_len: usize,
        limit: u32,
        ret: *Columns,
    ) void;
};
const Setting = extern struct { name: Text, value: Text };
const Unavailable = extern struct { code: Text, message: Text };
const Columns = extern struct { is_err: bool, value: extern union { ok: List(f64), err: Unavailable } };
const RawDescriptor = extern struct {
    name: Text,
    version: Text,
    interval: Text,
    settings_schema: Option(Text) = .{},
    features: List(Text) = .{},
    extra: Option(Text) = .{},
};
const Failure = extern struct { code: Text, message: Text, retryable: bool, extra: Option(Text) = .{} };
const Started = extern struct { is_err: bool, failure: Failure };

comptime {
    const assert = std.debug.assert;
    assert(@sizeOf(Signal) == 144 and @sizeOf(Columns) == 20);
    assert(@sizeOf(RawDescriptor) == 56 and @sizeOf(Started) == 36);
}

/// Trade this.
pub const trade = answer.trade;

var own_symbol: []const u8 = "";

/// The last `limit` closed one-minute candles, a field of them, until the end of this call; null while there are not so
/// many. Any other refusal is the answer to the question.
pub fn column(field: []const u8, limit: usize) ?[]const f64 {
    var got: Columns = undefined;
    const fields = [_]Text{.of(field)};
    host.columns(own_symbol.ptr, own_symbol.len, "1m", 2, &fields, 1, @intCast(limit), &got);
    if (!got.is_err) return got.value.ok.ptr[0..got.value.ok.len];
    const code = got.value.err.code.slice();
    const message = got.value.err.message.slice();
    if (!std.mem.eql(u8, code, "not-enough-history")) answer.fail(code.ptr, code.len, message.ptr, message.len, true);
    return null;
}

/// Why a strategy cannot start, for people. It lives until the end of the call.
pub fn refusal(comptime format: []const u8, args: anytype) []const u8 {
    return std.fmt.allocPrint(arena.allocator(), format, args) catch @trap();
}

pub const Descriptor = struct { name: []const u8, version: []const u8, interval: []const u8 };

/// Exports `S`: its fields with defaults are its settings (`_` is `-` in the operator's file); `pub const descriptor`;
/// `pub fn start(S, Allocator) ?[]const u8`, which says what is wrong with them; and
/// `pub fn getSignal(S, when_ms, price, open, high, low, close, volume) void`.
pub fn strategy(comptime S: type) void {
    const impl = struct {
        var settings: S = .{};
        var descriptor: RawDescriptor = undefined;
        var started: Started = undefined;

        fn describe() callconv(.c) *const RawDescriptor {
            const d: Descriptor = S.descriptor;
            descriptor = .{ .name = .of(d.name), .version = .of(d.version), .interval = .of(d.interval) };
            return &descriptor;
        }

        fn start() callconv(.c) *const Started {
            started.is_err = false;
            if (settle() orelse settings.start(gpa)) |message|
                started = .{ .is_err = true, .failure = .{
                    .code = .of("settings"),
                    .message = .of(message),
                    .retryable = false,
                } };
            return &started;
        }

        fn settle() ?[]const u8 {
            var symbol: Text = undefined;
            host.symbol(&symbol);
            own_symbol = gpa.dupe(u8, symbol.slice()) catch @trap();
            var given: List(Setting) = undefined;
            host.all(&given);
            for (given.ptr[0..given.len]) |setting| if (set(setting)) |message| return message;
            return null;
        }

        fn set(setting: Setting) ?[]const u8 {
            const name = setting.name.slice();
            const value = setting.value.slice();
            inline for (@typeInfo(S).@"struct".field_names) |field| {
                const T = @FieldType(S, field);
                if (is(name, field)) {
                    const parsed = if (T == f64) std.fmt.parseFloat(f64, value) else std.fmt.parseInt(T, value, 10);
                    const kind = if (T == f64) "number" else "whole number";
                    @field(settings, field) = parsed catch
                        return refusal("{s} must be a {s}; found {s}", .{ name, kind, value });
                    return null;
                }
            }
            return refusal("there is no setting {s}", .{name});
        }

        fn is(name: []const u8, field: []const u8) bool {
            if (name.len != field.len) return false;
            for (name, field) |a, b| if (a != if (b == '_') '-' else b) return false;
            return true;
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
            settings.getSignal(when_ms, price, open, high, low, close, volume);
            if (arena.state.used_list != null) _ = arena.reset(.retain_capacity);
        }
    };
    const name = "sigbox:strategy/strategy@0.1.0#";
    @export(&impl.describe, .{ .name = name ++ "describe" });
    @export(&impl.start, .{ .name = name ++ "start" });
    @export(&impl.getSignal, .{ .name = name ++ "get-signal" });
}
