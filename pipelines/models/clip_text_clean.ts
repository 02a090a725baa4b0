import { decodeHTML, decodeHTMLStrict } from "entities";

const curlySingleQuotes = /[\u02bc\u2018-\u201b]/g;
const curlyDoubleQuotes = /[\u201c-\u201f]/g;
const latinLigatures = /[\u0132\u0133\u0149\u01c4-\u01cc\u01f1-\u01f3\ufb00-\ufb06]/g;
// Colours of terminals, U+001B and what follows it.
// deno-lint-ignore no-control-regex
const terminalEscapes = /\u001b\[[\d;]*[a-zA-Z]/g;
// Bytes of Windows-1252 that were read as Latin-1.
const c1Controls = /[\u0080-\u009f]/g;
const windows1252 = new TextDecoder("windows-1252");
const htmlEscape = /&#?[0-9A-Za-z]{1,24};/g;
const oddWidths = /[\uff01-\uffef]/g;
// Named one by one: Tab, line feed, form feed and carriage return are white space and stay.
// deno-lint-ignore no-control-regex
const controls = /[\u0000-\u0008\u000b\u000e-\u001f\u007f\u206a-\u206f\ufeff\ufff9-\ufffc]/g;
// \s of JavaScript lacks U+0085; \p{White_Space} is what \s means in Python's `regex`.
const whiteSpace = /\p{White_Space}+/gu;

/** The character fixes of `ftfy.fix_text` that need no guess about encodings. */
function fixCharacters(text: string): string {
  return text
    .replace(terminalEscapes, "")
    .replace(c1Controls, (c) => windows1252.decode(Uint8Array.of(c.charCodeAt(0))))
    .replace(latinLigatures, (c) => c === "\ufb05" ? "\u017ft" : c.normalize("NFKC"))
    .replace(oddWidths, (c) => c.normalize("NFKC"))
    .replace(curlySingleQuotes, "'")
    .replace(curlyDoubleQuotes, '"')
    .replace(controls, "")
    .normalize("NFC");
}

/** An HTML escape; where it is in capitals only, so is the letter it stands for. */
function undoEscape(escape: string): string {
  const plain = decodeHTMLStrict(escape);
  if (plain !== escape || escape !== escape.toUpperCase() || decodeHTML(escape) !== escape) {
    return plain;
  }
  const lower = escape.toLowerCase();
  const letter = decodeHTMLStrict(lower);
  return letter === lower ? escape : letter.toUpperCase();
}

/** `ftfy.fix_text`: line by line, until nothing changes. From the first line with a "<" on, the text may be HTML and keeps its escapes. */
function fixText(text: string): string {
  let hasEscapes = true;
  return text.split("\n").map((line) => {
    hasEscapes &&= !line.includes("<");
    let before: string, fixed = line;
    do {
      before = fixed;
      fixed = fixCharacters(hasEscapes ? fixed.replace(htmlEscape, undoEscape) : fixed);
    } while (fixed !== before);
    return fixed;
  }).join("\n");
}

/**
 * Cleans a caption as `clip/simple_tokenizer.py` does before it cuts words: fixes characters, undoes HTML escapes
 * twice, makes every run of white space one space, trims, and lowers the case.
 *
 * Of `ftfy.fix_text` this does terminal escapes, control characters, curly quotes, Latin ligatures, full-width forms
 * and NFC. It does not repair text decoded with the wrong encoding ("cafÃ©").
 */
export function cleanCaption(text: string): string {
  return decodeHTML(decodeHTML(fixText(text)))
    .replace(whiteSpace, " ")
    .trim()
    .toLowerCase();
}
