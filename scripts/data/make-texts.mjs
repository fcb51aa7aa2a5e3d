// Makes data/texts/public-domain-2000.jsonl from two public-domain books as Debian ships them:
//   node scripts/data/make-texts.mjs <jargon.dict.dz> <devil.dict.dz>
// (packages dict-jargon 4.4.7-3.1 and dict-devil 1.0-13.1, unpacked with `dpkg -x`). See data/texts/README.md.
import { readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

const [jargonFile, devilFile] = process.argv.slice(2);
if (!jargonFile || !devilFile) {
  console.error('usage: node scripts/data/make-texts.mjs <jargon.dict.dz> <devil.dict.dz>');
  process.exit(2);
}
const WANTED = 2_000;
const LEAST = 40;
const MOST = 400;
/** Entries that a demo should not show to everybody. */
const LEFT_OUT =
  /\b(sex\w*|fuck\w*|shit\w*|crap\w*|bitch\w*|whor\w*|prostitut\w*|rape\w*|nigger\w*|negro\w*|jew\w*|nazi\w*|hitler|women|woman|female\w*|girl\w*|wife|wives|cunt|dick\w*|cock\w*|penis|breast\w*|naked|nude|porn\w*|masturbat\w*|erotic\w*|gay|homosexual\w*|lesbian|slave\w*|savage\w*|heathen|christian\w*|muslim\w*|mohammed\w*|indian\w*|black man|oriental\w*|retard\w*|cripple\w*|suicide|hang\w*|kill\w*|murder\w*|corpse\w*|damn\w*|hell|goddamn|piss\w*|ass(hole|es)?|bastard\w*|screw(ed|ing)?|orgasm\w*|genital\w*|virgin\w*|harem|concubine\w*|lust\w*|barf\w*|wank\w*|cretin\w*|moron\w*|vomit\w*|puke|excre\w*|feces|urin\w*)\b/i;

const unwrap = (text) =>
  text
    .replace(/-\n\s+/g, '-')
    .replace(/\s+/g, ' ')
    .replace(/\{\s*([^}]*?)\s*\}/g, '$1')
    .trim();

/** The first sentences of a text that together have the wanted length. */
function opening(text) {
  const sentences = text.match(/[^.!?]+[.!?]+(?=\s|$)["”’)]*/g) ?? [];
  let out = '';
  for (const sentence of sentences.slice(0, 3)) {
    const next = `${out} ${sentence.trim()}`.trim();
    if (next.length > MOST) break;
    out = next;
  }
  return out.length >= LEAST ? out : null;
}

function jargonEntries(text) {
  const entries = [];
  let title = null;
  let body = [];
  const close = () => {
    if (title !== null) entries.push({ title, body: body.join('\n') });
  };
  for (const line of text.split('\n')) {
    if (/^\S/.test(line)) {
      close();
      title = line.trim();
      body = [];
    } else body.push(line);
  }
  close();
  return entries.map(({ title: name, body: raw }) => {
    const paragraphs = raw
      .split(/\n\s*\n/)
      .map(unwrap)
      .filter((p) => p !== '' && !/^(\/|n\.|v\.|adj\.|adv\.|prep\.|interj\.|abbrev\.|prov\.|excl\.|vt?\.|vi\.)/.test(p))
      .map((p) => p.replace(/^\[[^\]]*\]\s*/, '').replace(/^\d+\.\s+/, ''));
    return { title: name, text: opening(paragraphs.join(' ')), source: 'Jargon File 4.4.7' };
  });
}

function devilEntries(text) {
  return text
    .split(/\n\s*\n/)
    .map(unwrap)
    .flatMap((p) => {
      const match = /^([A-Z][A-Z' -]+), (?:n|adj|v\.t|v\.i|v|adv|pp|p\.p|pro|x|interj)\.\s*(?:pl\.\s*)?(.*)$/.exec(p);
      if (!match) return [];
      const [, word, rest] = match;
      return [
        { title: word.toLowerCase(), text: opening(rest), source: "The Devil's Dictionary, Ambrose Bierce, 1911" },
      ];
    });
}

const read = (file) => gunzipSync(readFileSync(file)).toString('utf8');
const start = (text, marker) => text.slice(Math.max(0, text.indexOf(marker)));
const all = [
  ...jargonEntries(start(read(jargonFile), '\nabbrev\n')),
  ...devilEntries(start(read(devilFile), 'ABASEMENT, n.')),
].filter(({ title, text }) => text !== null && title.length <= 60 && !LEFT_OUT.test(text) && !LEFT_OUT.test(title));
const seen = new Set();
const unique = all.filter(({ text }) => !seen.has(text.toLowerCase()) && seen.add(text.toLowerCase()));
if (unique.length < WANTED) {
  console.error(`only ${unique.length} of ${WANTED} texts are left`);
  process.exit(1);
}
// Spread over both books and the whole alphabet.
const chosen = Array.from({ length: WANTED }, (_, i) => unique[Math.floor((i * unique.length) / WANTED)]);
const lines = chosen.map((entry, i) => JSON.stringify({ id: `text-${String(i + 1).padStart(4, '0')}`, ...entry }));
writeFileSync(new URL('../../data/texts/public-domain-2000.jsonl', import.meta.url), `${lines.join('\n')}\n`);
const first = chosen.slice(0, 20).map((entry, i) =>
  JSON.stringify({
    custom_id: `text-${String(i + 1).padStart(4, '0')}`,
    method: 'POST',
    url: '/v1/embeddings',
    body: { model: 'universal-sentence-encoder', input: entry.text },
  }),
);
writeFileSync(new URL('../../data/texts/first-batch.jsonl', import.meta.url), `${first.join('\n')}\n`);
console.log(`${unique.length} texts, ${chosen.length} written`);
