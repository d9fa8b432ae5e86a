/** Does one piece of work after the other: not every engine can run several at a time. */
export class WorkQueue {
  #latest: Promise<unknown> = Promise.resolve();

  /** Begins when all work added before is over, however it ended. */
  add<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#latest.then(work);
    this.#latest = result.catch(() => {});
    return result;
  }
}
