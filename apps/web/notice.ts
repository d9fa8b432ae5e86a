import { messageOf } from "../../src/base/errors.ts";
import { button, h } from "./dom.ts";
import { texts } from "./texts.ts";

const list = h("div", { class: "notices", role: "status" });

/** Shows an error at the edge of the window until it is closed, over the page, so that nothing moves. */
export function notify(message: string): void {
  if (!list.isConnected) document.body.append(list);
  const notice: HTMLElement = h(
    "div",
    { class: "notice error" },
    h("p", {}, message),
    button("×", () => notice.remove(), { class: "round", ariaLabel: texts.close }),
  );
  list.replaceChildren(notice);
}

/** Runs an action of the user and shows its error. Nothing is shown for what the user, or the signal, stopped. */
export async function attempt(action: () => Promise<unknown>, signal?: AbortSignal): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (signal?.aborted || (error as { code?: unknown }).code === "ABORTED") return;
    const isOwn = error instanceof Error && "code" in error;
    if (!isOwn) console.warn(error);
    notify(messageOf(error));
  }
}
