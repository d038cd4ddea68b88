// Tests of sigbox.ts and testing.mjs: node --test plugins/sdk/assemblyscript/test, with asc on PATH.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { closes, run } from "../testing.mjs";

const folder = mkdtempSync(join(tmpdir(), "sigbox-")), wasm = join(folder, "uses.core.wasm");
const options = ["--transform", "../exports.mjs", "--runtime", "minimal", "-O3", "--debug", "-o", wasm];
execFileSync("asc", ["uses.ts", ...options], { cwd: import.meta.dirname, stdio: "inherit" });
after(() => rmSync(folder, { recursive: true }));

const rising = (count) => closes(Array.from({ length: count }, (_, i) => i + 1));

test("settings are refused by name", async () => {
  const cases = [
    [{ fsat: 20 }, "there is no setting fsat; there are: mode, percent, count, is-loud"],
    [{ count: "x" }, 'count must be a whole number; found "x"'],
    [{ count: 60.5 }, "count must be a whole number; found 60.5"],
    [{ count: 3e9 }, "count must be a whole number of 32 bits; found 3000000000"],
    [{ count: [1, { a: "]" }] }, 'count must be a whole number; found [1,{"a":"]"}]'],
    [{ percent: null }, "percent must be a number; found null"],
    [{ "is-loud": 1 }, "is-loud must be a boolean, true or false; found 1"],
    [{ mode: 1 }, "mode must be a text; found 1"],
    [{ count: 13 }, "count must not be 13"],
  ];
  for (const [settings, message] of cases) await assert.rejects(run(wasm, { settings }), { message });
});

test("settings arrive, and have a schema", async () => {
  const settings = { mode: 'a "b" é\u{1f600}\n', percent: 2, count: 7, "is-loud": true };
  const { log, schema, about } = await run(wasm, { settings });
  assert.deepEqual(log, ['info a "b" é\u{1f600}\n 2.0 7 true']);
  assert.deepEqual(about, { name: "uses", version: "0.1.0", interval: "1m" });
  assert.deepEqual(schema, {
    type: "object",
    additionalProperties: false,
    properties: {
      mode: { type: "string", default: "look", description: 'what "to" do' },
      percent: { type: "number", default: 1.5 },
      count: { type: "integer", default: 3 },
      "is-loud": { type: "boolean", default: false },
    },
  });
});

test("windows are the same however often they are asked", async () => {
  const candles = rising(2000);
  for (const every of [1, 2, 5, 60, 500])
    for (const count of [1, 7, 61, 300]) {
      const { answers } = await run(wasm, { candles, every, settings: { count } });
      assert.ok(answers.length >= Math.floor(2000 / every));
    }
});

test("everything of the host is there", async () => {
  const candles = rising(130);
  const { answers, memory } = await run(wasm, {
    candles, others: { ETH: candles.slice(0, 120) }, settings: { mode: "everything" }, memory: { n: "é" },
    trades: [{ cost: 5 }, { id: "b", reason: "closed" }],
  });
  assert.deepEqual(memory, { m: "2" });
  assert.equal(answers[128].signal, undefined);
  assert.deepEqual(answers[129].signal, {
    id: undefined, position: "short", limit: 3, takeProfit: 1, stopLoss: 2, minutes: 240, cost: undefined,
    multiplier: undefined, isolated: false, note: "note é",
  });
});

test("what goes wrong has words", async () => {
  const words = {
    large: /too-large: 17065 bytes/, unknown: /unknown-symbol: there are no candles of XRP/, fail: /error: my words$/,
    "give-up": /my words; it gives up/, throw: /the log ends with: error thrown \(uses\.ts:\d+:\d+\)/,
    index: /index 1 in a window of 1/,
  };
  for (const [mode, message] of Object.entries(words))
    await assert.rejects(run(wasm, { candles: rising(1), settings: { mode } }), { message });
});

test("a broken promise is found", async () => {
  const candles = closes([101, 95, 80]);
  const { answers } = await run(wasm, { candles, settings: { mode: "promise", percent: 85 } });
  assert.ok(answers[0].quiet.above === 110 && answers[2].signal);
  await assert.rejects(run(wasm, { candles, settings: { mode: "promise", percent: 100 } }), /candle 1: it traded/);
});
