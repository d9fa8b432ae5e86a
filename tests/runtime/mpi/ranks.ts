/** Started by `mpirun`, one process for each rank; prints what it saw as one line of JSON. */
import { isMpiProcess, joinMpi } from "../../../src/runtime/node/mpi.ts";

const [, , task] = process.argv;
const communicator = await joinMpi();
const { rank, size } = communicator;

if (task === "abort" && rank === 1) {
  process.stderr.write("rank 1 gives up\n");
  communicator.abort(7);
}
if (task === "misfit") {
  // Rank 1 has less room than rank 0 sends.
  try {
    communicator.broadcast(new Uint8Array(rank === 0 ? 8 : 4));
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ rank, error: String(error) })}\n`);
  }
}
const values = Float32Array.of(rank, 10 * rank, 0.1);
communicator.sum(values);
const bytes = Uint8Array.of(rank + 5, 2 * rank);
communicator.broadcast(bytes);
if (task === "large") {
  const many = new Float32Array(5_000_001).map((_, index) => (index % 1000) + rank);
  communicator.sum(many);
  const wrong = many.findIndex((value, index) => value !== size * (index % 1000) + (size * (size - 1)) / 2);
  process.stdout.write(`${JSON.stringify({ rank, wrong })}\n`);
} else {
  const started = isMpiProcess(process.env);
  process.stdout.write(`${JSON.stringify({ rank, size, started, values: [...values], bytes: [...bytes] })}\n`);
}
communicator.dispose();
