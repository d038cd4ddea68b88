/** Settings: what the operator may write, from the defaults of the author. */

/** A default that only a whole number may replace. */
class Whole {
  constructor(value) {
    this.value = value;
  }
}

export function whole(value) {
  if (!Number.isSafeInteger(value)) throw new TypeError(`whole() takes a whole number; found ${show(value)}`);
  return new Whole(value);
}

const KINDS = { number: "a number", string: "a text", boolean: "true or false" };

/** The name in the operator's file: takeProfitPercent is take-profit-percent. */
const fileName = (name) => name.replace(/[A-Z]/g, (letter) => "-" + letter.toLowerCase());

const show = (value) => JSON.stringify(value) ?? String(value);

/** Of each setting its name in the operator's file, its default and what may replace it. */
export class Settings {
  #known = new Map();

  constructor(defaults) {
    for (const [name, value] of Object.entries(defaults)) {
      const isWhole = value instanceof Whole;
      if (!isWhole && !(typeof value in KINDS))
        throw new TypeError(`the default of the setting ${name} must be a number, a text, true or false; found ${show(value)}`);
      const setting = isWhole
        ? { name, value: value.value, kind: "a whole number", type: "integer", is: Number.isSafeInteger }
        : { name, value, kind: KINDS[typeof value], type: typeof value, is: (given) => typeof given === typeof value };
      this.#known.set(fileName(name), setting);
    }
  }

  /** The defaults, with what the operator wrote in their place. Throws a RangeError or TypeError that names the setting. */
  settle(given) {
    const settled = {};
    for (const { name, value } of this.#known.values()) settled[name] = value;
    for (const [key, value] of Object.entries(given)) {
      const setting = this.#known.get(key);
      if (setting === undefined)
        throw new RangeError(`there is no setting ${key}; there are: ${[...this.#known.keys()].join(", ") || "none"}`);
      if (!setting.is(value)) throw new TypeError(`${key} must be ${setting.kind}; found ${show(value)}`);
      settled[setting.name] = value;
    }
    return settled;
  }

  /** As `settle`, of texts: a backend gets each setting as one. */
  settleTexts(given) {
    const parsed = {};
    for (const [key, text] of Object.entries(given)) {
      const type = this.#known.get(key)?.type;
      const isNumber = (type === "number" || type === "integer") && text.trim() !== "" && Number.isFinite(Number(text));
      const isBoolean = type === "boolean" && (text === "true" || text === "false");
      parsed[key] = isNumber ? Number(text) : isBoolean ? text === "true" : text;
    }
    return this.settle(parsed);
  }

  /** A JSON Schema. */
  schema() {
    const properties = {};
    for (const [key, { type, value }] of this.#known) properties[key] = { type, default: value };
    return JSON.stringify({ type: "object", properties, additionalProperties: false });
  }
}
