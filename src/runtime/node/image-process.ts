/** The process in which large images are decoded. */
import type { ImageOrder } from "./image-processes.ts";
import { decodeHere } from "./images.ts";
import { serveOrders } from "./order-server.ts";

await serveOrders<ImageOrder>(({ source, options }) => decodeHere(source, options));
