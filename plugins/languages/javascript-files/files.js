/** A backend that keeps each document as a file of a granted folder, straight on wasi:filesystem. */
import * as preopens from "wasi:filesystem/preopens@0.2.12";
import { Refuse, Unavailable, backend, page } from "sigbox/persistence";

const MOST_BYTES = 4 << 20;
const NO_LINKS = { symlinkFollow: false };
let root;

export default backend({
  name: "javascript-files",
  summary: "files of the first granted folder",
  maxValueBytes: MOST_BYTES,

  start() {
    root = preopens.getDirectories()[0]?.[0];
    if (!root) throw new Refuse('no folder was granted: directories = { "/data" = "some/folder" }', "denied");
  },

  waitForInit(domain, entityName) {
    makeFolder(part(domain));
    makeFolder(folder(domain, entityName));
    sync(".");
    sync(part(domain));
  },

  readValue(at) {
    const file = ifThere(() => open(path(at), {}, { read: true }));
    if (!file) return null;
    try {
      const bytes = new Uint8Array(file.stat().size);
      for (let done = 0; done < bytes.length; ) {
        const [chunk, isEnd] = file.read(bytes.length - done, done);
        bytes.set(chunk, done);
        done += chunk.length;
        if (isEnd && done < bytes.length) throw new Unavailable("a document became shorter while it was read");
      }
      return bytes;
    } catch (error) {
      throw words(error);
    } finally {
      file[Symbol.dispose]();
    }
  },

  hasValue: (at) => ifThere(() => root.statAt(NO_LINKS, path(at))) !== null,

  // A new file that takes the place of the old one, so that a crash leaves one of the two.
  writeValue(at, value) {
    if (value.length > MOST_BYTES) throw new Refuse(`a document may have ${MOST_BYTES} bytes; found ${value.length}`, "too-large");
    const target = path(at), written = `${folder(at.domain, at.entityName)}/new`;
    attempt(() => {
      const file = open(written, { create: true, truncate: true }, { write: true });
      for (let done = 0; done < value.length; ) done += file.write(value.subarray(done, done + 65_536), done);
      file.sync();
      file[Symbol.dispose]();
      root.renameAt(written, root, target);
    });
    sync(folder(at.domain, at.entityName));
  },

  removeValue(at) {
    if (ifThere(() => root.unlinkFileAt(path(at)) ?? true) === null) return false;
    sync(folder(at.domain, at.entityName));
    return true;
  },

  keys(domain, entityName, cursor, limit) {
    const list = ifThere(() => open(folder(domain, entityName), { directory: true }, { read: true }));
    const ids = [];
    if (list) {
      attempt(() => {
        const entries = list.readDirectory();
        for (let entry = entries.readDirectoryEntry(); entry; entry = entries.readDirectoryEntry())
          if (entry.name.startsWith("=")) ids.push(decodeURIComponent(entry.name.slice(1)));
        entries[Symbol.dispose]();
      });
      list[Symbol.dispose]();
    }
    return page(ids, cursor, limit);
  },
});

// ---- Names. Each part is "=" and the text, of which all but letters, digits, "_" and "-" is written in hexadecimal.

function part(text) {
  const name = "=" + encodeURIComponent(text).replace(/[!'()*.~]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase());
  if (name.length > 240) throw new Refuse(`a name of ${name.length} bytes is too long for a file`, "too-large");
  return name;
}

const folder = (domain, entityName) => `${part(domain)}/${part(entityName)}`;
const path = ({ domain, entityName, entityId }) => `${folder(domain, entityName)}/${part(entityId)}`;

// ---- Files.

const open = (path, openFlags, flags) => root.openAt(NO_LINKS, path, openFlags, flags);

function makeFolder(path) {
  try {
    root.createDirectoryAt(path);
  } catch (error) {
    if (error.payload !== "exist") throw words(error);
  }
}

/** Makes what was renamed, made or removed in a folder survive a crash. */
function sync(path) {
  attempt(() => {
    const opened = open(path, { directory: true }, { read: true });
    opened.sync();
    opened[Symbol.dispose]();
  });
}

function attempt(call) {
  try {
    return call();
  } catch (error) {
    throw words(error);
  }
}

/** What `call` returns; null if there is no such file. Any other error is one. */
function ifThere(call) {
  try {
    return call();
  } catch (error) {
    if (error.payload === "no-entry") return null;
    throw words(error);
  }
}

/** What wasi:filesystem threw, as a failure. */
function words(error) {
  const code = error.payload;
  if (typeof code !== "string") return error;
  const isDenied = code === "access" || code === "not-permitted" || code === "read-only";
  return new Unavailable(`the folder answers: ${code}`, { code: isDenied ? "denied" : "unavailable" });
}
