/**
 * A backend as the component exports it. A component that is built for one backend is this, and the backend's module:
 *
 *   import * as author from "./files.js";
 *   import { guest } from "sigbox/guest/backend";
 *   export const store = guest(author, "files.js");
 *
 * An interpreter does the same with a text, and gives the texts of the author's files to show lines of them.
 */
import * as config from "sigbox:host/config@0.1.0";
import * as secrets from "sigbox:host/secrets@0.1.0";
import { Backend } from "../persistence.js";
import { Refuse } from "../strategy.js";
import * as errors from "./errors.js";
import { show } from "./errors.js";
import { install, report, track } from "./globals.js";

function failure(error, texts) {
  const { code, message, retryable } = errors.failure(error, texts);
  // Of an exception nobody knows whether it passes. The host gives up a backend that does not.
  const isException = code === "exception";
  return { code: isException ? "other" : code, message, retryable, retryAfterMs: error?.afterMs ?? null, extra: null };
}

export function guest(author, path, texts = {}) {
  const backend = author.default;
  if (!(backend instanceof Backend)) return broken(new TypeError(`${path} needs a backend: export default backend({ … })`), path, texts);
  install(texts);
  const settings = () => {
    try {
      return Object.freeze(backend.settings.settleTexts(Object.fromEntries(config.all())));
    } catch (error) {
      throw new Refuse(error.message, "other");
    }
  };
  const call = (name, check) => (...args) => {
    try {
      const value = backend[name](...args);
      if (typeof value?.then === "function") throw new TypeError(`${name}() must answer at once; it returned a promise`);
      return check(name, value);
    } catch (error) {
      throw failure(error, texts);
    }
  };
  return {
    track,
    report,
    describe() {
      const { name, version, features, maxValueBytes } = backend;
      let summary = name;
      try {
        summary = backend.summary(settings());
      } catch {
        // `start` says what is wrong.
      }
      return { name, version, summary: String(summary), features, maxValueBytes, extra: null };
    },
    start() {
      try {
        backend.start(settings(), { secret: (name) => secrets.get(name) });
      } catch (error) {
        throw failure(error, texts);
      }
    },
    waitForInit: call("waitForInit", () => undefined),
    readValue: call("readValue", (name, value) => (value === null ? null : of(name, value, value instanceof Uint8Array, "a Uint8Array or null"))),
    hasValue: call("hasValue", (name, value) => of(name, value, typeof value === "boolean", "true or false")),
    writeValue: call("writeValue", () => undefined),
    removeValue: call("removeValue", (name, value) => of(name, value, typeof value === "boolean", "true or false")),
    keys: call("keys", (name, value) => of(name, value, isPage(value), "{ entityIds: [ids], next: an id or null }")),
    close: call("close", () => undefined),
  };
}

function of(name, value, is, wanted) {
  if (!is) throw new TypeError(`${name}() must return ${wanted}; found ${show(value)}`);
  return value;
}

const isPage = (value) =>
  Array.isArray(value?.entityIds) && value.entityIds.every((id) => typeof id === "string") && (value.next === null || typeof value.next === "string");

/** A backend whose module cannot be read: it says why when it is started, because `describe` has no way to. */
export function broken(error, path, texts) {
  const message = { ...failure(error, texts), retryable: false };
  const refuse = () => {
    throw message;
  };
  return {
    track() {},
    report() {},
    describe: () => ({ name: path, version: "0.0.0", summary: path, features: [], maxValueBytes: 4 << 20, extra: null }),
    start: refuse, waitForInit: refuse, readValue: refuse, hasValue: refuse, writeValue: refuse, removeValue: refuse, keys: refuse, close: refuse,
  };
}
