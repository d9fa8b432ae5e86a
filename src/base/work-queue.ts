/** Runs tasks one at a time: not every engine supports concurrent runs. */
export class WorkQueue {
  #latest: Promise<unknown> = Promise.resolve();

  /** Starts once all earlier tasks have settled. */
  add<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#latest.then(work);
    this.#latest = result.catch(() => {});
    return result;
  }
}
