import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import PDFDocument from 'pdfkit';
import { describeLine } from '../lines/wording.js';
import type { Party } from '../rows/invoices.table.js';
import { centsText, quantityText, type BillingDocument, type DocumentLine } from './document.js';
import { unpackWoff } from './woff.js';

type Pdf = InstanceType<typeof PDFDocument>;

const require = createRequire(import.meta.url);
const fonts = new Map<string, Buffer>();
function font(name: string): Buffer {
  let known = fonts.get(name);
  if (!known) {
    known = unpackWoff(readFileSync(require.resolve(`roboto-fontface/fonts/roboto/Roboto-${name}.woff`)));
    fonts.set(name, known);
  }
  return known;
}

/** Points; A4 with margins of 18 mm. */
const PAGE = { width: 595.28, height: 841.89, left: 51, right: 51, top: 51, bottom: 64 } as const;
const WIDTH = PAGE.width - PAGE.left - PAGE.right;
const RIGHT = PAGE.width - PAGE.right;
const BOTTOM = PAGE.height - PAGE.bottom;
const INK = '#1a1d21';
const FAINT = '#6b7280';
const RULE = '#d5d9df';
const LINE_GAP = 1.5;

interface Column {
  readonly title: string;
  readonly x: number;
  readonly width: number;
  readonly right: boolean;
}
const COLUMNS = {
  project: { title: 'Project', x: PAGE.left, width: 105, right: false },
  description: { title: 'Description', x: PAGE.left + 115, width: 200, right: false },
  quantity: { title: 'Quantity', x: PAGE.left + 322, width: 85, right: true },
  amount: { title: 'Amount', x: PAGE.left + 413, width: WIDTH - 413, right: true },
} as const satisfies Record<string, Column>;

/** The document as PDF. Nothing of now or of this machine is in it: the same document gives the same bytes. */
export async function pdfOf(document: BillingDocument): Promise<Uint8Array> {
  const name = `${document.title} ${document.number ?? '(draft)'}`;
  const pdf = new PDFDocument({
    size: 'A4',
    margins: { top: PAGE.top, bottom: 0, left: PAGE.left, right: PAGE.right },
    bufferPages: true,
    lang: 'en',
    // None to begin with: each text names its own.
    font: '',
    info: {
      Title: name,
      Author: document.seller.name,
      Producer: 'Berth',
      Creator: 'Berth',
      CreationDate: new Date(document.dateMs),
    },
  });
  const parts: Buffer[] = [];
  pdf.on('data', (part: Buffer) => parts.push(part));
  const ended = new Promise<void>((resolve, reject) => {
    pdf.on('end', resolve);
    pdf.on('error', reject);
  });
  pdf.registerFont('regular', font('Regular'));
  pdf.registerFont('medium', font('Medium'));
  pdf.registerFont('bold', font('Bold'));
  let y = head(pdf, document);
  y = table(pdf, document, y);
  y = totals(pdf, document, y);
  notes(pdf, document, y);
  everyPage(pdf, document, name);
  pdf.end();
  await ended;
  return Buffer.concat(parts);
}

function say(pdf: Pdf, text: string, x: number, y: number, o: { width: number; right?: boolean } & Style): number {
  pdf
    .font(o.font ?? 'regular')
    .fontSize(o.size ?? 9)
    .fillColor(o.color ?? INK);
  const options = { width: o.width, align: o.right ? ('right' as const) : ('left' as const), lineGap: LINE_GAP };
  pdf.text(text, x, y, options);
  return y + pdf.heightOfString(text, options);
}

interface Style {
  readonly font?: 'regular' | 'medium' | 'bold';
  readonly size?: number;
  readonly color?: string;
}

function head(pdf: Pdf, d: BillingDocument): number {
  const half = WIDTH / 2 - 12;
  const middle = PAGE.left + WIDTH / 2 + 12;
  const left = say(pdf, d.seller.name, PAGE.left, PAGE.top, { width: half, font: 'bold', size: 13 });
  const sellerEnd = party(pdf, { ...d.seller, name: '' }, PAGE.left, left + 3, half);
  let factsEnd = say(pdf, d.title, middle, PAGE.top - 4, { width: half, font: 'bold', size: 22, right: true }) + 8;
  for (const [label, value] of d.facts) {
    say(pdf, label, middle, factsEnd, { width: 90, color: FAINT });
    factsEnd = say(pdf, value, middle + 90, factsEnd, { width: half - 90, right: true, font: 'medium' }) + 2.5;
  }
  let y = Math.max(sellerEnd + 18, PAGE.top + 78);
  y = say(pdf, d.words?.party ?? 'Billed to', PAGE.left, y, { width: half, color: FAINT, size: 8 }) + 2;
  y = party(pdf, d.buyer, PAGE.left, y, half);
  return Math.max(y, factsEnd) + 24;
}

function party(pdf: Pdf, p: Party, x: number, from: number, width: number): number {
  let y = from;
  if (p.name !== '') y = say(pdf, p.name, x, y, { width, font: 'medium', size: 10 }) + 1;
  for (const line of p.address) y = say(pdf, line, x, y, { width });
  if (p.taxId !== null) y = say(pdf, `Tax id ${p.taxId}`, x, y, { width });
  if (p.email !== null) y = say(pdf, p.email, x, y, { width });
  return y;
}

function rule(pdf: Pdf, y: number, from: number = PAGE.left, color: string = RULE): void {
  pdf.moveTo(from, y).lineTo(RIGHT, y).lineWidth(0.6).strokeColor(color).stroke();
}

function tableHead(pdf: Pdf, d: BillingDocument, y: number): number {
  for (const c of Object.values(COLUMNS))
    say(pdf, c === COLUMNS.project ? (d.words?.group ?? c.title) : c.title, c.x, y, {
      width: c.width,
      right: c.right,
      font: 'medium',
      size: 8,
      color: FAINT,
    });
  rule(pdf, y + 14, PAGE.left, INK);
  return y + 20;
}

/** What was used, on one line, and what says more of it on a second. */
function describe(line: DocumentLine): { readonly main: string; readonly more: string } {
  const meter = line.kind === 'movement' ? line.meter : line.meter.replaceAll('-', ' ');
  const more = [meter, ...(line.providerClass === null ? [] : [line.providerClass])];
  if (line.kind === 'late usage') more.push(`of ${line.month}, arrived after its invoice`);
  return { main: describeLine(line), more: more.join(' · ') };
}

function heightOf(pdf: Pdf, text: string, width: number, size: number): number {
  return pdf.font('regular').fontSize(size).heightOfString(text, { width, lineGap: LINE_GAP });
}

function table(pdf: Pdf, d: BillingDocument, from: number): number {
  let y = tableHead(pdf, d, from);
  if (d.lines.length === 0) y = say(pdf, 'Nothing was used.', PAGE.left, y, { width: WIDTH, color: FAINT }) + 6;
  const { project, description, quantity, amount } = COLUMNS;
  let above: string | null = null;
  for (const line of d.lines) {
    const { main, more } = describe(line);
    const height = Math.max(
      heightOf(pdf, main, description.width, 9) + heightOf(pdf, more, description.width, 7.5),
      heightOf(pdf, line.project, project.width, 9),
    );
    if (y + height > BOTTOM) {
      pdf.addPage();
      y = tableHead(pdf, d, PAGE.top);
      above = null;
    }
    // A project's name stands once for the lines under it, and again on each page.
    if (line.projectId !== above) say(pdf, line.project, project.x, y, { width: project.width });
    above = line.projectId;
    const under = say(pdf, main, description.x, y, { width: description.width });
    say(pdf, more, description.x, under, { width: description.width, size: 7.5, color: FAINT });
    if (line.kind !== 'credit' && line.kind !== 'movement')
      say(pdf, quantityText(line.quantity, line.unit), quantity.x, y, { width: quantity.width, right: true });
    say(pdf, centsText(line.cents), amount.x, y, { width: amount.width, right: true });
    y += height + 4;
    rule(pdf, y);
    y += 6;
  }
  return y;
}

function totals(pdf: Pdf, d: BillingDocument, from: number): number {
  const needed = d.totals.length * 17 + 12;
  let y = from + 8;
  if (y + needed > BOTTOM) {
    pdf.addPage();
    y = PAGE.top;
  }
  const x = PAGE.left + 270;
  for (const t of d.totals) {
    const style: Style = t.strong ? { font: 'bold', size: 10.5 } : { size: 9.5 };
    if (t.strong) rule(pdf, y - 4, x);
    say(pdf, t.label, x, y, { width: 130, ...style });
    y = say(pdf, centsText(t.cents), x + 130, y, { width: RIGHT - x - 130, right: true, ...style }) + 5;
  }
  return y + 16;
}

function notes(pdf: Pdf, d: BillingDocument, from: number): void {
  let y = from;
  for (const text of d.notes) {
    const height = heightOf(pdf, text, WIDTH, 8);
    if (y + height > BOTTOM) {
      pdf.addPage();
      y = PAGE.top;
    }
    y = say(pdf, text, PAGE.left, y, { width: WIDTH, size: 8, color: FAINT }) + 3;
  }
}

/** Once all pages are there: their numbers, the footer, the watermark. */
function everyPage(pdf: Pdf, d: BillingDocument, name: string): void {
  const { start, count } = pdf.bufferedPageRange();
  for (let n = 0; n < count; n++) {
    pdf.switchToPage(start + n);
    const y = PAGE.height - 44;
    rule(pdf, y - 8);
    say(pdf, d.footer, PAGE.left, y, { width: WIDTH - 170, size: 7.5, color: FAINT });
    say(pdf, `${name} · page ${n + 1} of ${count}`, RIGHT - 165, y, {
      width: 165,
      right: true,
      size: 7.5,
      color: FAINT,
    });
    if (d.watermark === null) continue;
    pdf.save();
    pdf.rotate(-40, { origin: [PAGE.width / 2, PAGE.height / 2] });
    pdf.font('bold').fontSize(120).fillColor('#b91c1c').fillOpacity(0.1);
    pdf.text(d.watermark, 0, PAGE.height / 2 - 70, { width: PAGE.width, align: 'center', lineBreak: false });
    pdf.restore();
  }
}
