import { decodeHTML } from "entities";

const curlySingleQuotes = /[\u02bc\u2018-\u201b]/g;
const curlyDoubleQuotes = /[\u201c-\u201f]/g;
const latinLigatures = /[\u0132\u0133\u0149\u01c4-\u01cc\u01f1-\u01f3\ufb00-\ufb06]/g;
const oddWidths = /[\uff01-\uffef]/g;
// Named one by one: Tab, line feed, form feed and carriage return are white space and stay.
// deno-lint-ignore no-control-regex
const controls = /[\u0000-\u0008\u000b\u000e-\u001f\u007f\u206a-\u206f\ufeff\ufff9-\ufffc]/g;
// \s of JavaScript lacks U+0085; \p{White_Space} is what \s means in Python's `regex`.
const whiteSpace = /\p{White_Space}+/gu;

/** The character fixes of `ftfy.fix_text` that need no guess about encodings. */
function fixCharacters(text: string): string {
  return text
    .replace(latinLigatures, (c) => c.normalize("NFKC"))
    .replace(oddWidths, (c) => c.normalize("NFKC"))
    .replace(curlySingleQuotes, "'")
    .replace(curlyDoubleQuotes, '"')
    .replace(controls, "")
    .normalize("NFC");
}

/**
 * Cleans a caption as `clip/simple_tokenizer.py` does before it cuts words: fixes characters, undoes HTML escapes
 * twice, makes every run of white space one space, trims, and lowers the case.
 *
 * Of `ftfy.fix_text` this does curly quotes, Latin ligatures, full-width forms, control characters and NFC. It does
 * not repair text decoded with the wrong encoding ("cafÃ©"), replace C1 control characters by their Windows-1252
 * reading, or strip terminal escape codes.
 */
export function cleanCaption(text: string): string {
  return decodeHTML(decodeHTML(fixCharacters(text)))
    .replace(whiteSpace, " ")
    .trim()
    .toLowerCase();
}
