import { h } from "../dom.ts";
import { camera, currentImage } from "../images.ts";

/** The chosen image, the running webcam, or an invitation, in a square of fixed size; a canvas may cover it. */
export class ImageStage extends HTMLElement {
  readonly #image = h("img", { alt: "", hidden: true });
  readonly video = h("video", { muted: true, playsInline: true, hidden: true });
  readonly cover = h("canvas", { class: "cover", hidden: true });
  #address: string | undefined;

  connectedCallback(): void {
    if (this.contains(this.#image)) return;
    this.append(this.#image, this.video, this.cover);
    currentImage.observe((chosen) => {
      if (this.#address !== undefined) URL.revokeObjectURL(this.#address);
      this.#address = chosen && URL.createObjectURL(chosen.file);
      this.#image.hidden = chosen === undefined;
      this.#image.alt = chosen?.name ?? "";
      if (this.#address !== undefined) this.#image.src = this.#address;
      else this.#image.removeAttribute("src");
    });
    camera.observe((stream) => {
      this.video.srcObject = stream ?? null;
      this.video.hidden = stream === undefined;
      this.classList.toggle("live", stream !== undefined);
      if (stream) void this.video.play();
    });
  }
}

customElements.define("image-stage", ImageStage);
