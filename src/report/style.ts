import { paletteStyle } from "./charts/chart.ts";

/** The style sheet of the report. */
export function reportStyle(): string {
  return `${paletteStyle()}${layout}${parts}${gallery}${search}${print}`;
}

const layout = `
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:1080px;padding:40px 24px 56px;background:var(--page);color:var(--ink);
  font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{margin:0;font-size:clamp(1.8rem,4.5vw,2.7rem);line-height:1.15;letter-spacing:-.02em;text-wrap:balance}
h2{margin:0 0 20px;font-size:1.35rem;letter-spacing:-.01em}
h3{margin:24px 0 12px;font-size:1rem}
p{margin:0}
a{color:var(--accent)}
section{margin-top:20px;padding:28px;background:var(--surface);border:1px solid var(--line);border-radius:16px}
header .kind{margin-bottom:6px;color:var(--accent);font-size:.8rem;font-weight:600;letter-spacing:.08em;text-transform:uppercase}
header .summary{margin-top:12px;max-width:68ch;color:var(--muted);font-size:1.06rem}
nav{display:flex;flex-wrap:wrap;gap:4px 20px;margin-top:24px;font-size:.92rem}
nav a{text-decoration:none}
nav a:hover{text-decoration:underline}
footer{margin-top:28px;color:var(--muted);font-size:.85rem}
@media (max-width:640px){body{padding:24px 14px 40px}section{padding:20px 16px}}
`;

const parts = `
dl,dd,figure{margin:0}
dt,caption,figcaption,small{color:var(--muted);font-size:.86rem}
.headlines{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin-top:28px}
.headlines div{padding:16px 18px;background:var(--surface);border:1px solid var(--line);border-radius:14px}
.headlines dd{font-size:1.75rem;font-weight:650;line-height:1.25;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.headlines small{display:block;font-weight:400;letter-spacing:0}
.headlines div:first-child dd{color:var(--accent)}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(220px,1fr));gap:14px 28px}
.facts dd{overflow-wrap:anywhere}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,var(--least)),1fr));gap:28px}
.curves{--least:290px}.curves.four{--least:400px}.classes{--least:400px}.classes.many{--least:100%}
.lead{max-width:72ch}
.lead+.facts,.facts+.figures,.facts+.scroll,.figures+*,.scroll+.figures,.scroll+.scroll,pre+.facts{margin-top:28px}
.drawing svg{display:block;max-width:100%;height:auto;margin:auto;overflow:visible}
.curves svg{width:100%;max-width:440px}.curves.four svg{max-width:480px}
figcaption{margin-top:8px}
.scroll{max-height:44rem;overflow:auto;container-type:inline-size}
table{width:100%;border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}
caption{position:sticky;left:0;max-width:100cqi;padding-bottom:8px;text-align:left}
th,td{padding:7px 12px 7px 0;border-bottom:1px solid var(--line);text-align:left;font-weight:400}
thead th{color:var(--muted);font-size:.86rem;vertical-align:bottom}
thead th,thead .number{white-space:pre}
thead th,tfoot th,tfoot td{position:sticky;background:var(--surface)}
thead th{top:0}
tfoot th,tfoot td{bottom:0;border-bottom:0;font-weight:650}
tr>:last-child{padding-right:0}
.health{--least:400px}
.verdict{margin-bottom:20px;font-weight:600}.warning{display:inline-block;text-align:left;white-space:normal}#health .warning{min-width:13rem}.well{color:var(--right)}.ill,.warning{color:var(--wrong)}
.live{margin-top:24px;padding:16px 18px;background:var(--surface);border:1px solid var(--accent);border-radius:14px}
.live .bar{display:block;width:100%;height:8px;margin:10px 0}
.live .detail{color:var(--muted);font-size:.86rem}
.live strong::before{content:"";display:inline-block;width:.6em;height:.6em;margin-right:.5em;border-radius:50%;background:var(--right);animation:pulse 2s infinite}
@keyframes pulse{50%{opacity:.25}}
@media (prefers-reduced-motion:reduce){.live strong::before{animation:none}}
tbody.summary th,tbody.summary td{color:var(--muted)}
tbody.summary tr:first-child>*{border-top:2px solid var(--line)}
.number{text-align:right;white-space:nowrap}
.bar{display:inline-block;width:5rem;height:6px;vertical-align:middle;overflow:hidden;background:var(--line);border-radius:3px}
.bar span{display:block;height:100%;background:var(--accent);border-radius:3px}
summary{cursor:pointer;color:var(--accent);font-size:.92rem}
details[open] summary{margin-bottom:16px}
code,pre{font:.88rem/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
@media (max-width:640px){.headlines dd{font-size:1.4rem}table{font-size:.85rem}th,td{padding-right:8px}}
pre{margin:0;padding:16px 18px;overflow-x:auto;background:var(--page);border:1px solid var(--line);border-radius:10px}
`;

const gallery = `
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(140px,1fr));gap:14px;margin:0;padding:0;list-style:none}
.gallery li{overflow:hidden;border:1px solid var(--line);border-radius:12px}
.gallery img{display:block;width:100%;aspect-ratio:1;padding:14px;object-fit:contain;background:#fff}
.gallery p{padding:10px 12px 12px;font-size:.88rem;line-height:1.4;overflow-wrap:anywhere;border-top:3px solid}
.gallery:has(.two){grid-template-columns:repeat(auto-fill,minmax(min(100%,240px),1fr))}
.gallery .two{display:grid;grid-template-columns:1fr 1fr}.gallery .two img{padding:8px}
.gallery strong,.gallery .truth,.gallery .certainty{display:block}
.gallery .truth,.gallery .certainty{color:var(--muted)}
.gallery .certainty{margin-top:4px;white-space:nowrap;font-variant-numeric:tabular-nums}
.wrong p{border-color:var(--wrong)}.wrong strong{color:var(--wrong)}.wrong .bar span{background:var(--wrong)}
.right p{border-color:var(--right)}.right strong{color:var(--right)}.right .bar span{background:var(--right)}
.gallery .bar{width:calc(100% - 4.2rem)}
@media (max-width:640px){.gallery{grid-template-columns:repeat(auto-fill,minmax(98px,1fr));gap:10px}.gallery img{padding:8px}.gallery p{padding:8px 6px 10px;font-size:.8rem}.gallery .bar,td .bar{display:none}}
`;

const search = `
.query{display:grid;grid-template-columns:minmax(140px,260px) 1fr;gap:28px;align-items:start}
.query img,.query .gone{width:100%;border-radius:12px}
.query img{display:block;aspect-ratio:1;object-fit:cover}
.photos img{padding:0;object-fit:cover;background:var(--line)}
.gone{display:flex;align-items:center;justify-content:center;aspect-ratio:1;padding:14px;color:var(--muted);background:var(--line);font-size:.86rem;text-align:center}
.photos p,.pairs p{border-color:var(--line)}
.gallery.pairs{grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr));margin-top:24px}
.pairs img{aspect-ratio:2;padding:0;background:none}
.similar{display:grid;grid-template-columns:repeat(4,1fr);gap:6px;padding:0 12px 12px}
.pairs .similar img,.similar .gone{aspect-ratio:1;padding:0;border-radius:6px;object-fit:cover;font-size:.7rem}
.similar figcaption{margin:3px 0 0;color:var(--muted);font-size:.74rem;overflow-wrap:anywhere}
.photos .unknown p{border-color:var(--accent)}
.same p{border-color:var(--right)}.same strong{color:var(--right)}.same .bar span{background:var(--right)}
.other p{border-color:var(--second)}.other .bar span{background:var(--second)}
@media (max-width:640px){.query{grid-template-columns:1fr}.photos img{padding:0}}
`;

const print = `
@media print{
  body{max-width:none;padding:0;background:none;font-size:11pt}
  nav{display:none}
  section{padding:16px 0;border:0;border-top:1px solid var(--line);border-radius:0}
  figure,tr,.gallery li,.headlines div{break-inside:avoid}
  .scroll{max-height:none;overflow:visible}
  .bar span,.gallery *{-webkit-print-color-adjust:exact;print-color-adjust:exact}
}
`;
