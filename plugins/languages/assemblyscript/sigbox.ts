// What a strategy in AssemblyScript needs: the canonical ABI of the world `strategy`. No tool generates bindings.

@external("sigbox:strategy/answer@0.1.0", "trade")
declare function hostTrade(signal: usize): void;
@external("sigbox:strategy/answer@0.1.0", "fail")
declare function hostFail(code: usize, codeLen: usize, message: usize, messageLen: usize, retryable: bool): void;
@external("sigbox:host/session@0.1.0", "symbol")
declare function hostSymbol(ret: usize): void;
@external("sigbox:host/config@0.1.0", "all")
declare function hostSettings(ret: usize): void;
@external("sigbox:host/market@0.1.0", "columns")
declare function hostColumns(
  symbol: usize, symbolLen: usize, interval: usize, intervalLen: usize, fields: usize, fieldsLen: usize, limit: u32,
  ret: usize,
): void;

/** What the host hands over. Each function here frees it, or copies it first. */
export function cabi_realloc(old: usize, oldLen: usize, align: usize, len: usize): usize {
  return heap.alloc(len);
}

// A place for one answer to or from the host. The longest is a signal, with 144 bytes.
const place: usize = heap.alloc(144);

/** What `describe` returns. */
export function descriptor(name: string, version: string, interval: string): usize {
  memory.fill(place, 0, 56);
  putText(0, name);
  putText(8, version);
  putText(16, interval);
  return place;
}

/** What `start` returns when the strategy can trade. */
export function started(): usize {
  store<u8>(place, 0);
  return place;
}

/** What `start` returns when it cannot. */
export function refused(message: string): usize {
  memory.fill(place, 0, 36);
  store<u8>(place, 1);
  putText(4, "settings");
  putText(12, message);
  return place;
}

/** Trade this. NaN: the operator's default. */
export function trade(isShort: bool, takeProfit: f64, stopLoss: f64, minutes: f64 = NaN, limit: f64 = NaN): void {
  memory.fill(place, 0, 144);
  store<bool>(place, isShort, 24);
  putNumber(32, limit);
  store<f64>(place, takeProfit, 48);
  store<f64>(place, stopLoss, 56);
  putNumber(64, minutes);
  hostTrade(place);
}

let symbol: usize = 0, symbolLen: usize = 0;
const minute = String.UTF8.encode("1m");

/**
 * The last `limit` closed one-minute candles, a field of them, copied to the beginning of `to`. False while there are
 * not so many. Any other refusal is the answer to the question.
 */
export function column(field: ArrayBuffer, limit: i32, to: StaticArray<f64>): bool {
  if (!symbolLen) {
    hostSymbol(place);
    symbol = load<usize>(place);
    symbolLen = load<usize>(place, 4);
  }
  store<usize>(place, changetype<usize>(field), 24);
  store<usize>(place, field.byteLength, 28);
  hostColumns(symbol, symbolLen, changetype<usize>(minute), minute.byteLength, place + 24, 1, limit, place);
  const first = load<usize>(place, 4), firstLen = load<usize>(place, 8);
  if (!load<bool>(place)) {
    memory.copy(changetype<usize>(to), first, firstLen << 3);
    heap.free(first);
    return true;
  }
  const message = load<usize>(place, 12), messageLen = load<usize>(place, 16);
  if (takeText(4) != "not-enough-history") hostFail(first, firstLen, message, messageLen, true);
  heap.free(first);
  heap.free(message);
  return false;
}

/** The settings of the operator: name, value, name, value … Of a text it is the text, of anything else its JSON. */
export function settings(): string[] {
  hostSettings(place);
  const list = load<usize>(place), len = load<usize>(place, 4), texts: string[] = [];
  for (let at = list; at < list + len * 16; at += 8) {
    texts.push(String.UTF8.decodeUnsafe(load<usize>(at), load<usize>(at, 4)));
  }
  return texts;
}

// The garbage collector does not see pointers in `place`, but it runs only when it is called.
function putText(at: usize, value: string): void {
  const bytes = String.UTF8.encode(value);
  store<usize>(place + at, changetype<usize>(bytes));
  store<usize>(place + at, bytes.byteLength, 4);
}

function takeText(at: usize): string {
  return String.UTF8.decodeUnsafe(load<usize>(place + at), load<usize>(place + at, 4));
}

function putNumber(at: usize, value: f64): void {
  store<bool>(place + at, value == value);
  store<f64>(place + at, value, 8);
}
