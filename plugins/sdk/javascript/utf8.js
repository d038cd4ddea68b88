/** Text as bytes and back, where there is no TextEncoder. */

/** A lone half of a surrogate pair becomes U+FFFD. */
export function encode(text) {
  const bytes = [];
  for (const character of text) {
    let code = character.codePointAt(0);
    if (code >= 0xd800 && code < 0xe000) code = 0xfffd;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
  }
  return Uint8Array.from(bytes);
}

/** Throws a TypeError for bytes that are no UTF-8, if `isFatal`; otherwise each of them becomes U+FFFD. */
export function decode(bytes, isFatal) {
  const parts = [];
  let part = "";
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at++];
    const more = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : -1;
    let code = more <= 0 ? first : first & (0x3f >> more);
    let isRight = more >= 0;
    for (let i = 0; i < more && isRight; i++) {
      const next = bytes[at];
      // The second byte must not make an overlong form, a surrogate, or more than U+10FFFF.
      const low = i > 0 ? 0x80 : first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
      const high = i > 0 ? 0xbf : first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
      isRight = next !== undefined && next >= low && next <= high;
      if (isRight) {
        code = (code << 6) | (next & 63);
        at++;
      }
    }
    if (!isRight && isFatal) throw new TypeError("these bytes are no UTF-8");
    part += String.fromCodePoint(isRight ? code : 0xfffd);
    if (part.length > 4096) {
      parts.push(part);
      part = "";
    }
  }
  return parts.join("") + part;
}
