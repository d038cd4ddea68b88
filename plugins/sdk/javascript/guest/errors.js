/** Errors in words: what was thrown, and where in the author's text. */
import { Refuse, Retry } from "../strategy.js";

/** A line of a stack: "at name (file:line:column)" or "at file:line:column". */
const FRAME = /^\s*at (?:(.*) \()?([^()]+?):(\d+)(?::(\d+))?\)?\s*$/;
const isSdk = (file) => /^sigbox($|\/)|(^|\/)node_modules\/sigbox\/|^<?evalScript|^internal:/.test(file);
const MOST_FRAMES = 10;
const WIDTH = 100;

/** `texts` has the author's files by path; without them no line is shown. */
export function explain(error, texts = {}) {
  if (!(error instanceof Error)) return `thrown: ${show(error)}`;
  const lines = [heading(error)];
  let isShown = false;
  const frames = String(error.stack ?? "").split("\n");
  for (const line of frames) {
    const found = FRAME.exec(line);
    if (found === null || isSdk(found[2])) continue;
    const [, name, file, row, byte] = found;
    const column = byte && columnOf(texts[file]?.split("\n")[row - 1], Number(byte));
    const place = column === undefined ? `${file}:${row}` : `${file}:${row}:${column}`;
    lines.push(name ? `    at ${name} (${place})` : `    at ${place}`);
    if (!isShown) lines.push(...shown(texts[file], Number(row), Number(column)));
    isShown = true;
    if (lines.length > MOST_FRAMES) {
      lines.push("    …");
      break;
    }
  }
  if (error.cause !== undefined) lines.push(`caused by: ${explain(error.cause, texts)}`);
  return lines.join("\n");
}

/** QuickJS counts the bytes of UTF-8, and editors the units of UTF-16, as JavaScript does. */
function columnOf(line, byte) {
  let column = 1;
  for (let at = 1; line !== undefined && at < byte && column <= line.length; column++) {
    const unit = line.charCodeAt(column - 1);
    // Each half of a surrogate pair is two of its four bytes.
    at += unit < 0x80 ? 1 : unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 2 : 3;
  }
  return line === undefined ? byte : column;
}

function heading(error) {
  const name = typeof error.name === "string" && error.name !== "" ? error.name : "Error";
  return error.message ? `${name}: ${error.message}` : name;
}

/** The line of a text, with a mark under the column. */
function shown(text, row, column) {
  const line = text?.split("\n")[row - 1]?.replace(/\r$/, "");
  if (line === undefined || line.trim() === "") return [];
  const blank = line.length - line.trimStart().length;
  const at = Number.isNaN(column) ? blank : column - 1;
  // Of a line that is too long, the part around the column.
  const from = at - blank > WIDTH - 20 ? at - WIDTH / 2 : blank;
  const part = line.slice(from, from + WIDTH).trimEnd().replaceAll("\t", " ");
  return Number.isNaN(column) ? [`        ${part}`] : [`        ${part}`, `        ${" ".repeat(Math.max(0, at - from))}^`];
}

/** What the contract calls a failure. */
export function failure(error, texts) {
  if (error instanceof Refuse || error instanceof Retry)
    return { code: String(error.code), message: String(error.message), retryable: error instanceof Retry, extra: null };
  let message;
  try {
    message = explain(error, texts);
  } catch (another) {
    // An author can make an error that throws when it is read.
    message = `an error that cannot be shown: ${show(another)}`;
  }
  return { code: "exception", message, retryable: true, extra: null };
}

/** A value as a line shows it. */
export function show(value) {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "function") return `[function ${value.name || "without a name"}]`;
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value !== "object" || value === null) return String(value);
  const seen = [];
  try {
    return JSON.stringify(value, function (_, inner) {
      // What is open while this value is written, from the outermost; `this` is the one that has it.
      if (typeof inner === "bigint") return `${inner}n`;
      if (typeof inner === "function") return `[function ${inner.name}]`;
      if (inner instanceof Error) return heading(inner);
      if (inner instanceof Map) return { map: [...inner] };
      if (inner instanceof Set) return { set: [...inner] };
      if (ArrayBuffer.isView(inner)) return [...inner];
      if (typeof inner === "object" && inner !== null) {
        while (seen.length > 0 && seen.at(-1) !== this) seen.pop();
        if (seen.includes(inner)) return "[itself]";
        seen.push(inner);
      }
      return inner;
    });
  } catch (error) {
    return `[cannot be shown: ${error}]`;
  }
}
