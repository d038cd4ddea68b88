import assert from "node:assert/strict";
import test from "node:test";
import { Refuse, Retry } from "sigbox";
import { Unavailable, backend, page, whole } from "sigbox/persistence";
import { explain, failure, show } from "../guest/errors.js";
import { decode, encode } from "../utf8.js";

test("an error shows the author's line with a mark under the column", () => {
  const error = new TypeError("cannot read property 'deeper' of undefined");
  error.stack = "    at inner (dip.js:2:26)\n    at signal (dip.js:4:3)\n    at ask (sigbox/strategy.js:9:9)\n    at <anonymous> (lib/a.js:7)\n";
  const texts = { "dip.js": "// dip\n\tconst inner = (o) => o.missing.deeper;\n" };
  assert.equal(explain(error, texts), [
    "TypeError: cannot read property 'deeper' of undefined",
    "    at inner (dip.js:2:26)",
    "        const inner = (o) => o.missing.deeper;",
    "                                ^",
    "    at signal (dip.js:4:3)",
    "    at <anonymous> (lib/a.js:7)",
  ].join("\n"));
});

test("columns are those of an editor", () => {
  const error = new Error("x");
  for (const [byte, column] of [[1, 1], [5, 5], [7, 6], [10, 7], [14, 9], [99, 10]]) {
    error.stack = `    at dip.js:1:${byte}`;
    // Bytes: four of ASCII, é 2, € 3, an emoji 4.
    assert.match(explain(error, { "dip.js": "let é€😀;" }), new RegExp(`dip\\.js:1:${column}\n`), String(byte));
  }
});

test("a long line is cut around the column, and a cause is told", () => {
  const error = new Error("outer", { cause: new RangeError("inner") });
  error.cause.stack = "";
  error.stack = "    at dip.js:1:501\n";
  const lines = explain(error, { "dip.js": "x".repeat(500) + "HERE" + "y".repeat(500) }).split("\n");
  assert.equal(lines[2].trim().length, 100);
  assert.equal(lines[2].slice(lines[3].indexOf("^")).slice(0, 4), "HERE");
  assert.equal(lines.at(-1), "caused by: RangeError: inner");
});

test("what was thrown is a failure", () => {
  assert.deepEqual(failure(new Refuse("no")), { code: "settings", message: "no", retryable: false, extra: null });
  assert.deepEqual(failure(new Retry("later", "busy")), { code: "busy", message: "later", retryable: true, extra: null });
  assert.deepEqual(failure("a text"), { code: "exception", message: 'thrown: "a text"', retryable: true, extra: null });
  assert.equal(failure(undefined).message, "thrown: undefined");
});

test("any value can be shown", () => {
  const circle = { name: "a" };
  circle.self = circle;
  const twice = { x: 1 };
  for (const [value, shown] of [
    [circle, '{"name":"a","self":"[itself]"}'],
    [[twice, twice], '[{"x":1},{"x":1}]'],
    [{ big: 1n, f() {}, m: new Map([[1, 2]]), s: new Set(["a"]), b: Uint8Array.of(1, 2) }, '{"big":"1n","f":"[function f]","m":{"map":[[1,2]]},"s":{"set":["a"]},"b":[1,2]}'],
    [undefined, "undefined"], [Symbol("x"), "Symbol(x)"], [5n, "5n"], [NaN, "NaN"], [() => 1, "[function without a name]"],
    [{ toJSON() { throw new Error("no"); } }, "[cannot be shown: Error: no]"],
  ])
    assert.equal(show(value), shown);
});

test("text becomes the bytes of UTF-8 and back", () => {
  for (const text of ["", "plain", "é", "€", "😀", "\u0000\u007f\u0080\u07ff\u0800\uffff\u{10ffff}", "x".repeat(10_000)]) {
    assert.deepEqual([...encode(text)], [...new TextEncoder().encode(text)]);
    assert.equal(decode(encode(text), true), text);
  }
  assert.deepEqual([...encode("\ud800x")], [0xef, 0xbf, 0xbd, 0x78]);
  for (const bytes of [[0x80], [0xc0, 0x80], [0xe0, 0x80, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xf5, 0x80], [0xe2, 0x82], [0x41, 0xff, 0x42]]) {
    assert.throws(() => decode(Uint8Array.from(bytes), true), TypeError);
    assert.equal(decode(Uint8Array.from(bytes), false), new TextDecoder().decode(Uint8Array.from(bytes)), String(bytes));
  }
});

test("a backend has what the contract wants, and a page is in order of bytes", () => {
  const nothing = { readValue: () => null, writeValue() {}, removeValue: () => false, keys: () => page([], null, 10) };
  const made = backend({ name: "b", summary: ({ url }) => `at ${url}`, settings: { url: "x", size: whole(3), isOpen: true }, ...nothing });
  const settings = made.settings.settleTexts({ url: "y", size: "5", "is-open": "false" });
  assert.deepEqual(settings, { url: "y", size: 5, isOpen: false });
  assert.equal(made.summary(settings), "at y");
  assert.equal(made.hasValue({}), false);
  for (const [given, words] of [[{ size: "5.5" }, "size must be a whole number"], [{ size: "" }, "size"], [{ "is-open": "yes" }, "is-open"], [{ u: "1" }, "there is no setting u"]])
    assert.throws(() => made.settings.settleTexts(given), (error) => error.message.includes(words), words);
  for (const [definition, words] of [[{ name: "b", summary: "s" }, "needs a function readValue"], [{ summary: "s" }, "needs a name"], [{ name: "b", ...nothing }, "needs a summary"], [{ name: "b", summary: "s", raedValue() {}, ...nothing }, "has no raedValue"]])
    assert.throws(() => backend(definition), (error) => error.message.includes(words), words);
  // U+FF5E is less than U+1F600 by bytes, and greater in the order of JavaScript.
  const ids = ["b", "😀", "a", "～", "ab", ""];
  assert.deepEqual(page(ids, null, 10), { entityIds: ["", "a", "ab", "b", "～", "😀"], next: null });
  assert.deepEqual(page(ids, "a", 2), { entityIds: ["ab", "b"], next: "b" });
  assert.deepEqual(page(ids, "b", 2), { entityIds: ["～", "😀"], next: null });
  assert.equal(new Unavailable("x", { afterMs: 5 }).afterMs, 5);
});
