import { texts } from "../texts.ts";

/** A class of the project. */
export interface TaughtClass {
  readonly id: number;
  name: string;
}

/** A training image of the project, as it is stored. */
export interface TaughtImage {
  readonly id: number;
  readonly classId: number;
  readonly file: Blob;
  readonly thumbnail: Blob;
  /** Its embedding, and the digest of the backbone that computed it. */
  embedding?: Float32Array;
  backbone?: string;
}

/** The trained model. */
interface TaughtModel {
  readonly title: string;
  readonly file: Blob;
  readonly unknownBelow: number;
}

const database = new Promise<IDBDatabase>((resolve, reject) => {
  const request = indexedDB.open("xception-teach", 1);
  request.addEventListener("upgradeneeded", () => {
    const { result } = request;
    result.createObjectStore("classes", { keyPath: "id", autoIncrement: true });
    const images = result.createObjectStore("images", { keyPath: "id", autoIncrement: true });
    images.createIndex("classId", "classId");
    result.createObjectStore("project");
  });
  request.addEventListener("success", () => resolve(request.result));
  request.addEventListener("error", () => reject(request.error));
}).catch((cause: unknown) => {
  throw new Error(texts.teach.noStorage, { cause });
});
// Each access reports it; nothing is wrong before the first one.
database.catch(() => {});

/** Runs a request in a transaction of its own, and waits until its result is stored. */
async function run<T>(
  name: "classes" | "images" | "project",
  mode: IDBTransactionMode,
  request: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  const transaction = (await database).transaction(name, mode);
  const made = request(transaction.objectStore(name));
  await completion(transaction);
  return made.result;
}

function completion(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.addEventListener("complete", () => resolve());
    transaction.addEventListener("abort", () => reject(transaction.error));
  });
}

/** The project: classes, images with thumbnails and embeddings, and the trained model, in the browser's database. */
export const store = {
  classes: (): Promise<TaughtClass[]> => run("classes", "readonly", (all) => all.getAll()),
  async addClass(name: string): Promise<TaughtClass> {
    return { id: Number(await run("classes", "readwrite", (all) => all.add({ name }))), name };
  },
  saveClass: (changed: TaughtClass): Promise<unknown> => run("classes", "readwrite", (all) => all.put(changed)),
  /** Removes a class with its images. */
  async removeClass(id: number): Promise<void> {
    const transaction = (await database).transaction(["classes", "images"], "readwrite");
    transaction.objectStore("classes").delete(id);
    const images = transaction.objectStore("images");
    const keys = images.index("classId").getAllKeys(id);
    keys.addEventListener("success", () => {
      for (const key of keys.result) images.delete(key);
    });
    await completion(transaction);
  },
  countImages: (classId: number): Promise<number> =>
    run("images", "readonly", (images) => images.index("classId").count(classId)),
  /** Images of a class, the oldest first. */
  imagesOf: (classId: number, most?: number): Promise<TaughtImage[]> =>
    run("images", "readonly", (images) => images.index("classId").getAll(classId, most)),
  image: (id: number): Promise<TaughtImage | undefined> => run("images", "readonly", (images) => images.get(id)),
  /** Adds an image to a class, and the class itself if another tab has removed it: else nothing would show the image. */
  async addImage(taught: TaughtClass, image: Pick<TaughtImage, "file" | "thumbnail">): Promise<TaughtImage> {
    const transaction = (await database).transaction(["classes", "images"], "readwrite");
    const classes = transaction.objectStore("classes");
    const known = classes.getKey(taught.id);
    known.addEventListener("success", () => {
      if (known.result === undefined) classes.add(taught);
    });
    const stored = { ...image, classId: taught.id };
    const added = transaction.objectStore("images").add(stored);
    await completion(transaction);
    return { ...stored, id: Number(added.result) };
  },
  /** Stores an image again, unless it was removed meanwhile. */
  async saveImage(changed: TaughtImage): Promise<void> {
    const transaction = (await database).transaction("images", "readwrite");
    const images = transaction.objectStore("images");
    const known = images.getKey(changed.id);
    known.addEventListener("success", () => {
      if (known.result !== undefined) images.put(changed);
    });
    await completion(transaction);
  },
  removeImage: (id: number): Promise<unknown> => run("images", "readwrite", (images) => images.delete(id)),
  model: (): Promise<TaughtModel | undefined> => run("project", "readonly", (values) => values.get("model")),
  saveModel: (model: TaughtModel): Promise<unknown> => run("project", "readwrite", (all) => all.put(model, "model")),
  /** Removes everything. */
  async clear(): Promise<void> {
    for (const name of ["classes", "images", "project"] as const) await run(name, "readwrite", (all) => all.clear());
  },
};
