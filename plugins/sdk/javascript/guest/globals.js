/** What a text of JavaScript expects besides the language: console, TextEncoder and TextDecoder. */
import * as logging from "sigbox:host/logging@0.1.0";
import { decode, encode } from "../utf8.js";
import { explain, show } from "./errors.js";

class Encoder {
  encoding = "utf-8";
  encode(text = "") {
    return encode(String(text));
  }
}

class Decoder {
  encoding = "utf-8";
  #isFatal;
  constructor(label = "utf-8", { fatal = false } = {}) {
    if (!/^utf-?8$/i.test(label)) throw new RangeError(`a TextDecoder knows utf-8 only; found ${label}`);
    this.#isFatal = fatal;
  }
  decode(bytes = new Uint8Array()) {
    const view = bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const isMarked = view[0] === 0xef && view[1] === 0xbb && view[2] === 0xbf;
    return decode(isMarked ? view.subarray(3) : view, this.#isFatal);
  }
}

/** `texts` has the author's files, to show lines of them. */
export function install(texts) {
  const line = (level) => (...values) => {
    const words = values.map((value) => (typeof value === "string" ? value : value instanceof Error ? explain(value, texts) : show(value)));
    logging.log(level, "console", words.join(" "));
  };
  const error = line("error");
  globalThis.console = {
    trace: line("trace"), debug: line("debug"), log: line("info"), info: line("info"), dir: line("info"), warn: line("warn"), error,
    assert: (is, ...values) => void (is || error("assertion failed", ...values)),
  };
  globalThis.TextEncoder ??= Encoder;
  globalThis.TextDecoder ??= Decoder;
}

/** Promises that were rejected, with the reason, as long as nobody looks. An interpreter tells of them, and asks for a report after a call. */
const rejected = new Map();

export function track(promise, reason, isHandled) {
  if (isHandled) rejected.delete(promise);
  else rejected.set(promise, reason);
}

export function report() {
  const reasons = [...rejected.values()];
  rejected.clear();
  for (const reason of reasons) console.error("a promise was rejected, and nobody looked:", reason);
}
