import { button, h, thumbnailOf } from "../dom.ts";
import { type ChosenImage, camera, droppedFiles, fileButton, frameOf, hasImageType, startCamera } from "../images.ts";
import { runJob, WorkerEndedError } from "../jobs.ts";
import { attempt, notify } from "../notice.ts";
import { texts } from "../texts.ts";
import { store, type TaughtClass, type TaughtImage } from "./store.ts";

const words = texts.teach;

/** Thumbnails that are shown of a class; the others are only counted. */
const shown = 12;

/** Milliseconds between two recorded frames of the webcam. */
const recordingInterval = 150;

/** Events: `change` after images or the name changed, `remove` after the class was removed. */
export class ClassCard extends HTMLElement {
  readonly taught: TaughtClass;
  readonly #video: HTMLVideoElement;
  #name: HTMLInputElement | undefined;
  readonly #count = h("span", { class: "muted count" });
  readonly #removal = button("×", () => void this.#remove(), { class: "round" });
  readonly #thumbnails = h("ul", { class: "thumbnails" });
  #recording = false;

  /** @param video shows the webcam's image, which recording takes. */
  constructor(taught: TaughtClass, video: HTMLVideoElement) {
    super();
    this.taught = taught;
    this.#video = video;
  }

  connectedCallback(): void {
    if (this.firstChild) return;
    const { taught } = this;
    const name = h("input", {
      type: "text",
      value: taught.name,
      ariaLabel: words.className,
      maxLength: 80,
      onchange: () => {
        void attempt(() => this.rename(name.value.trim() || taught.name));
      },
    });
    this.#name = name;
    this.#removal.ariaLabel = words.removeClass(taught.name);
    const files = fileButton({ text: words.addImages }, (chosen) => this.addImages(chosen.map(({ file }) => file)), {
      id: `images-${taught.id}`,
      multiple: true,
      accept: "image/*",
    });
    this.classList.add("card");
    this.append(
      h("div", { class: "row" }, name, this.#count, this.#removal),
      h("div", { class: "row" }, ...files, this.#recordButton()),
      this.#thumbnails,
    );
    this.addEventListener("drop", (event) => {
      if (!event.dataTransfer) return;
      event.preventDefault();
      event.stopPropagation();
      const dropped = droppedFiles(event.dataTransfer);
      void attempt(async () => this.addImages((await dropped).map((each) => each.file)));
    });
    void attempt(() => this.#refresh());
  }

  async rename(name: string): Promise<void> {
    this.taught.name = name;
    if (this.#name) this.#name.value = name;
    this.#removal.ariaLabel = words.removeClass(name);
    await store.saveClass(this.taught);
    this.#changed();
  }

  /** Adds images; those that the browser cannot read are counted and reported. */
  async addImages(files: readonly Blob[]): Promise<void> {
    let unreadable = 0;
    const images = files.filter((file) => !(file instanceof File) || hasImageType(file));
    if (files.length > 0 && images.length === 0) notify(words.noImages);
    for (const file of images) {
      try {
        const prepared = await runJob("prepareImage", file);
        this.#show(await store.addImage(this.taught, prepared));
      } catch (error) {
        if (error instanceof DOMException || error instanceof WorkerEndedError) throw error;
        unreadable += 1;
      }
    }
    if (unreadable > 0) notify(words.unreadable(unreadable));
    await this.#refreshCount();
    this.#changed();
  }

  /** Records frames of the webcam while it is held, with the pointer, Space or Enter. */
  #recordButton(): HTMLElement {
    const held = button(words.record, undefined, { class: "record" });
    const start = () => void attempt(() => this.#record());
    const stop = () => {
      this.#recording = false;
    };
    held.addEventListener("pointerdown", start);
    for (const end of ["pointerup", "pointerleave", "pointercancel", "blur", "keyup"] as const)
      held.addEventListener(end, stop);
    held.addEventListener("keydown", (event) => {
      if ((event.key === " " || event.key === "Enter") && !event.repeat) start();
    });
    return held;
  }

  async #record(): Promise<void> {
    if (this.#recording) return;
    this.#recording = true;
    await startCamera();
    const frames: ChosenImage[] = [];
    while (this.#recording && camera.value) {
      if (this.#video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) {
        frames.push(await frameOf(this.#video, this.taught.name));
        this.#count.textContent = words.recorded(frames.length);
      }
      await new Promise((resolve) => setTimeout(resolve, recordingInterval));
    }
    await this.addImages(frames.map(({ file }) => file));
  }

  async #remove(): Promise<void> {
    await store.removeClass(this.taught.id);
    this.dispatchEvent(new CustomEvent("remove"));
    this.remove();
  }

  async #refresh(): Promise<void> {
    await this.#refreshCount();
    for (const image of await store.imagesOf(this.taught.id, shown)) this.#show(image);
  }

  async #refreshCount(): Promise<void> {
    this.#count.textContent = words.images(await store.countImages(this.taught.id));
  }

  #show({ id, thumbnail }: TaughtImage): void {
    if (this.#thumbnails.childElementCount >= shown) return;
    const remove = () => {
      void store.removeImage(id).then(async () => {
        item.remove();
        await this.#refreshCount();
        this.#changed();
      });
    };
    const item = h(
      "li",
      {},
      h(
        "button",
        { type: "button", ariaLabel: words.removeImage, title: words.removeImage, onclick: remove },
        thumbnailOf(thumbnail, 56),
      ),
    );
    this.#thumbnails.append(item);
  }

  #changed(): void {
    this.dispatchEvent(new CustomEvent("change"));
  }
}

customElements.define("class-card", ClassCard);
