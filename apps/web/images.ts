import { h, Observable } from "./dom.ts";
import { attempt } from "./notice.ts";
import { texts } from "./texts.ts";

/** An image that the user chose: a file, or a moment of the webcam. */
export interface ChosenImage {
  readonly name: string;
  readonly file: Blob;
}

/** The image in use, on every view. */
export const currentImage = new Observable<ChosenImage>();

/** The running webcam, on every view; undefined while it is off. */
export const camera = new Observable<MediaStream>();

let starting: Promise<MediaStream> | undefined;

/** Starts the webcam, once however often it is asked for. @throws {Error} there is none, or the user forbids it. */
export async function startCamera(): Promise<void> {
  if (camera.value) return;
  starting ??= openCamera();
  const own = starting;
  const stream = await own.finally(() => {
    if (starting === own) starting = undefined;
  });
  if (camera.value !== stream) camera.value = stream;
}

async function openCamera(): Promise<MediaStream> {
  const { denied, missing, insecure } = texts.camera;
  const { mediaDevices } = navigator as Partial<Navigator>;
  if (!mediaDevices) throw new Error(insecure);
  const video = { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "environment" };
  return mediaDevices.getUserMedia({ video }).catch((cause: DOMException) => {
    const reasons: Readonly<Record<string, string>> = { NotAllowedError: denied, NotFoundError: missing };
    throw new Error(reasons[cause.name] ?? cause.message, { cause });
  });
}

/** Stops the webcam and its light. */
export function stopCamera(): void {
  for (const track of camera.value?.getTracks() ?? []) track.stop();
  camera.value = undefined;
}

/** Starts or stops the webcam. */
export async function toggleCamera(): Promise<void> {
  if (camera.value) stopCamera();
  else await startCamera();
}

/** Takes the image that a video shows. */
export async function frameOf(video: HTMLVideoElement, name: string): Promise<ChosenImage> {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d")!.drawImage(video, 0, 0);
  return { name, file: await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 }) };
}

/** A dropped or chosen file, and its folder as far as the browser tells it: `cats/1.jpg`. */
export interface DroppedFile {
  readonly file: File;
  readonly path: string;
}

/** Reads what was dropped, with all files of dropped folders. */
export async function droppedFiles(data: DataTransfer): Promise<readonly DroppedFile[]> {
  // Entries and files must be taken before the first pause: the browser forgets them afterwards.
  const taken = [...data.items].map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  const files = taken.map(({ entry, file }) => {
    if (entry) return filesOf(entry);
    return file ? [{ file, path: file.name }] : [];
  });
  return (await Promise.all(files)).flat();
}

/** A hidden input for files, with their folders if a folder is chosen, and the label that stands for it as a button. */
export function fileButton(
  label: { readonly text: string; readonly class?: string },
  take: (files: readonly DroppedFile[]) => Promise<unknown>,
  attributes: { readonly id: string; readonly [name: string]: unknown },
): readonly HTMLElement[] {
  const input = h("input", {
    ...{ type: "file", class: "visually-hidden", ...attributes },
    onchange: () => {
      const files = [...(input.files ?? [])].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
      // So that the same ones can be chosen again.
      input.value = "";
      void attempt(() => take(files));
    },
  });
  return [input, h("label", { class: label.class ?? "button", htmlFor: attributes.id }, label.text)];
}

async function filesOf(entry: FileSystemEntry): Promise<readonly DroppedFile[]> {
  const path = entry.fullPath.replace(/^\//, "");
  // Chromium has no class of this name.
  if (entry.isFile) {
    const opened = entry as FileSystemFileEntry;
    return [{ path, file: await new Promise<File>((resolve, reject) => opened.file(resolve, reject)) }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: FileSystemEntry[] = [];
  // A reader gives a hundred entries at a time.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) break;
    found.push(...some);
  }
  return (await Promise.all(found.map((each) => filesOf(each)))).flat();
}

/** Returns whether a file is an image, by its type or name. */
export function hasImageType({ type, name }: File): boolean {
  return type.startsWith("image/") || /\.(jpe?g|png|webp|avif|gif|bmp)$/i.test(name);
}
