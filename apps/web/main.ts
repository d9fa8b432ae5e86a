import { h } from "./dom.ts";
import { attempt, notify } from "./notice.ts";
import { texts } from "./texts.ts";

/** The views, each loaded when it is first shown, with all that decides its height: nothing moves afterwards. */
const views = {
  try: async () => new (await import("./try/view.ts")).TryView(),
  inside: async () => new (await import("./inside/view.ts")).InsideView(),
  teach: async () => {
    const view = new (await import("./teach/view.ts")).TeachView();
    await attempt(() => view.open());
    return view;
  },
  prove: async () => {
    const [{ ProveView }, { detectCapabilities }] = await Promise.all([
      import("./prove/view.ts"),
      import("./prove/capabilities.ts"),
    ]);
    return new ProveView(await detectCapabilities());
  },
} as const;

type ViewName = keyof typeof views;

/** Views that were shown, or are being loaded. */
const built = new Map<ViewName, Promise<HTMLElement>>();
/** The view that the address names. */
let wanted: ViewName = "try";
const main = h("main", { id: "content", tabIndex: -1 });
const links = new Map(
  (Object.keys(views) as ViewName[]).map((name) => [name, h("a", { href: `#${name}` }, texts.views[name])]),
);

document.body.append(
  h("a", { class: "skip", href: "#content", onclick: skipToContent }, texts.skip),
  h(
    "header",
    { class: "top" },
    h("a", { class: "brand", href: "#" }, h("img", { src: "./icon.svg", alt: "", width: 28, height: 28 }), texts.title),
    h("nav", { ariaLabel: texts.title }, ...links.values()),
  ),
  main,
);
const footer = h(
  "footer",
  {},
  h("p", {}, texts.tagline),
  h("p", {}, texts.footer.paper),
  h("p", {}, texts.footer.emoji),
);

addEventListener("hashchange", () => void show());
// A file that is dropped beside a place for it would replace the page.
for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
await show();
// Keeps the page for use without a connection, where the browser and the host allow it.
if (import.meta.env.PROD) await navigator.serviceWorker?.register("./offline.js").catch(() => {});

function skipToContent(event: Event): void {
  event.preventDefault();
  main.focus();
}

/** Shows the view that the address names, by default the first. */
async function show(): Promise<void> {
  const hash = location.hash.slice(1);
  const name = Object.hasOwn(views, hash) ? (hash as ViewName) : "try";
  wanted = name;
  for (const [each, link] of links) {
    if (each === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const loading = built.get(name) ?? views[name]();
  built.set(name, loading);
  const view = await loading.catch((error: unknown) => {
    built.delete(name);
    console.warn(error);
    notify(texts.notLoaded);
  });
  // Another one was chosen while this one was loaded.
  if (!view || name !== wanted) return;
  if (main.firstChild !== view) {
    main.replaceChildren(view);
    // After the view: on a page that is reloaded in its middle, a footer that was there before would be pushed away.
    main.after(footer);
    scrollTo(0, 0);
  }
  document.title = `${texts.views[name]} · ${texts.title}`;
}
