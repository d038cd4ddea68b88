/** Storage backends in JavaScript. The types and what they mean are in persistence.d.ts. */
import { Settings } from "./settings.js";
import { Refuse, Retry } from "./strategy.js";

export { whole } from "./settings.js";
export { Refuse };

/** The same call may succeed later. */
export class Unavailable extends Retry {
  constructor(message, { code = "unavailable", afterMs = null } = {}) {
    super(message, code);
    this.name = "Unavailable";
    this.afterMs = afterMs;
  }
}

const CALLS = ["readValue", "writeValue", "removeValue", "keys"];
const MAY = { start() {}, waitForInit() {}, close() {} };

/** What `backend()` returns. */
export class Backend {
  constructor(definition) {
    const known = ["name", "version", "summary", "features", "maxValueBytes", "settings", ...Object.keys(MAY), "hasValue", ...CALLS];
    for (const name of Object.keys(definition))
      if (!known.includes(name)) throw new TypeError(`a backend has no ${name}; it has ${known.join(", ")}`);
    const { name, version = "0.1.0", summary, features = [], maxValueBytes = 4 << 20, settings = {} } = definition;
    if (typeof name !== "string" || name === "") throw new TypeError("a backend needs a name");
    if (typeof summary !== "string" && typeof summary !== "function")
      throw new TypeError(`${name} needs a summary: a line that says where the documents are, or a function of the settings`);
    this.name = name;
    this.version = version;
    this.summary = typeof summary === "string" ? () => summary : summary.bind(definition);
    this.features = features;
    this.maxValueBytes = maxValueBytes;
    this.settings = new Settings(settings);
    for (const call of CALLS) {
      if (typeof definition[call] !== "function") throw new TypeError(`${name} needs a function ${call}`);
      this[call] = definition[call].bind(definition);
    }
    for (const [call, nothing] of Object.entries(MAY)) this[call] = (definition[call] ?? nothing).bind(definition);
    this.hasValue = definition.hasValue?.bind(definition) ?? ((at) => this.readValue(at) !== null);
    Object.freeze(this);
  }
}

export function backend(definition) {
  if (typeof definition !== "object" || definition === null) throw new TypeError("backend() takes an object");
  return new Backend(definition);
}

/** By code points, which is by the bytes of UTF-8. The order of JavaScript's own strings is another one. */
function compare(a, b) {
  const left = a[Symbol.iterator](), right = b[Symbol.iterator]();
  for (;;) {
    const one = left.next(), other = right.next();
    if (one.done || other.done) return Number(other.done ?? false) - Number(one.done ?? false);
    const order = one.value.codePointAt(0) - other.value.codePointAt(0);
    if (order !== 0) return order;
  }
}

export function page(ids, cursor, limit) {
  const rest = [...ids].filter((id) => cursor === null || compare(id, cursor) > 0).sort(compare);
  const entityIds = rest.slice(0, limit);
  return { entityIds, next: rest.length > limit ? entityIds.at(-1) : null };
}
